//! The command line and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use deskreel_contract::Codec;

/// Records agents' screens with plugins and pipeline files.
#[derive(Debug, Parser)]
#[command(
    name = "deskreel",
    version,
    disable_help_subcommand = true,
    after_help = "\
Exit codes: 0 done, 1 something to report (nothing recorded, findings), 2 the pipeline file or the
command line, 3 a plugin, 4 the machine (screen, GPU, GStreamer), 5 the disk, 6 the network, 70 a
bug in Deskreel. DESKREEL_LOG=debug shows what happens inside; docs/errors.md explains every code."
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Record as a pipeline file says, until Ctrl-C
    #[command(after_help = "\
Examples:
  deskreel record pipelines/agent-desktop.toml
  deskreel record pipelines/synthetic.toml --duration 10s --output desk.mp4
  deskreel record pipelines/agent-desktop.toml --json | jq .event")]
    Record(RecordOptions),
    /// Run the recorder of this PC: serve agent desktops, apply policies, record, deliver
    #[command(after_help = "\
Examples:
  deskreel run pipelines/agent-desktop.toml
  deskreel run --log json /etc/deskreel/pipeline.toml
  kill -HUP $(pidof deskreel)    reads the file again; running recordings are not touched")]
    Run {
        /// The pipeline file
        file: PathBuf,
        /// Format of the log on standard error
        #[arg(long, value_enum, default_value = "text")]
        log: LogFormat,
    },
    /// Show every mistake in a pipeline file, with its line and column
    #[command(after_help = "\
Examples:
  deskreel check pipelines/agent-desktop.toml
  deskreel check --probe pipelines/agent-desktop.toml
  deskreel check --json pipelines/agent-desktop.toml | jq '.diagnostics[].code'")]
    Check {
        /// The pipeline file
        file: PathBuf,
        /// Also open its sources, and try its encoders on their pictures
        #[arg(long)]
        probe: bool,
        /// Print JSON (docs/errors.md)
        #[arg(long)]
        json: bool,
    },
    /// Draw a pipeline file as DOT or SVG
    #[command(after_help = "\
Examples:
  deskreel graph pipelines/agent-desktop.toml
  deskreel graph pipelines/agent-desktop.toml --format svg > pipeline.svg")]
    Graph {
        /// The pipeline file
        file: PathBuf,
        /// SVG needs Graphviz
        #[arg(long, value_enum, default_value = "dot")]
        format: GraphFormat,
    },
    /// Show the installed plugins, without running any of them
    #[command(
        subcommand,
        after_help = "\
Examples:
  deskreel plugins list
  deskreel plugins show source.x11"
    )]
    Plugins(PluginsCommand),
    /// List what can be captured on this machine
    #[command(after_help = "Example:\n  deskreel devices --json")]
    Devices {
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Try this machine's encoders: show which one is chosen, and why others are refused
    #[command(after_help = "\
Examples:
  deskreel encoders
  deskreel encoders pipelines/agent-desktop.toml
  deskreel encoders --codec h265 --fresh
  deskreel encoders --json | jq '.tracks[].candidates[] | {candidate, standing, reason}'")]
    Encoders(EncodersOptions),
    /// Check a recording against its manifest, byte by byte and frame by frame
    #[command(after_help = "\
Examples:
  deskreel verify recordings/20261123T071002Z-4f2a91
  deskreel verify --json recordings/20261123T071002Z-4f2a91 | jq .findings")]
    Verify {
        /// The recording's folder
        recording: PathBuf,
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Export a recording as one ordinary MP4
    #[command(after_help = "Example:\n  deskreel export recordings/20261123T071002Z-4f2a91 desk.mp4")]
    Export {
        /// The recording's folder
        recording: PathBuf,
        /// The file to write
        output: PathBuf,
        /// Replace an existing file
        #[arg(long)]
        overwrite: bool,
    },
    /// Run a log of events through a file's policies: show what would be recorded, and why
    #[command(after_help = "\
Examples:
  deskreel replay --pipeline pipelines/policies.toml examples/events/transfer-two-step.jsonl
  deskreel replay --pipeline pipelines/policies.toml day.jsonl --json | jq 'select(.row == \"recording\")'
  deskreel replay --pipeline pipelines/policies.toml day.jsonl --svg day.svg
  deskreel replay --diff old.toml new.toml day.jsonl")]
    Replay(ReplayOptions),
    /// Print the JSON Schema of pipeline files (for editors) or of events
    #[command(after_help = "\
Examples:
  deskreel schema > deskreel.schema.json
  deskreel schema events > events.schema.json")]
    Schema {
        /// What the schema describes
        #[arg(value_enum, default_value = "pipeline")]
        of: SchemaOf,
    },
    /// Show what on this machine would prevent a recording, and the cure
    #[command(after_help = "\
Examples:
  deskreel doctor
  deskreel doctor pipelines/agent-desktop.toml")]
    Doctor {
        /// Check what this pipeline file needs
        file: Option<PathBuf>,
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Print an agent's line for the `agents_file` of feed.desktop
    #[command(after_help = "\
Examples:
  deskreel password ann >> /etc/deskreel/agents
  printf secret | deskreel password ann")]
    Password {
        /// The agent's name; the password is prompted for, or read from standard input
        name: String,
    },
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  deskreel completions bash > ~/.local/share/bash-completion/completions/deskreel"
    )]
    Completions { shell: Shell },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    Dot,
    Svg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A pipeline file, with the settings of all installed plugins
    Pipeline,
    /// A line of a log of events
    Events,
}

#[derive(Debug, clap::Args)]
pub struct ReplayOptions {
    /// The log: one JSON object per line (docs/events.md); - is standard input
    pub events: PathBuf,
    /// The pipeline file with the policies
    #[arg(long, value_name = "FILE", required_unless_present = "diff", conflicts_with = "diff")]
    pub pipeline: Option<PathBuf>,
    /// Compare two files: show what the policies of the new one would change
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["timeline", "svg", "summary"])]
    pub diff: Option<Vec<PathBuf>>,
    /// Print JSON Lines (docs/command-line.md)
    #[arg(long, conflicts_with_all = ["timeline", "svg"])]
    pub json: bool,
    /// Draw a timeline as text, with one lane per agent
    #[arg(long)]
    pub timeline: bool,
    /// Draw the timeline as a picture
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
    /// Print only the number of events
    #[arg(long)]
    pub summary: bool,
}

#[derive(Debug, clap::Args)]
pub struct RecordOptions {
    /// The pipeline file
    pub file: PathBuf,
    /// Stop after this time, such as 90s, 10m or 4h
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Export one MP4 at the end
    #[arg(long, value_name = "FILE.mp4")]
    pub output: Option<PathBuf>,
    /// Print each event as a line of JSON (docs/command-line.md)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct EncodersOptions {
    /// Try the tracks and encoders of this pipeline file; without it, every encoder plugin on a screen of
    /// 1920x1080
    pub file: Option<PathBuf>,
    /// Codec if there is no file
    #[arg(long, value_enum, default_value = "h264", conflicts_with = "file")]
    pub codec: CodecName,
    /// Discard earlier results, and try everything again
    #[arg(long)]
    pub fresh: bool,
    /// Print JSON (docs/command-line.md)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum CodecName {
    H264,
    H265,
    Av1,
}

impl From<CodecName> for Codec {
    fn from(name: CodecName) -> Codec {
        match name {
            CodecName::H264 => Codec::H264,
            CodecName::H265 => Codec::H265,
            CodecName::Av1 => Codec::Av1,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum PluginsCommand {
    /// List the plugins, and why others are not used
    List {
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Show everything that a plugin says about itself
    Show {
        /// Its id, such as source.x11, or the file of a library
        plugin: String,
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    match deskreel_pipeline::parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        Some(_) => Err("it must be longer than zero".to_owned()),
        None => Err("expected a number and a unit, such as 90s, 10m or 4h".to_owned()),
    }
}
