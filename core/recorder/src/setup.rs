//! The setup of a recording.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::worker::Job;
use deskreel_model::{AgentId, Place, RecordingId};

use crate::control::Rest;
use crate::watchdog::Limits;

/// Everything that a recording needs to start.
pub struct RecordingSetup {
    /// The pipeline file's `name`.
    pub pipeline: String,
    /// The folder of the recordings.
    pub directory: PathBuf,
    /// The job, made by `job_of`.
    pub job: Job,
    pub max_duration: Option<Duration>,
    pub limits: Limits,
    /// Made by `new_id`, if the caller must know the id before the recording begins.
    pub recording: Option<RecordingId>,
    /// The agent, for the manifest.
    pub agent: Option<AgentId>,
    pub place: Option<Place>,
    /// The capture mode from the first frame on.
    pub capture: CaptureMode,
    /// The reason for it, for the manifest.
    pub why: String,
    /// If set, nothing is captured before `Control::GoOn`.
    pub rest: Option<Rest>,
}

impl RecordingSetup {
    /// A recording of the whole screen, without a time limit and without an agent.
    pub fn new(pipeline: impl Into<String>, directory: impl Into<PathBuf>, job: Job) -> Self {
        RecordingSetup {
            pipeline: pipeline.into(),
            directory: directory.into(),
            job,
            max_duration: None,
            limits: Limits::default(),
            recording: None,
            agent: None,
            place: None,
            capture: CaptureMode::Live,
            why: String::new(),
            rest: None,
        }
    }
}
