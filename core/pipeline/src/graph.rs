//! The meaning of a pipeline file: every name resolved, every value typed. Only a file without errors has a
//! graph.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_contract::{Chroma, Codec, Content, EncodeRequest, Latency, Rate, Speed};
use deskreel_model::PolicyRules;
use deskreel_model::worker::{GpuChoice, PluginSettings, TrackJob};

/// A file describes either a recorder or a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Deployment {
    Recorder(RecorderGraph),
    Server(ServerGraph),
}

#[derive(Debug, Clone, PartialEq)]
pub struct RecorderGraph {
    pub name: String,
    pub deciders: Deciders,
    pub recording: Recording,
    pub spool: Spool,
    /// Set if a server decides what is recorded.
    pub link: Option<Link>,
    pub sinks: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ServerGraph {
    pub name: String,
    pub deciders: Deciders,
    pub server: Server,
}

/// The deciders: feeds bring the events, policies and rules decide from them.
#[derive(Debug, Clone, PartialEq)]
pub struct Deciders {
    pub feeds: Vec<Node>,
    /// The policies, in the order in which they are asked.
    pub policies: Vec<Node>,
    /// The rules that the host applies without a plugin.
    pub rules: PolicyRules,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub directory: PathBuf,
    pub fragment: Duration,
    pub max_duration: Option<Duration>,
    pub preroll: Option<Duration>,
    /// Set if nothing is captured while the agent's session is locked.
    pub rests_while_locked: bool,
    /// The tracks, in the order of `tracks`; at least one.
    pub tracks: Vec<Track>,
}

/// The recording server: its address, its storage and its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Address and port.
    pub listen: String,
    /// Certificate chain and private key; `None`: plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// A URL.
    pub database: String,
    /// A URL.
    pub storage: String,
    /// Bytes of a fragment or manifest.
    pub largest_upload: u64,
    /// Bytes of a finished file.
    pub largest_file: u64,
    /// Bytes that one recorder may store in recordings that are not closed.
    pub quota: Option<u64>,
    /// Bytes that uploads leave free on the disks of storage and index.
    pub min_free: u64,
    /// Time for the head of a request: a client that needs longer only occupies a connection.
    pub head_patience: Duration,
    /// Time for a body, however short.
    pub body_patience: Duration,
    /// Time in which the client must read some of a response.
    pub answer_patience: Duration,
}

/// How to reach the recording server.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub server: String,
    pub token_file: PathBuf,
    pub ca_file: Option<PathBuf>,
    pub plain_http: bool,
}

/// The share of the disk and the network that recordings may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Spool {
    /// Bytes of recordings.
    pub quota: Option<u64>,
    /// Bytes that stay free on the disk.
    pub min_free: u64,
    /// Set if the oldest recording is evicted for lack of room even if it was not delivered.
    pub drop_oldest: bool,
    /// Bits per second, of all sinks together.
    pub rate: Option<u64>,
}

/// One source through one encoder. A source that feeds two encoders is in two tracks.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// The encoder's name.
    pub name: String,
    pub source: SourceNode,
    pub encoder: EncoderNode,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SourceNode {
    pub name: String,
    pub plugin: PluginSettings,
    /// Frames per second, at most.
    pub max_fps: u32,
    /// `None`: as the plugin's recipe proposes.
    pub changes_only: Option<bool>,
    pub keepalive: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EncoderNode {
    pub name: String,
    /// The plugins in the order of preference, each with the settings that it takes; at least one.
    pub plugins: Vec<PluginSettings>,
    pub codec: Codec,
    pub rate: Rate,
    pub keyframe_interval: Duration,
    pub speed: Speed,
    pub latency: Latency,
    pub content: Content,
    pub chroma: Chroma,
    /// `None`: any that works.
    pub gpu: Option<GpuChoice>,
    /// An encoder that keeps a frame for longer counts as hung.
    pub frame_deadline: Duration,
}

/// A sink, a feed or a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The name in its header; for a policy, its plugin's id.
    pub name: String,
    pub plugin: PluginSettings,
}

impl RecorderGraph {
    /// The plugins that a worker loads: of each track, its source and its encoders.
    pub fn worker_plugins(&self) -> impl Iterator<Item = &PluginSettings> {
        let tracks = self.recording.tracks.iter();
        tracks.flat_map(|track| std::iter::once(&track.source.plugin).chain(&track.encoder.plugins))
    }
}

impl Track {
    /// The worker's part of this track.
    pub fn job(&self) -> TrackJob {
        let Track { name, source, encoder } = self;
        let encode = EncodeRequest {
            codec: encoder.codec,
            rate: encoder.rate,
            keyframe_interval_ms: milliseconds(encoder.keyframe_interval),
            max_fps: source.max_fps,
            speed: encoder.speed,
            latency: encoder.latency,
            content: encoder.content,
            chroma: encoder.chroma,
        };
        TrackJob {
            changes_only: source.changes_only,
            keepalive_ns: u64::try_from(source.keepalive.as_nanos()).unwrap_or(u64::MAX),
            gpu: encoder.gpu.clone(),
            frame_deadline_ms: milliseconds(encoder.frame_deadline),
            ..TrackJob::new(name, source.plugin.clone(), encoder.plugins.clone(), encode)
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
