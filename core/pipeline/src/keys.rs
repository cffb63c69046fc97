//! Every key of the pipeline file except the plugins' own settings: one table for the checks, the
//! suggestions, the published JSON Schema and docs/pipeline-format.md.

use std::fmt;

use deskreel_contract::Kind;

use crate::choice::{self, Words};

/// The version of the format that this program reads.
pub const FORMAT_VERSION: i64 = 1;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    pub section: Section,
    pub name: &'static str,
    pub takes: Takes,
    pub need: Need,
    /// One line for the documentation and for editors.
    pub about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The keys before the first header.
    Root,
    Plugins,
    Source,
    Encoder,
    /// The value of `rate` in an encoder.
    Rate,
    Recording,
    Spool,
    Link,
    Sink,
    Feed,
    Policy,
    Server,
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    Version,
    /// Lower-case letters, digits, `-` and `_`, since it becomes the name of a folder.
    Name,
    Text,
    Texts,
    /// The name of a source of this file.
    Source,
    /// Names of encoders of this file; at least one, each once.
    Encoders,
    /// A plugin id.
    Plugin,
    /// One plugin id, or a list of them; at least one, each once.
    Plugins,
    Boolean,
    /// From the first to the second, inclusive.
    Integer(u32, u32),
    /// From the first to the second, inclusive, both as written in a file.
    Duration(&'static str, &'static str),
    BitRate(&'static str, &'static str),
    Size(&'static str, &'static str),
    /// One of these words.
    Choice(Words),
    /// A key and a value: `card=entry`.
    Pair,
    /// A GPU, by a name that still identifies it after a reboot.
    Gpu,
    Table(Section),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Need {
    Required,
    Optional,
    /// The value if the key is absent, as it would be written in the file.
    Default(&'static str),
}

use Need::{Default, Optional, Required};
use Takes::{
    BitRate, Boolean, Choice, Duration, Encoders, Gpu, Integer, Name, Plugin, Plugins, Size, Table, Text,
    Texts, Version,
};

const fn key(section: Section, name: &'static str, takes: Takes, need: Need, about: &'static str) -> Key {
    Key { section, name, takes, need, about }
}

/// All keys, in the order of the documentation.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key(Section::Root, "version", Version, Required, "Version of this format."),
    key(Section::Root, "name", Name, Required, "Name of the pipeline; every manifest has it."),

    key(Section::Plugins, "paths", Texts, Optional, "Folders to search for plugins before the usual ones."),
    key(Section::Plugins, "allow", Text, Optional, "Allow-list of plugins; without one, only the shipped plugins load."),

    key(Section::Source, "plugin", Plugin, Required, "Id of the source plugin."),
    key(Section::Source, "max_fps", Integer(1, 120), Default("10"), "Maximum frames per second."),
    key(Section::Source, "changes_only", Boolean, Optional, "Drop frames that are the same as the previous one; absent: as the plugin proposes."),
    key(Section::Source, "keepalive", Duration("200ms", "10m"), Default("5s"), "On a still screen, keep a frame at least this often."),

    key(Section::Encoder, "from", Takes::Source, Required, "Name of the source."),
    key(Section::Encoder, "plugin", Plugins, Required, "Ids of encoder plugins in order of preference; the first one that works on this machine is used."),
    key(Section::Encoder, "codec", Choice(choice::CODEC), Default("h264"), "Codec of the track."),
    key(Section::Encoder, "rate", Table(Section::Rate), Optional, "Quality or bit rate; absent: quality 23."),
    key(Section::Encoder, "keyframe_interval", Duration("200ms", "10m"), Default("4s"), "Maximum time from one keyframe to the next."),
    key(Section::Encoder, "speed", Choice(choice::SPEED), Default("fast"), "Load the machine as little as possible, or make a smaller file of the same quality."),
    key(Section::Encoder, "latency", Choice(choice::LATENCY), Default("low"), "Whether the encoder outputs each frame at once, or may hold frames back to make the file smaller."),
    key(Section::Encoder, "content", Choice(choice::CONTENT), Default("screen"), "What the pictures show."),
    key(Section::Encoder, "chroma", Choice(choice::CHROMA), Default("4:2:0"), "Color at half resolution, which every player supports, or in full, which keeps colored text sharp."),
    key(Section::Encoder, "gpu", Gpu, Optional, "The GPU to encode on; absent: any that works."),
    key(Section::Encoder, "gpu_gone", Choice(choice::GPU_GONE), Default("any"), "If `gpu` is missing from the machine: use any other GPU, or none and encode in software."),
    key(Section::Encoder, "frame_deadline", Duration("200ms", "30s"), Default("2s"), "An encoder that keeps a frame for longer counts as hung, and the next one takes over."),

    key(Section::Rate, "mode", Choice(choice::RATE_MODE), Required, "Constant quality, an average bit rate, or constant quality with a ceiling."),
    key(Section::Rate, "quality", Integer(0, 51), Default("23"), "H.264's quantizer scale, for every codec: 0 is lossless, 51 is worst; modes `quality` and `constrained`."),
    key(Section::Rate, "bitrate", BitRate("10k", "1000M"), Optional, "Average bit rate; required by mode `bitrate`."),
    key(Section::Rate, "max", BitRate("10k", "1000M"), Optional, "Maximum bit rate; optional in mode `bitrate`, required by mode `constrained`."),

    key(Section::Recording, "tracks", Encoders, Required, "Names of the encoders to record, one track each."),
    key(Section::Recording, "directory", Text, Default("recordings"), "Folder of the recordings."),
    key(Section::Recording, "fragment", Duration("200ms", "10s"), Default("1s"), "Length of a fragment: how much footage a crash may cost."),
    key(Section::Recording, "max_duration", Duration("1s", "168h"), Optional, "A recording that reaches this length is ended."),
    key(Section::Recording, "preroll", Duration("1s", "5m"), Optional, "Footage kept from before the start command."),
    key(Section::Recording, "locked", Choice(choice::LOCKED), Default("record"), "While the agent's session is locked: record its screen, or nothing, which leaves a gap."),

    key(Section::Spool, "quota", Size("10MB", "1000GB"), Optional, "The most disk space that recordings may take; absent: only `min_free` limits them."),
    key(Section::Spool, "min_free", Size("0B", "1000GB"), Default("1GiB"), "No recording begins if the disk has less free space than this; a running one is ended at a quarter of it."),
    key(Section::Spool, "when_full", Choice(choice::WHEN_FULL), Default("refuse"), "If there is no room: do not begin, or delete the oldest recording that was not delivered."),
    key(Section::Spool, "rate", BitRate("10k", "1000M"), Optional, "The most that all sinks together may send."),

    key(Section::Link, "server", Text, Required, "Address of the recording server, which then decides what is recorded; as in https://recordings.example."),
    key(Section::Link, "token_file", Text, Required, "File with this recorder's token."),
    key(Section::Link, "ca_file", Text, Optional, "File with certificates (PEM) to trust besides the machine's."),
    key(Section::Link, "plain_http", Boolean, Default("false"), "Send the token, and agents' passwords, over plain http to a server that is not on this PC."),

    key(Section::Sink, "plugin", Plugin, Required, "Id of the sink plugin."),

    key(Section::Feed, "plugin", Plugin, Required, "Id of the feed plugin."),

    key(Section::Policy, "plugin", Plugins, Required, "Ids of policy plugins; all are asked, and their order does not matter."),
    key(Section::Policy, "pause", Choice(choice::PAUSE), Default("follow"), "Which pauses footage follows: the voice recorder's and requested ones, only those requested for the screen, or none."),
    key(Section::Policy, "pause_as", Choice(choice::PAUSE_AS), Default("pause"), "What is shown instead of the screen meanwhile: a slate that says so, or a blank one."),
    key(Section::Policy, "pause_limit", Duration("1s", "24h"), Optional, "Capture resumes by itself after this time; absent: never."),
    key(Section::Policy, "pause_attached", Takes::Pair, Optional, "Key and value of attached data; footage is paused while the call has them, as in `card=entry`."),
    key(Section::Policy, "two_seats", Choice(choice::TWO_SEATS), Default("newest"), "The places at which an agent with two log-ins is recorded: the newest, or all."),
    key(Section::Policy, "late", Duration("1s", "10m"), Default("10s"), "How late an event may arrive and still be put in its place."),

    key(Section::Server, "listen", Text, Default("0.0.0.0:8443"), "Address and port that the server listens on."),
    key(Section::Server, "scheme", Choice(choice::SCHEME), Default("https"), "Protocol; use `http` only behind a proxy that speaks TLS."),
    key(Section::Server, "certificate", Text, Optional, "File with the certificate chain (PEM); required by scheme `https`."),
    key(Section::Server, "key", Text, Optional, "File with its private key (PEM); required by scheme `https`."),
    key(Section::Server, "database", Text, Default("sqlite:///var/lib/deskreel-server/index.db"), "URL of the index: `sqlite://` and a file, or `postgres://`."),
    key(Section::Server, "storage", Text, Default("file:///var/lib/deskreel-server/footage"), "URL of the footage: `file://` and a folder, or `s3://BUCKET/PREFIX` with `AWS_...` in the environment."),
    key(Section::Server, "largest_upload", Size("1MB", "4GiB"), Default("64MiB"), "Size limit of a fragment or manifest."),
    key(Section::Server, "largest_file", Size("1MB", "1000GB"), Default("4GiB"), "Size limit of a finished file of another recorder."),
    key(Section::Server, "quota", Size("10MB", "1000000GB"), Optional, "The most that one recorder may store in recordings that are not closed; absent: only the disk limits it."),
    key(Section::Server, "min_free", Size("0B", "1000GB"), Default("1GiB"), "Uploads are refused (507) if the disk of the storage or of the index has less free space than this; the rest is for the index."),
    key(Section::Server, "head_patience", Duration("100ms", "10m"), Default("10s"), "Time limit for the head of a request, and for the first bytes of a connection."),
    key(Section::Server, "body_patience", Duration("100ms", "10m"), Default("30s"), "Time limit for a body; an upload gets one second more per 16 KiB."),
    key(Section::Server, "answer_patience", Duration("100ms", "1h"), Default("1m"), "How long a client may read nothing of a response or a link."),
];

/// The sections that a file may have, by their names in the file.
pub const SECTIONS: [(&str, Section); 10] = [
    ("plugins", Section::Plugins),
    ("source", Section::Source),
    ("encoder", Section::Encoder),
    ("recording", Section::Recording),
    ("spool", Section::Spool),
    ("link", Section::Link),
    ("sink", Section::Sink),
    ("feed", Section::Feed),
    ("policy", Section::Policy),
    ("server", Section::Server),
];

impl Section {
    pub const ALL: [Section; 12] = [
        Section::Root,
        Section::Plugins,
        Section::Source,
        Section::Encoder,
        Section::Rate,
        Section::Recording,
        Section::Spool,
        Section::Link,
        Section::Sink,
        Section::Feed,
        Section::Policy,
        Section::Server,
    ];

    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.section == self)
    }

    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// The kind of plugin that the section configures; keys that are not in the table are its settings.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Section::Source => Some(Kind::Source),
            Section::Encoder => Some(Kind::Encoder),
            Section::Sink => Some(Kind::Sink),
            Section::Feed => Some(Kind::Feed),
            Section::Policy => Some(Kind::Policy),
            Section::Root
            | Section::Plugins
            | Section::Rate
            | Section::Recording
            | Section::Spool
            | Section::Link
            | Section::Server => None,
        }
    }

    /// The place in words, for messages and headings: `in [source.*]`.
    pub fn place(self) -> &'static str {
        match self {
            Section::Root => "at the top of the file",
            Section::Plugins => "in [plugins]",
            Section::Source => "in [source.*]",
            Section::Encoder => "in [encoder.*]",
            Section::Rate => "in `rate`",
            Section::Recording => "in [recording]",
            Section::Spool => "in [spool]",
            Section::Link => "in [link]",
            Section::Sink => "in [sink.*]",
            Section::Feed => "in [feed.*]",
            Section::Policy => "in [policy]",
            Section::Server => "in [server]",
        }
    }

    /// Returns whether only the file of a recorder may have it.
    pub fn is_of_recorder(self) -> bool {
        match self {
            Section::Source
            | Section::Encoder
            | Section::Rate
            | Section::Recording
            | Section::Spool
            | Section::Link
            | Section::Sink => true,
            Section::Root | Section::Plugins | Section::Feed | Section::Policy | Section::Server => false,
        }
    }

    /// Returns whether a file may have several of it, each with a name: `[source.screen]`.
    pub fn is_named(self) -> bool {
        matches!(self, Section::Source | Section::Encoder | Section::Sink | Section::Feed)
    }
}

/// The kind of value, for messages and tables: `an integer from 1 to 120`.
impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Takes::Version => write!(f, "the integer {FORMAT_VERSION}"),
            Takes::Name => f.write_str("a name"),
            Takes::Text => f.write_str("a string"),
            Takes::Texts => f.write_str("a list of strings"),
            Takes::Source => f.write_str("the name of a source"),
            Takes::Encoders => f.write_str("a list of encoder names"),
            Takes::Plugin => f.write_str("a plugin id"),
            Takes::Plugins => f.write_str("a plugin id or a list of them"),
            Takes::Boolean => f.write_str("a boolean"),
            Takes::Integer(min, max) => write!(f, "an integer from {min} to {max}"),
            Takes::Duration(min, max) => write!(f, "a duration from {min} to {max}"),
            Takes::BitRate(min, max) => write!(f, "a bit rate from {min} to {max}"),
            Takes::Size(min, max) => write!(f, "a size from {min} to {max}"),
            Takes::Choice(words) => {
                let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                match words.split_last() {
                    Some((last, rest)) if !rest.is_empty() => write!(f, "{} or {last}", rest.join(", ")),
                    _ => f.write_str(&words.join("")),
                }
            }
            Takes::Pair => f.write_str("a key and a value, as in `card=entry`"),
            Takes::Gpu => f.write_str("a PCI address, a UUID or a render node"),
            Takes::Table(_) => f.write_str("a table"),
        }
    }
}
