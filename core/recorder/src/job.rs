//! Turns a pipeline's graph into the job of a worker.

use std::time::Duration;

use deskreel_model::worker::Job;
use deskreel_pipeline::RecorderGraph;

/// Time for the encoders to hand over their last frames.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_millis(Job::DRAIN_LIMIT_MS);

/// Makes a job for the first part. The recorder fills in the recording's folder, the part and the origin of
/// time.
pub fn job_of(graph: &RecorderGraph) -> Job {
    Job {
        fragment_ns: u64::try_from(graph.recording.fragment.as_nanos()).unwrap_or(u64::MAX),
        ..Job::new(graph.recording.tracks.iter().map(deskreel_pipeline::Track::job).collect())
    }
}
