//! What the supervisor and its worker say to each other: JSON over a socketpair, each message preceded by its
//! length as a big-endian `u32`.

use std::io;
use std::path::PathBuf;

use deskreel_contract::{CaptureMode, Device, EncodeRequest, Meaning, Memory, Tier};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::{Cause, EncoderUse, FileRef, Fragment, FrameCounts, PluginUse, Refusal};
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
    /// Open the sources of these tracks, look at a picture of each, and list what could encode it. Answered by
    /// `Surveyed`.
    Survey { tracks: Vec<TrackJob> },
    /// Try one candidate out on pictures of this kind. Answered by `Probed`, if the candidate lets the process live.
    Probe { track: Box<TrackJob>, plugin: PluginSettings, candidate: String, picture: Picture },
    /// Record. Sent at most once.
    Start(Job),
    /// Show a slate in place of the screen, or the screen again. Answered by `ModeHolds`, if a job runs.
    #[serde(rename = "capture")]
    SetMode(CaptureMode),
    /// To a standby: write what it has of this much time, and go on as a recording in this folder. Answered by `Kept`, before
    /// anything is written.
    Keep { directory: PathBuf, look_back_ns: u64 },
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
    /// Media time zero on the machine's monotonic clock (CLOCK_MONOTONIC), in nanoseconds. That clock stands still while the
    /// PC sleeps and media time does not: after a sleep zero may lie before the clock began.
    pub origin_ns: i64,
    /// Aimed length of a fragment, in nanoseconds.
    pub fragment_ns: u64,
    /// How long the encoders may take to hand over their last frames after a stop, in milliseconds.
    pub drain_limit_ms: u64,
    /// What is taken of the screen from the first frame on.
    pub capture: CaptureMode,
    /// A standby: what is coded stays in memory, this many nanoseconds of it, until `Keep` says where it goes.
    pub preroll_ns: Option<u64>,
    pub tracks: Vec<TrackJob>,
}

impl Job {
    /// Software without lookahead needs milliseconds; the supervisor kills the worker a second later, so that a stop
    /// ends within two.
    pub const DRAIN_LIMIT_MS: u64 = 700;

    /// As a pipeline file gives it that says nothing else; whoever starts it fills in the folder, the part and the
    /// origin of time.
    pub fn new(tracks: Vec<TrackJob>) -> Self {
        Job {
            directory: PathBuf::new(),
            part: PartNumber::FIRST,
            origin_ns: 0,
            fragment_ns: 1_000_000_000,
            drain_limit_ms: Job::DRAIN_LIMIT_MS,
            capture: CaptureMode::Live,
            preroll_ns: None,
            tracks,
        }
    }
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
    /// `max_fps` as above; a source that gives fewer frames lowers it.
    pub encode: EncodeRequest,
    pub gpu: Option<GpuChoice>,
    /// A frame that has been in an encoder for so long, with as many behind it as the encoder ever holds, means that
    /// the encoder hangs; milliseconds.
    pub frame_deadline_ms: u64,
    /// The candidates that have proven themselves, best first. Whoever starts a job fills it in.
    pub ranking: Vec<Ranked>,
    /// Those that have not, in the order of preference.
    pub refused: Vec<Refusal>,
}

impl Picture {
    /// How many times as many pixels as 1920x1080, rounded up: what takes long takes as many times as long.
    pub fn times_full_hd(&self) -> u32 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        u32::try_from(pixels.div_ceil(1920 * 1080)).unwrap_or(u32::MAX).max(1)
    }
}

impl TrackJob {
    /// How long an encoder may keep a frame, if nobody says otherwise.
    pub const FRAME_DEADLINE_MS: u64 = 2000;

    /// As a pipeline file gives it that says nothing else.
    pub fn new(
        track: impl Into<String>,
        source: PluginSettings,
        encoders: Vec<PluginSettings>,
        encode: EncodeRequest,
    ) -> Self {
        TrackJob {
            track: track.into(),
            source,
            max_fps: encode.max_fps,
            changes_only: None,
            keepalive_ns: 5_000_000_000,
            encoders,
            encode,
            gpu: None,
            frame_deadline_ms: TrackJob::FRAME_DEADLINE_MS,
            ranking: Vec::new(),
            refused: Vec::new(),
        }
    }
}

/// A candidate that has proven itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    pub plugin: PluginSettings,
    pub candidate: String,
    /// Frames that it keeps before it gives the first one.
    pub holds_frames: u32,
    /// So many of the job's refusals are of candidates that are preferred to it.
    pub refused_before: usize,
}

/// Which GPU is to encode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuChoice {
    /// A PCI address (`0000:65:00.0`), a UUID (`GPU-...`) or a render node (`renderD129`): names that outlive a
    /// reboot, where a number does not.
    pub gpu: String,
    pub gone: Gone,
}

/// What to do where the GPU is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gone {
    /// Take any other.
    Any,
    /// Use no GPU.
    None,
}

/// What a source gives.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Picture {
    /// GStreamer's name of the raw format.
    pub format: String,
    /// Pixels; may be odd.
    pub width: u32,
    /// Pixels; may be odd.
    pub height: u32,
    /// Frames per second, at most.
    pub fps: u32,
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
        part: PartNumber,
        fragment: Fragment,
        frames: FrameCounts,
    },
    /// Sent twice a second while a job runs, whatever happens: its absence means that the worker hangs.
    Beat {
        tracks: Vec<TrackBeat>,
    },
    /// No frame from this time on shows what `capture` withholds; for `Live`, none before it does.
    #[serde(rename = "captured")]
    ModeHolds {
        capture: CaptureMode,
        at: MediaTime,
    },
    /// A standby has its first frame.
    StandingBy {
        track: String,
    },
    /// A standby is a recording from here on: media time zero was at this media time of the job. What is said of media
    /// times from here on counts from there.
    Kept {
        from: MediaTime,
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
    /// An encoder died or hangs, and the next candidate has taken over, in the part `next`; or none is left, and
    /// `Failed` follows.
    EncoderFailed {
        track: String,
        plugin: String,
        candidate: String,
        /// `EncoderFailed` or `EncoderHung`.
        cause: Cause,
        detail: String,
        next: Option<PartNumber>,
    },
    /// In the order of the tracks asked for.
    Surveyed {
        tracks: Vec<Result<TrackSurvey, Failure>>,
    },
    /// An error is the reason why the candidate is refused, for people.
    Probed {
        result: Result<Proof, String>,
    },
    Devices {
        devices: Vec<(String, Result<Vec<Device>, String>)>,
    },
    Decoded {
        result: Result<DecodedPart, String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenedPart {
    pub number: PartNumber,
    /// `Start` where the worker began the job with it: why the job began is the supervisor's to know.
    pub cause: Cause,
    pub source: PluginUse,
    pub encoder: EncoderUse,
    pub codec: String,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub timescale: u32,
    pub init: FileRef,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackBeat {
    pub track: String,
    pub part: PartNumber,
    pub frames: FrameCounts,
    /// The screen is known to have been still up to here.
    pub still_until: MediaTime,
    /// Bytes written to fragments so far.
    pub bytes: u64,
}

/// What a track's source shows, and what could encode it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackSurvey {
    pub picture: Picture,
    /// Of every plugin in the order of preference; a plugin that could not be asked has one without a candidate.
    pub candidates: Vec<Surveyed>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surveyed {
    pub plugin: PluginSettings,
    pub version: String,
    /// Empty where the plugin itself could not be used.
    pub candidate: String,
    pub tier: Tier,
    pub memory: Memory,
    /// The GPU that it would use, where that is known: PCI address.
    pub gpu: Option<String>,
    /// Everything that would be set, element by element, as GStreamer writes a launch line. Part of what a verdict
    /// is kept under.
    pub recipe: String,
    /// Whether it has to give a keyframe whenever one is asked for, and is tried for that. Part of the same.
    pub on_demand: bool,
    /// What was asked for and the element cannot do; it would be done without.
    pub cannot: Vec<Meaning>,
    /// Why it need not even be tried.
    pub refused: Option<String>,
}

/// What a probe saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Frames that the encoder keeps before it gives the first one.
    pub holds_frames: u32,
    /// From the first frame in to the first one out, opening the device included; milliseconds.
    pub first_frame_ms: u32,
    /// Mean difference of a decoded pixel from what was encoded, of 255.
    pub picture_error: f32,
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
