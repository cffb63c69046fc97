//! What a pipeline file means, once every name is resolved and every value is typed. Only a file without errors
//! has a graph.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_contract::{Chroma, Codec, Content, EncodeRequest, Latency, Rate, Speed};
use deskreel_model::PolicyRules;
use deskreel_model::worker::{GpuChoice, PluginSettings, TrackJob};

#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    pub name: String,
    /// As written; relative to where the command runs.
    pub plugin_paths: Vec<PathBuf>,
    pub allow: Option<PathBuf>,
    /// The file is a server's: it has this, and a recording without tracks.
    pub server: Option<Server>,
    pub recording: Recording,
    pub spool: Spool,
    /// Where a server decides what is recorded.
    pub link: Option<Link>,
    pub sinks: Vec<Node>,
    pub feeds: Vec<Node>,
    /// In the order in which they are asked.
    pub policies: Vec<Node>,
    /// What the host decides by itself.
    pub policy_rules: PolicyRules,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    pub directory: PathBuf,
    pub fragment: Duration,
    pub max_duration: Option<Duration>,
    pub preroll: Option<Duration>,
    /// Nothing is captured while the agent's session is locked.
    pub rests_while_locked: bool,
    /// In the order of `tracks`; at least one, but in the file of a server.
    pub tracks: Vec<Track>,
}

/// How the recording server is reached, and where it keeps what it takes in.
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
    /// Bytes.
    pub largest_upload: u64,
    /// Bytes, of a file that comes as a whole.
    pub largest_file: u64,
    /// Bytes.
    pub quota: Option<u64>,
    /// Who sends the head of a request slower holds a connection for nothing.
    pub head_patience: Duration,
    /// For a body, however short.
    pub body_patience: Duration,
    /// While nothing is taken of what is answered.
    pub answer_patience: Duration,
}

/// The line to a recording server.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub server: String,
    pub token_file: PathBuf,
    pub ca_file: Option<PathBuf>,
    pub plain_http: bool,
}

/// What recordings may take of the disk and of the line.
#[derive(Debug, Clone, PartialEq)]
pub struct Spool {
    /// Bytes.
    pub quota: Option<u64>,
    /// Bytes.
    pub min_free: u64,
    /// Where there is no room, the oldest recording goes although it was not delivered.
    pub drop_oldest: bool,
    /// Bits per second.
    pub rate: Option<u64>,
}

/// One source through one encoder. A source that feeds two encoders stands in two tracks.
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
    /// `None`: as the plugin's recipe says.
    pub changes_only: Option<bool>,
    pub keepalive: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EncoderNode {
    pub name: String,
    /// In the order of preference, each with the settings that it knows; at least one.
    pub plugins: Vec<PluginSettings>,
    pub codec: Codec,
    pub rate: Rate,
    pub keyframe_interval: Duration,
    pub speed: Speed,
    pub latency: Latency,
    pub content: Content,
    pub chroma: Chroma,
    /// `None`: whichever proves itself.
    pub gpu: Option<GpuChoice>,
    /// An encoder that keeps a frame for longer hangs.
    pub frame_deadline: Duration,
}

/// A sink, a feed or a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The name in its header; a policy has its plugin's id.
    pub name: String,
    pub plugin: PluginSettings,
}

impl Track {
    /// What the worker is told about this track.
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
