//! What the supervisor and its worker say to each other: JSON over a socketpair, each message preceded by its
//! length as a big-endian `u32`.

use std::io;
use std::path::PathBuf;

use deskreel_contract::{Codec, Device, Rate};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::{EncoderUse, FileRef, Fragment, FrameCounts, PluginUse};
use crate::{Failure, MediaTime, PartNumber};

/// Longest message either side accepts, in bytes. A job of a hundred tracks is under 100 KB.
pub const MESSAGE_LIMIT: u32 = 4 << 20;

/// Supervisor to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Load these plugins now, and what the encoders of these tracks need, so that a start is fast. Sent once,
    /// first.
    Prepare { plugins: Vec<PluginFile>, tracks: Vec<TrackJob> },
    /// Record. Sent at most once.
    Start(Job),
    /// Drain and end: `Ended` answers, within the job's drain limit.
    Stop,
    /// List what the source plugins could capture.
    Devices,
    /// Decode this part in software and say what was in it. Answered by `Decoded`.
    Decode { init: PathBuf, fragments: Vec<PathBuf> },
}

/// A plugin library that the supervisor has found and admitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginFile {
    pub path: PathBuf,
    /// Lower-case hexadecimal; the worker loads these bytes or none.
    pub sha256: String,
    /// An earlier worker could not load it, for this reason; it is not tried again.
    pub unusable: Option<String>,
}

/// One part of a recording, over all its tracks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The recording's folder.
    pub directory: PathBuf,
    pub part: PartNumber,
    /// Media time zero on the machine's monotonic clock (CLOCK_MONOTONIC), in nanoseconds.
    pub origin_ns: u64,
    /// Aimed length of a fragment, in nanoseconds.
    pub fragment_ns: u64,
    /// How long the encoders may take to hand over their last frames after a stop, in milliseconds.
    pub drain_limit_ms: u64,
    pub tracks: Vec<TrackJob>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackJob {
    pub track: String,
    pub source: PluginSettings,
    pub max_fps: u32,
    /// Null: as the source's recipe says.
    pub changes_only: Option<bool>,
    /// On a still screen, a frame at least this often, in nanoseconds.
    pub keepalive_ns: u64,
    /// In the order of preference.
    pub encoders: Vec<PluginSettings>,
    pub codec: Codec,
    pub rate: Rate,
    pub keyframe_interval_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginSettings {
    pub plugin: String,
    pub settings: Value,
}

/// Worker to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// Plugins are loaded; a job can start. Names those that could not be loaded.
    Ready {
        gstreamer: String,
        refused: Vec<(PathBuf, String)>,
    },
    /// A library does not come back from being loaded, and nothing else can be loaded beside it. The worker is no
    /// good any more and ends.
    PluginHangs {
        path: PathBuf,
        reason: String,
    },
    /// The header of a track's part is on disk.
    PartOpened {
        track: String,
        part: OpenedPart,
    },
    /// A fragment is on disk, synced. The counts are the part's so far.
    FragmentClosed {
        track: String,
        fragment: Fragment,
        frames: FrameCounts,
    },
    /// Sent twice a second while a job runs, whatever happens: its absence means that the worker hangs.
    Beat {
        tracks: Vec<TrackBeat>,
    },
    /// Fragments are held in memory because there is no room.
    DiskFull {
        detail: String,
    },
    /// There is room again.
    DiskBack,
    /// The source's picture has another size or layout now; the worker has drained and ends this part.
    SourceChanged {
        detail: String,
    },
    /// A source has nothing more to give; the worker has drained and ends.
    SourceEnded,
    /// The job cannot go on. `Ended` follows if the worker could still write what it had.
    Failed {
        failure: Failure,
    },
    /// Everything that could be written is written. The worker is done.
    Ended,
    Devices {
        devices: Vec<(String, Result<Vec<Device>, String>)>,
    },
    Decoded {
        result: Result<DecodedPart, String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenedPart {
    pub source: PluginUse,
    pub encoder: EncoderUse,
    pub codec: String,
    pub width: u32,
    pub height: u32,
    pub timescale: u32,
    pub init: FileRef,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackBeat {
    pub track: String,
    pub frames: FrameCounts,
    /// The screen is known to have been still up to here.
    pub still_until: MediaTime,
    /// Bytes written to fragments so far.
    pub bytes: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecodedPart {
    pub frames: u64,
    /// Each frame is shown after the one before.
    pub in_order: bool,
    /// Presentation times of the earliest and the latest frame.
    pub first: MediaTime,
    pub last: MediaTime,
    pub width: u32,
    pub height: u32,
    /// The decoder that judged.
    pub decoder: String,
}

/// A message as it goes over the line.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length <= MESSAGE_LIMIT);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "message too long"))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// Bytes that follow the length, if the length can be true.
pub fn body_length(prefix: [u8; 4]) -> io::Result<usize> {
    match u32::from_be_bytes(prefix) {
        length if length <= MESSAGE_LIMIT => Ok(length as usize),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "message too long")),
    }
}

pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(body)?)
}
