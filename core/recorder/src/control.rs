//! The requests that a running recording takes.

use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::Cause;
use deskreel_model::{AgentId, Place, RecordingId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Show a slate in place of the screen from now on, or the screen again. `Notice::ModeHolds` says when
    /// that holds.
    SetMode {
        capture: CaptureMode,
        /// The reason, for the manifest.
        why: String,
    },
    /// Somebody watches for this long from now on: footage grows each second, though the screen is still.
    /// `joins`: a viewer has come and wants a keyframe.
    Watch { time: Duration, joins: bool },
    /// End the part and capture nothing until `GoOn`, which leaves a gap. `Notice::Resting` says when
    /// everything is on disk.
    Rest(Rest),
    /// The rest is over.
    GoOn,
    /// To a standby: become a recording that began earlier than now.
    Keep(KeepRequest),
    /// End the recording; discard a standby.
    Stop,
}

/// The data with which a standby becomes a recording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeepRequest {
    /// The wanted length of the past. The recording begins with the keyframe before that, so up to a keyframe
    /// interval earlier; or later, if the standby does not reach back that far.
    pub look_back: Duration,
    /// Made by `new_id`, if the caller must know the id before the recording begins.
    pub recording: Option<RecordingId>,
    /// Replaces the setup's agent.
    pub agent: Option<AgentId>,
    /// Replaces the setup's place.
    pub place: Option<Place>,
}

/// Why nothing is to be captured for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub cause: Cause,
    /// The reason, for the manifest.
    pub why: String,
}
