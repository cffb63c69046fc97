//! Every key of the pipeline file that is not a plugin's own setting: the one table behind the checks, the
//! suggestions, the published JSON Schema and docs/pipeline-format.md.

use std::fmt;

use deskreel_contract::Kind;

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
    /// Before the first header.
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

/// What may stand behind the equals sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    Version,
    /// Lower-case letters, digits, `-` and `_`: it becomes the name of a folder.
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
    /// Between the two, inclusive.
    Integer(u32, u32),
    /// Between the two, inclusive, both as they are written in a file.
    Duration(&'static str, &'static str),
    BitRate(&'static str, &'static str),
    Size(&'static str, &'static str),
    Choice(&'static [&'static str]),
    /// A key and a value: `card=entry`.
    Pair,
    /// A GPU by a name that outlives a reboot.
    Gpu,
    Table(Section),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Need {
    Required,
    Optional,
    /// What is used where the key is absent, as it would be written in the file.
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

/// In the order of the documentation.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key(Section::Root, "version", Version, Required, "Version of this format."),
    key(Section::Root, "name", Name, Required, "Name of the pipeline; it is written in every manifest."),

    key(Section::Plugins, "paths", Texts, Optional, "Folders to look for plugins in, before the usual ones."),
    key(Section::Plugins, "allow", Text, Optional, "Allow-list of plugins; without it only the shipped ones load."),

    key(Section::Source, "plugin", Plugin, Required, "Id of the source plugin."),
    key(Section::Source, "max_fps", Integer(1, 120), Default("10"), "Frames per second, at most."),
    key(Section::Source, "changes_only", Boolean, Optional, "Drop frames that show what the frame before showed; absent: as the plugin proposes."),
    key(Section::Source, "keepalive", Duration("200ms", "10m"), Default("5s"), "On a still screen, a frame at least this often."),

    key(Section::Encoder, "from", Takes::Source, Required, "Name of the source."),
    key(Section::Encoder, "plugin", Plugins, Required, "Ids of encoder plugins, in the order of preference; the first that proves itself is used."),
    key(Section::Encoder, "codec", Choice(&["h264", "h265", "av1"]), Default("h264"), "What to encode to."),
    key(Section::Encoder, "rate", Table(Section::Rate), Optional, "How much quality or bit rate; absent: quality 23."),
    key(Section::Encoder, "keyframe_interval", Duration("200ms", "10m"), Default("4s"), "From one keyframe to the next, at most."),
    key(Section::Encoder, "speed", Choice(&["fast", "balanced", "small"]), Default("fast"), "As little of the machine as possible, or a smaller file of the same quality."),
    key(Section::Encoder, "latency", Choice(&["low", "normal"]), Default("low"), "Whether each frame comes out at once, or may be held back where that makes the file smaller."),
    key(Section::Encoder, "content", Choice(&["screen", "camera"]), Default("screen"), "What the pictures show."),
    key(Section::Encoder, "chroma", Choice(&["4:2:0", "4:4:4"]), Default("4:2:0"), "Color at half resolution, as every player takes it, or in full, which keeps colored text sharp."),
    key(Section::Encoder, "gpu", Gpu, Optional, "The GPU that is to encode; absent: whichever proves itself."),
    key(Section::Encoder, "gpu_gone", Choice(&["any", "none"]), Default("any"), "Where `gpu` is not there: take any other GPU, or none and encode in software."),
    key(Section::Encoder, "frame_deadline", Duration("200ms", "30s"), Default("2s"), "An encoder that keeps a frame for longer hangs, and the next one takes over."),

    key(Section::Rate, "mode", Choice(&["quality", "bitrate", "constrained"]), Required, "Constant quality, an average bit rate, or constant quality with a ceiling."),
    key(Section::Rate, "quality", Integer(0, 51), Default("23"), "H.264's quantizer scale, for every codec: 0 is lossless, 51 is worst; modes `quality` and `constrained`."),
    key(Section::Rate, "bitrate", BitRate("10k", "1000M"), Optional, "Average; required by mode `bitrate`."),
    key(Section::Rate, "max", BitRate("10k", "1000M"), Optional, "Ceiling; mode `bitrate`, and required by mode `constrained`."),

    key(Section::Recording, "tracks", Encoders, Required, "Names of the encoders to record, one track each."),
    key(Section::Recording, "directory", Text, Default("recordings"), "Folder of the recordings."),
    key(Section::Recording, "fragment", Duration("200ms", "10s"), Default("1s"), "Length of a fragment: what a crash may cost."),
    key(Section::Recording, "max_duration", Duration("1s", "168h"), Optional, "A recording that runs longer is ended."),
    key(Section::Recording, "preroll", Duration("1s", "5m"), Optional, "Footage kept from before the start command."),
    key(Section::Recording, "locked", Choice(&["record", "gap"]), Default("record"), "While the agent's session is locked: record what its screen shows, or nothing, which is a gap."),

    key(Section::Spool, "quota", Size("10MB", "1000GB"), Optional, "Recordings on this disk take no more than this; absent: as `min_free` says."),
    key(Section::Spool, "min_free", Size("0B", "1000GB"), Default("1GiB"), "No recording begins where the disk has less room than this, and one that runs is ended at a quarter of it."),
    key(Section::Spool, "when_full", Choice(&["refuse", "drop_oldest"]), Default("refuse"), "Where there is no room: do not begin, or give up the oldest recording that was not delivered."),
    key(Section::Spool, "rate", BitRate("10k", "1000M"), Optional, "All sinks together send no more than this."),

    key(Section::Link, "server", Text, Required, "Address of the recording server, which decides from then on; as in https://recordings.example."),
    key(Section::Link, "token_file", Text, Required, "File with this recorder's token."),
    key(Section::Link, "ca_file", Text, Optional, "Certificates (PEM) to trust besides the machine's."),
    key(Section::Link, "plain_http", Boolean, Default("false"), "Send the token, and agents' passwords, over plain http to a server that is not on this PC."),

    key(Section::Sink, "plugin", Plugin, Required, "Id of the sink plugin."),

    key(Section::Feed, "plugin", Plugin, Required, "Id of the feed plugin."),

    key(Section::Policy, "plugin", Plugins, Required, "Ids of policy plugins; all are asked, and their order does not matter."),
    key(Section::Policy, "pause", Choice(&["follow", "screen", "ignore"]), Default("follow"), "Whose pauses footage follows: the voice recorder's and those asked for, only those asked for the screen, or none."),
    key(Section::Policy, "pause_as", Choice(&["pause", "mask"]), Default("pause"), "What stands for the screen meanwhile: a slate that says so, or a blank one."),
    key(Section::Policy, "pause_limit", Duration("1s", "24h"), Optional, "Capture goes on by itself after this; absent: never."),
    key(Section::Policy, "pause_attached", Takes::Pair, Optional, "Attached data that pause while the call has them, as in `card=entry`."),
    key(Section::Policy, "late", Duration("1s", "10m"), Default("10s"), "How late an event may be and still be put where it belongs."),

    key(Section::Server, "listen", Text, Default("0.0.0.0:8443"), "Address and port that the server listens on."),
    key(Section::Server, "scheme", Choice(&["https", "http"]), Default("https"), "How it is spoken to; `http` only behind a proxy that speaks TLS."),
    key(Section::Server, "certificate", Text, Optional, "File with the certificate chain (PEM); required by scheme `https`."),
    key(Section::Server, "key", Text, Optional, "File with its private key (PEM); required by scheme `https`."),
    key(Section::Server, "database", Text, Default("sqlite:///var/lib/deskreel-server/index.db"), "The index: `sqlite://` and a file, or `postgres://`."),
    key(Section::Server, "storage", Text, Default("file:///var/lib/deskreel-server/footage"), "The footage: `file://` and a folder, or `s3://BUCKET/PREFIX` with `AWS_...` in the environment."),
    key(Section::Server, "largest_upload", Size("1MB", "4GiB"), Default("64MiB"), "A fragment or manifest that is larger is not taken."),
    key(Section::Server, "largest_file", Size("1MB", "1000GB"), Default("4GiB"), "A finished file of another recorder that is larger is not taken."),
    key(Section::Server, "quota", Size("10MB", "1000000GB"), Optional, "What one recorder may have here that is not closed yet; absent: as much as there is room."),
    key(Section::Server, "head_patience", Duration("100ms", "10m"), Default("10s"), "How long the head of a request may take, and the first word of a connection."),
    key(Section::Server, "body_patience", Duration("100ms", "10m"), Default("30s"), "How long a body may take, and a second more for each 16 KiB of an upload."),
    key(Section::Server, "answer_patience", Duration("100ms", "1h"), Default("1m"), "How long nothing may be taken of an answer, or of a link."),
];

/// The sections that a file may have, with how they are written.
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

    /// `in [source.*]`, for messages and headings.
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

    /// Whether a file may have several, each with a name: `[source.screen]`.
    pub fn is_named(self) -> bool {
        matches!(self, Section::Source | Section::Encoder | Section::Sink | Section::Feed)
    }
}

/// What the key takes, for messages and tables: `an integer from 1 to 120`.
impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Takes::Version => write!(f, "the integer {FORMAT_VERSION}"),
            Takes::Name => f.write_str("a name"),
            Takes::Text => f.write_str("a text"),
            Takes::Texts => f.write_str("a list of texts"),
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
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
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
