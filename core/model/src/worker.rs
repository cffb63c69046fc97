//! The messages between the supervisor and its worker: JSON over a socketpair, each message preceded by its
//! length as a big-endian `u32`.

use std::io;
use std::path::PathBuf;

use deskreel_contract::{CaptureMode, Device, EncodeRequest, Meaning, Memory, Tier};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::{Cause, EncoderUse, FileRef, Fragment, FrameCounts, PluginUse, Refusal};
use crate::{Failure, MediaTime, PartNumber};

/// Longest message that either side accepts, in bytes. A job of a hundred tracks is under 100 KB.
pub const MESSAGE_LIMIT: u32 = 4 << 20;

/// A message from supervisor to worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Load these plugins now, and everything that the encoders of these tracks need, so that a start is
    /// fast. Sent once, first.
    Prepare { plugins: Vec<PluginFile>, tracks: Vec<TrackJob> },
    /// Open the sources of these tracks, get a picture of each, and list the candidates that could encode it.
    /// Answered by `Surveyed`.
    Survey { tracks: Vec<TrackJob> },
    /// Ask the sources of these tracks whether they could capture now, without capturing. Answered by
    /// `Looked`.
    Look { tracks: Vec<TrackJob> },
    /// Try one candidate on pictures of this kind. Answered by `Probed` if the process survives the
    /// candidate.
    Probe { track: Box<TrackJob>, plugin: PluginSettings, candidate: String, picture: Picture },
    /// Record. Sent at most once.
    Start(Job),
    /// Capture a slate instead of the screen, or the screen again. Answered by `ModeHolds` if a job runs.
    #[serde(rename = "capture")]
    SetMode(CaptureMode),
    /// Somebody watches for this long from now on: capture a frame for each fragment, though the screen is
    /// still. `joins`: begin a fragment with a keyframe now.
    Watch { time_ns: u64, joins: bool },
    /// To a standby: continue as a recording in this folder that begins with this much of the past footage,
    /// as far as there is any. Answered by `Kept` before anything is written.
    Keep { directory: PathBuf, look_back_ns: u64 },
    /// Drain and end: `Ended` answers, within the job's drain limit.
    Stop,
    /// List what the source plugins could capture.
    Devices,
    /// Decode this part in software and report what is in it. Answered by `Decoded`.
    Decode { init: PathBuf, fragments: Vec<PathBuf> },
}

/// A plugin library that the supervisor has found and admitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginFile {
    pub path: PathBuf,
    /// Lower-case hexadecimal. The worker loads exactly these bytes or nothing.
    pub sha256: String,
    /// Why an earlier worker could not load it; it is not tried again.
    pub unusable: Option<String>,
}

/// One part of a recording, over all its tracks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The recording's folder.
    pub directory: PathBuf,
    pub part: PartNumber,
    /// Media time zero on the machine's monotonic clock (CLOCK_MONOTONIC), in nanoseconds. That clock stands
    /// still while the PC sleeps and media time does not: after a sleep zero may lie before the clock began.
    pub origin_ns: i64,
    /// Target length of a fragment, in nanoseconds.
    pub fragment_ns: u64,
    /// Time for the encoders to hand over their last frames after a stop, in milliseconds.
    pub drain_limit_ms: u64,
    /// The capture mode from the first frame on.
    pub capture: CaptureMode,
    /// For a standby: this much encoded footage, in nanoseconds, stays in memory until `Keep` names its
    /// folder.
    pub preroll_ns: Option<u64>,
    pub tracks: Vec<TrackJob>,
}

impl Job {
    /// Software without lookahead needs milliseconds; the supervisor kills the worker a second later, so that
    /// a stop ends within two.
    pub const DRAIN_LIMIT_MS: u64 = 700;

    /// The job of a pipeline file with default settings. The supervisor fills in the folder, the part and the
    /// origin of time when it starts the job.
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
    /// `None`: as the source's recipe says.
    pub changes_only: Option<bool>,
    /// On a still screen, a frame at least this often, in nanoseconds.
    pub keepalive_ns: u64,
    /// Encoders, in the order of preference.
    pub encoders: Vec<PluginSettings>,
    /// Its `max_fps` is the one above; a source with a lower rate lowers it.
    pub encode: EncodeRequest,
    pub gpu: Option<GpuChoice>,
    /// The encoder hangs if a frame is in it for this long, in milliseconds, with as many later frames as the
    /// encoder ever holds.
    pub frame_deadline_ms: u64,
    /// The candidates that passed the probe, best first. The supervisor fills it in when it starts the job.
    pub ranking: Vec<RankedCandidate>,
    /// The candidates that did not pass, in the order of preference.
    pub refused: Vec<Refusal>,
}

impl Picture {
    /// The number of pixels as a multiple of 1920x1080, rounded up: time limits are multiplied by it.
    pub fn times_full_hd(&self) -> u32 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        u32::try_from(pixels.div_ceil(1920 * 1080)).unwrap_or(u32::MAX).max(1)
    }
}

impl TrackJob {
    /// Time for which an encoder may keep a frame by default.
    pub const FRAME_DEADLINE_MS: u64 = 2000;

    /// The track of a pipeline file with default settings.
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

/// A candidate that passed the probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedCandidate {
    pub plugin: PluginSettings,
    pub candidate: String,
    /// Frames that it keeps before it delivers the first one.
    pub holds_frames: u32,
    /// Number of the job's refusals, from the front, that are of candidates preferred to this one.
    pub refused_before: usize,
}

/// The GPU that is to encode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuChoice {
    /// A PCI address (`0000:65:00.0`), a UUID (`GPU-...`) or a render node (`renderD129`): names that survive
    /// a reboot, unlike a number.
    pub gpu: String,
    #[serde(rename = "gone")]
    pub if_missing: MissingGpu,
}

/// The fallback if the GPU is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissingGpu {
    /// Take any other.
    Any,
    /// Use no GPU.
    None,
}

/// The pictures of a source.
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

/// A message from worker to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// Plugins are loaded; a job can start.
    Ready {
        /// GStreamer's version.
        gstreamer: String,
        /// The libraries that could not be loaded, and why.
        refused: Vec<(PathBuf, String)>,
    },
    /// Loading a library does not return, and nothing else can be loaded meanwhile. The worker is useless and
    /// ends.
    PluginHangs {
        path: PathBuf,
        reason: String,
    },
    /// The header of a track's part is on disk.
    PartOpened {
        track: String,
        part: OpenedPart,
    },
    /// A fragment is on disk, synced. The counts are those of the part so far.
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
    /// The mode holds: no frame from this time on shows what `capture` withholds. For `Live`: no frame before
    /// it shows the screen.
    #[serde(rename = "captured")]
    ModeHolds {
        capture: CaptureMode,
        at: MediaTime,
    },
    /// A standby has its first frame.
    StandingBy {
        track: String,
    },
    /// A standby is a recording from here on. Its media time zero is this media time of the job; later
    /// reports count from there.
    Kept {
        from: MediaTime,
    },
    /// The disk is full; fragments are held in memory.
    DiskFull {
        detail: String,
    },
    /// The disk has room again.
    DiskBack,
    /// The source's picture has another size or format now. The worker drains and ends.
    SourceChanged {
        detail: String,
    },
    /// A source has nothing more to deliver. The worker drains and ends.
    SourceEnded,
    /// The job cannot continue. `Ended` follows if the worker could still write what it had.
    Failed {
        failure: Failure,
    },
    /// Everything that could be written is written. The worker is done.
    Ended,
    /// An encoder failed or hangs, and the next candidate takes over in the part `next`. Without `next` no
    /// candidate is left, and `Failed` follows.
    EncoderFailed {
        track: String,
        plugin: String,
        candidate: String,
        /// `EncoderFailed` or `EncoderHung`.
        cause: Cause,
        detail: String,
        next: Option<PartNumber>,
    },
    /// A source can capture no more. The worker drains and ends.
    SourceFailed {
        failure: Failure,
    },
    /// The surveys, in the order of the requested tracks.
    Surveyed {
        tracks: Vec<Result<TrackSurvey, Failure>>,
    },
    /// Why a source could not capture now, if one could not.
    Looked {
        result: Result<(), Failure>,
    },
    /// The result of a probe. An error is the reason, for people, why the candidate is refused.
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
    /// `Start` if the worker began the job with this part: only the supervisor knows why the job began.
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
    /// The screen is known to have been still up to this time.
    pub still_until: MediaTime,
    /// Bytes written to fragments so far.
    pub bytes: u64,
}

/// A track's source and the candidates for encoding it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackSurvey {
    pub picture: Picture,
    /// The candidates of all plugins in the order of preference. A plugin that could not be asked has one
    /// entry without a candidate.
    pub candidates: Vec<SurveyedCandidate>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SurveyedCandidate {
    pub plugin: PluginSettings,
    pub version: String,
    /// Empty if the plugin itself could not be used.
    pub candidate: String,
    pub tier: Tier,
    pub memory: Memory,
    /// PCI address of the GPU that it would use, if that is known.
    pub gpu: Option<String>,
    /// Everything that would be set, element by element, as a GStreamer launch line. Part of a verdict's
    /// cache key.
    pub recipe: String,
    /// Whether it must produce a keyframe on request, which the probe then checks. Part of a verdict's cache
    /// key.
    pub on_demand: bool,
    /// Requested settings that the element cannot do; it would be used without them.
    pub cannot: Vec<Meaning>,
    /// Why it need not be tried at all.
    pub refused: Option<String>,
}

/// The measurements of a successful probe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// Frames that the encoder keeps before it delivers the first one.
    pub holds_frames: u32,
    /// Milliseconds from the start of the encoder, including the opening of its device, to the first frame
    /// out.
    pub first_frame_ms: u32,
    /// Mean difference of a color byte from the encoded picture, of 255, in the worst picture.
    pub picture_error: f32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DecodedPart {
    pub frames: u64,
    /// Each frame is shown later than the previous one.
    pub in_order: bool,
    /// Presentation time of the earliest frame.
    pub first: MediaTime,
    /// Presentation time of the latest frame.
    pub last: MediaTime,
    pub width: u32,
    pub height: u32,
    /// The decoder that judged.
    pub decoder: String,
}

/// Encodes a message for the socket, with its length.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = u32::try_from(bytes.len() - 4).ok().filter(|length| *length <= MESSAGE_LIMIT);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "message too long"))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes)
}

/// The number of bytes that follow the length. An error if the message is too long.
pub fn body_length(prefix: [u8; 4]) -> io::Result<usize> {
    match u32::from_be_bytes(prefix) {
        length if length <= MESSAGE_LIMIT => Ok(length as usize),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "message too long")),
    }
}

pub fn decode<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(body)?)
}
