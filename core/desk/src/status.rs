//! The status of the desk, as the API and the metrics show it.

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, FrameCounts};
use deskreel_model::{AgentId, MediaTime, Place, RecordingId, Utc};
use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// `name` of the pipeline file.
    pub pipeline: String,
    pub started: Utc,
    pub place: Place,
    pub health: Health,
    /// Why the pipeline file in use is not the one on disk.
    pub stale: Option<String>,
    pub counts: Counts,
    pub agent: Option<Seated>,
    /// The running recording.
    pub recording: Option<Running>,
    pub spool: SpoolStatus,
}

/// Counts since the daemon started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Recordings whose first frame reached the disk.
    pub started: u64,
    pub sealed: u64,
    /// Failed attempts to begin or continue a recording.
    pub failed: u64,
}

/// The recorder is healthy if a recording could begin now and would arrive, and a running one grows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Health {
    /// Why a recording could not begin now, would not arrive or does not grow; empty if the recorder is
    /// healthy.
    pub problems: Vec<HealthProblem>,
}

impl Health {
    pub fn is_well(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems in words.
    pub fn texts(&self) -> Vec<String> {
        self.problems.iter().map(|problem| problem.text.clone()).collect()
    }
}

/// A reason why the recorder is not healthy. Serialized as its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct HealthProblem {
    pub part: HealthPart,
    /// For people.
    pub text: String,
}

impl From<HealthProblem> for String {
    fn from(problem: HealthProblem) -> String {
        problem.text
    }
}

/// The part of the recorder that has a problem: the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthPart {
    Pipeline,
    /// The sources and encoders.
    Capture,
    /// The last start.
    Start,
    Growth,
    Room,
    Lock,
    Link,
    Place,
    /// The settings and files of a sink.
    Sink,
    Delivery,
    Certificate,
}

impl HealthPart {
    pub const ALL: [HealthPart; 11] = [
        HealthPart::Pipeline,
        HealthPart::Capture,
        HealthPart::Start,
        HealthPart::Growth,
        HealthPart::Room,
        HealthPart::Lock,
        HealthPart::Link,
        HealthPart::Place,
        HealthPart::Sink,
        HealthPart::Delivery,
        HealthPart::Certificate,
    ];

    pub fn name(self) -> &'static str {
        match self {
            HealthPart::Pipeline => "pipeline",
            HealthPart::Capture => "capture",
            HealthPart::Start => "start",
            HealthPart::Growth => "growth",
            HealthPart::Room => "room",
            HealthPart::Lock => "lock",
            HealthPart::Link => "link",
            HealthPart::Place => "place",
            HealthPart::Sink => "sink",
            HealthPart::Delivery => "delivery",
            HealthPart::Certificate => "certificate",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seated {
    pub agent: AgentId,
    pub since: Utc,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Running {
    pub recording: RecordingId,
    pub agent: AgentId,
    pub phase: Phase,
    pub capture: CaptureMode,
    pub why: String,
    /// The time of the command; once there is a frame, the time of media time zero.
    pub since: Utc,
    /// Length, as of the worker's last beat.
    pub media: MediaTime,
    pub frames: FrameCounts,
    pub bytes: u64,
    pub parts: u32,
    pub disk_full: bool,
    /// Why nothing is captured at the moment.
    pub resting: Option<Cause>,
    /// The encoder at work, once there is one.
    pub encoder: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Commanded; no frame is on disk yet.
    Starting,
    Recording,
    Stopping,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SpoolStatus {
    /// Recordings on disk, including the running one.
    pub recordings: usize,
    pub bytes: u64,
    pub free_bytes: u64,
    pub quota_bytes: Option<u64>,
    pub sinks: Vec<SinkStatus>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkStatus {
    pub sink: String,
    pub plugin: String,
    /// Recordings that the sink has not acknowledged.
    pub pending: u64,
    pub pending_bytes: u64,
    /// Since the daemon started.
    pub delivered: u64,
    pub refused: u64,
    /// Why the last attempt failed, until one succeeds.
    pub problem: Option<String>,
}
