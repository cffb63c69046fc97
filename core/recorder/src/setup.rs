//! What a recording is told: at its start, and while it runs.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::Cause;
use deskreel_model::worker::Job;
use deskreel_model::{AgentId, Place, RecordingId};

use crate::watchdog::Limits;

/// What a recording needs.
pub struct Setup {
    /// `name` of the pipeline file.
    pub pipeline: String,
    /// Where recordings are kept.
    pub directory: PathBuf,
    /// As `job_of` gives it.
    pub job: Job,
    pub max_duration: Option<Duration>,
    pub limits: Limits,
    /// As `new_id` gives it, for who must know it beforehand.
    pub recording: Option<RecordingId>,
    /// For the manifest.
    pub agent: Option<AgentId>,
    pub place: Option<Place>,
    /// What is taken of the screen from the first frame on, and why.
    pub capture: CaptureMode,
    pub why: String,
    /// Nothing is captured before `Control::GoOn`.
    pub rest: Option<Rest>,
}

/// Why nothing is to be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub cause: Cause,
    /// For the manifest.
    pub why: String,
}

impl Setup {
    /// Without a limit, of nobody's screen, all of it.
    pub fn new(pipeline: impl Into<String>, directory: impl Into<PathBuf>, job: Job) -> Self {
        Setup {
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// A slate is shown in place of the screen from now on, or the screen again: `Notice::ModeHolds` says when that holds.
    SetMode {
        capture: CaptureMode,
        /// For the manifest.
        why: String,
    },
    /// The part ends, and nothing is captured until `GoOn`: that is a gap. `Notice::Resting` says when everything is on disk.
    Rest(Rest),
    GoOn,
    /// To a standby: it is a recording from here on, and began earlier than now.
    Keep(Keep),
    /// A standby is discarded by it.
    Stop,
}

/// What a standby needs to be a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keep {
    /// So much of what was is wanted. It begins with the keyframe before, so up to a keyframe interval earlier, and later
    /// where the standby has not got so much.
    pub look_back: Duration,
    /// As `new_id` gives it, for who must know it beforehand.
    pub recording: Option<RecordingId>,
    /// In place of the setup's.
    pub agent: Option<AgentId>,
    pub place: Option<Place>,
}
