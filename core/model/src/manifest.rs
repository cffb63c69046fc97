//! The manifest: a recording's description of itself, written beside the footage as `manifest.json`.
//!
//! A recording has tracks, a track has parts, a part is one header (`init.mp4`) and fragments. Every frame
//! from the source is accounted for: `captured = encoded + skipped + lost`. Paths are relative to the folder
//! of the manifest. docs/recording-format.md documents it for people.

use std::time::Duration;

pub use deskreel_contract::{CaptureMode, Meaning, Memory};
use serde::{Deserialize, Serialize};

use crate::{AgentId, Failure, MediaTime, PartNumber, Place, RecordingId, Utc};

pub const MANIFEST_SCHEMA: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    pub recording: RecordingId,
    /// The `name` in the pipeline file.
    pub pipeline: String,
    /// Program and version that wrote the manifest.
    pub writer: String,
    /// `None` while the recording runs, and after a crash until recovery has sealed it.
    pub outcome: Option<Outcome>,
    /// When it was asked to stop, or ended by itself. `None` if the recorder died before it could say.
    pub ended: Option<MediaTime>,
    /// The wall clock at media time zero. A later jump of the wall clock adds another anchor.
    pub anchors: Vec<Anchor>,
    /// The agent whose screen it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The place of that screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    pub tracks: Vec<Track>,
    /// Stretches in which the screen was withheld, in the order of media time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<WithheldStretch>,
    /// Incidents, in the order of media time.
    pub incidents: Vec<Incident>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// Stopped when asked.
    Finished,
    /// Ended by itself; the footage until then is playable.
    Failed { failure: Failure },
    /// Stopped before the first frame was on disk: there is no footage.
    Abandoned,
    /// The recorder itself died; a later start sealed what was on disk.
    Recovered,
}

/// Ties media time to the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Anchor {
    pub media: MediaTime,
    pub utc: Utc,
    /// Greatest difference between `utc` and the machine's own clock: the time it took to read both.
    pub uncertainty_ns: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    pub name: String,
    pub parts: Vec<Part>,
    pub gaps: Vec<Gap>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub number: PartNumber,
    /// Why this part began.
    pub cause: Cause,
    pub source: PluginUse,
    pub encoder: EncoderUse,
    /// RFC 6381, as in `avc1.42c028`.
    pub codec: String,
    pub width: u32,
    pub height: u32,
    /// The source's highest rate in frames per second; 0 if it is not known.
    #[serde(default)]
    pub fps: u32,
    /// Ticks per second in the header and the fragments.
    pub timescale: u32,
    pub init: FileRef,
    pub fragments: Vec<Fragment>,
    pub frames: FrameCounts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginUse {
    pub plugin: String,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderUse {
    pub plugin: String,
    pub version: String,
    pub candidate: String,
    /// The memory that it takes its frames from.
    #[serde(default)]
    pub memory: Memory,
    /// PCI address of the GPU, if one is used and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Meanings that were requested but that the element does not support.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cannot: Vec<Meaning>,
    /// Earlier candidates, in order, and why each was not taken.
    pub refused: Vec<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub plugin: String,
    /// `None` if the plugin itself could not be used.
    pub candidate: Option<String>,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    pub file: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// Number within the part, from 1.
    pub number: u32,
    #[serde(flatten)]
    pub file: FileRef,
    pub start: MediaTime,
    pub duration_ns: u64,
    pub frames: u32,
    /// The first frame is a keyframe.
    pub starts_with_keyframe: bool,
    /// Made from the tail after a crash, not by the worker itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub salvaged: bool,
}

impl Fragment {
    pub fn end(&self) -> MediaTime {
        MediaTime(self.start.0 + self.duration_ns)
    }
}

/// The fate of the source's frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameCounts {
    /// Frames from the source.
    pub captured: u64,
    /// Frames in fragments on disk.
    pub encoded: u64,
    /// Frames that showed the same as the frame before; not encoded, by design.
    pub skipped: u64,
    /// Frames that should be in the footage but are not.
    pub lost: u64,
}

/// A stretch of media time without footage: between two fragments, or from the last one to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    pub from: MediaTime,
    pub to: MediaTime,
    /// Frames that the source would have delivered in that time at its highest rate.
    #[serde(default)]
    pub frames: u64,
    pub cause: Cause,
}

/// A stretch in which no frame shows the screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithheldStretch {
    /// `Masked` or `Paused`.
    pub capture: CaptureMode,
    pub from: MediaTime,
    /// `None` while it lasts.
    pub to: Option<MediaTime>,
    /// The reason, for people.
    pub why: String,
}

/// Why a part began, or why there is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The recording began.
    Start,
    /// The worker process ended without being asked.
    WorkerDied,
    /// The worker no longer answered, or its frames no longer grew, and it was killed.
    WorkerHung,
    /// The worker reported a failure of the source, the encoder or GStreamer.
    WorkerFailed,
    /// An encoder reported a failure, and another candidate took over.
    EncoderFailed,
    /// An encoder delivered no more frames, and another candidate took over.
    EncoderHung,
    /// The screen changed its size or layout.
    SourceChanged,
    /// The source could capture no more: its display has ended, for example.
    SourceFailed,
    /// The source has ended.
    SourceEnded,
    /// The encoder had not handed over these frames when the time for a stop was over.
    Backlog,
    /// There was no room to write.
    DiskFull,
    /// The PC slept.
    Slept,
    /// The agent's session was locked, and the pipeline file leaves that out.
    Locked,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    pub at: MediaTime,
    pub cause: Cause,
    pub detail: String,
}

impl Manifest {
    pub fn new(recording: RecordingId, pipeline: String, tracks: &[String], anchor: Anchor) -> Self {
        let track = |name: &String| Track { name: name.clone(), parts: Vec::new(), gaps: Vec::new() };
        Manifest {
            schema: MANIFEST_SCHEMA,
            recording,
            pipeline,
            writer: concat!("deskreel ", env!("CARGO_PKG_VERSION")).to_owned(),
            outcome: None,
            ended: None,
            anchors: vec![anchor],
            agent: None,
            place: None,
            tracks: tracks.iter().map(track).collect(),
            withheld: Vec::new(),
            incidents: Vec::new(),
        }
    }

    /// The wall clock at media time zero, by the first anchor.
    pub fn zero(&self) -> Option<Utc> {
        let anchor = self.anchors.first()?;
        Some(anchor.utc.minus(Duration::from_nanos(anchor.media.0)))
    }
}

impl Part {
    /// Frames that the source would have delivered in this time at its highest rate.
    pub fn frames_in(&self, time_ns: u64) -> u64 {
        (time_ns.saturating_mul(u64::from(self.fps)) + 500_000_000) / 1_000_000_000
    }
}

impl Track {
    /// The end of the last frame on disk.
    pub fn end(&self) -> Option<MediaTime> {
        self.parts.iter().rev().find_map(|part| part.fragments.last()).map(Fragment::end)
    }

    pub fn frames(&self) -> FrameCounts {
        self.parts.iter().fold(FrameCounts::default(), |sum, part| FrameCounts {
            captured: sum.captured + part.frames.captured,
            encoded: sum.encoded + part.frames.encoded,
            skipped: sum.skipped + part.frames.skipped,
            lost: sum.lost + part.frames.lost,
        })
    }
}
