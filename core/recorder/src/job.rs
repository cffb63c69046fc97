//! What a graph asks of one worker.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_model::PartNumber;
use deskreel_model::worker::Job;
use deskreel_pipeline::Graph;

/// How long encoders may take to hand over their last frames. Software without lookahead needs milliseconds; the
/// supervisor kills the worker a second later, so that a stop ends within two.
pub(crate) const DRAIN_LIMIT: Duration = Duration::from_millis(700);

/// A job for the first part; the recorder fills in the recording's folder, the part and the origin of time.
pub fn job_of(graph: &Graph) -> Job {
    Job {
        directory: PathBuf::new(),
        part: PartNumber::FIRST,
        origin_ns: 0,
        fragment_ns: u64::try_from(graph.recording.fragment.as_nanos()).unwrap_or(u64::MAX),
        drain_limit_ms: DRAIN_LIMIT.as_millis() as u64,
        tracks: graph.recording.tracks.iter().map(deskreel_pipeline::Track::job).collect(),
    }
}
