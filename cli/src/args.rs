//! What can be typed, and the help to it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use deskreel_contract::Codec;

use crate::command::graph::Format;

/// Records what is on an agent's screen, by plugins and pipeline files.
#[derive(Debug, Parser)]
#[command(
    name = "deskreel",
    version,
    disable_help_subcommand = true,
    after_help = "\
Exit codes: 0 done, 1 there is something to report (nothing recorded, findings), 2 the pipeline file or the
command line, 3 a plugin, 4 the machine (screen, GPU, GStreamer), 5 the disk, 6 the network, 70 a bug of ours.
DESKREEL_LOG=debug shows what happens inside; docs/errors.md explains every code."
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
    /// Be the recorder of this PC: serve agent desktops, decide by policies, record, deliver
    #[command(after_help = "\
Examples:
  deskreel run pipelines/agent-desktop.toml
  deskreel run --log json /etc/deskreel/pipeline.toml
  kill -HUP $(pidof deskreel)    reads the file again; recordings that run are not touched")]
    Run {
        /// The pipeline file
        file: PathBuf,
        /// How what happens is written to the standard error
        #[arg(long, value_enum, default_value = "text")]
        log: LogFormat,
    },
    /// Show every mistake in a pipeline file, at its line and column
    #[command(after_help = "\
Examples:
  deskreel check pipelines/agent-desktop.toml
  deskreel check --probe pipelines/agent-desktop.toml
  deskreel check --json pipelines/agent-desktop.toml | jq '.diagnostics[].code'")]
    Check {
        /// The pipeline file
        file: PathBuf,
        /// Also open its sources, and try its encoders on what they show
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
        format: Format,
    },
    /// Show the plugins of this machine, without running any of them
    #[command(
        subcommand,
        after_help = "\
Examples:
  deskreel plugins list
  deskreel plugins show source.x11"
    )]
    Plugins(PluginsCommand),
    /// List what could be captured on this machine
    #[command(after_help = "Example:\n  deskreel devices --json")]
    Devices {
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Try the encoders of this machine: which one is chosen, and why others are refused
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
    /// Make one ordinary MP4 of a recording
    #[command(after_help = "Example:\n  deskreel export recordings/20261123T071002Z-4f2a91 desk.mp4")]
    Export {
        /// The recording's folder
        recording: PathBuf,
        /// The file to write
        output: PathBuf,
        /// Replace a file that is there already
        #[arg(long)]
        overwrite: bool,
    },
    /// Run a log of events through a file's policies: what would be recorded, and why
    #[command(after_help = "\
Examples:
  deskreel replay --pipeline pipelines/policies.toml examples/events/transfer-two-step.jsonl
  deskreel replay --pipeline pipelines/policies.toml day.jsonl --json | jq 'select(.row == \"recording\")'
  deskreel replay --pipeline pipelines/policies.toml day.jsonl --svg day.svg
  deskreel replay --diff old.toml new.toml day.jsonl")]
    Replay(ReplayOptions),
    /// Print the JSON Schema of pipeline files, for editors, or of events
    #[command(after_help = "\
Examples:
  deskreel schema > deskreel.schema.json
  deskreel schema events > events.schema.json")]
    Schema {
        /// Of what
        #[arg(value_enum, default_value = "pipeline")]
        of: SchemaOf,
    },
    /// Say what on this machine would stop a recording, and the cure
    #[command(after_help = "\
Examples:
  deskreel doctor
  deskreel doctor pipelines/agent-desktop.toml")]
    Doctor {
        /// Look at what this pipeline file needs
        file: Option<PathBuf>,
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Print the line of an agent for the file of agents and passwords of feed.desktop
    #[command(after_help = "\
Examples:
  deskreel password ann >> /etc/deskreel/agents
  printf secret | deskreel password ann")]
    Password {
        /// The agent's name; the password is asked for, or read from the standard input
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
    /// One JSON object a line
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A pipeline file, with the settings of all plugins of this machine
    Pipeline,
    /// One line of a log of events
    Events,
}

#[derive(Debug, clap::Args)]
pub struct ReplayOptions {
    /// The log: one JSON object a line (docs/events.md); - is the standard input
    pub events: PathBuf,
    /// The pipeline file whose policies are asked
    #[arg(long, value_name = "FILE", required_unless_present = "diff", conflicts_with = "diff")]
    pub pipeline: Option<PathBuf>,
    /// What would change from the policies of one file to those of the other
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["timeline", "svg", "summary"])]
    pub diff: Option<Vec<PathBuf>>,
    /// Print JSON Lines (docs/command-line.md)
    #[arg(long, conflicts_with_all = ["timeline", "svg"])]
    pub json: bool,
    /// Draw one lane an agent
    #[arg(long)]
    pub timeline: bool,
    /// Draw the same as a picture
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,
    /// Print only how many events there were
    #[arg(long)]
    pub summary: bool,
}

#[derive(Debug, clap::Args)]
pub struct RecordOptions {
    /// The pipeline file
    pub file: PathBuf,
    /// Stop after so long, as in 90s, 10m or 4h
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Export one MP4 at the end
    #[arg(long, value_name = "FILE.mp4")]
    pub output: Option<PathBuf>,
    /// Print one line of JSON for each event (docs/command-line.md)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
pub struct EncodersOptions {
    /// The tracks and encoders of this pipeline file; without it, every encoder plugin on a screen of 1920x1080
    pub file: Option<PathBuf>,
    /// What the encoders are to give, where there is no file
    #[arg(long, value_enum, default_value = "h264", conflicts_with = "file")]
    pub codec: CodecName,
    /// Forget what earlier tries have found, and try everything again
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
    /// One line a plugin, and why others are not used
    List {
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
    /// Everything that a plugin says of itself
    Show {
        /// Its id, as in source.x11, or a library's file
        plugin: String,
        /// Print JSON (docs/command-line.md)
        #[arg(long)]
        json: bool,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    match deskreel_pipeline::parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        Some(_) => Err("nothing can be recorded in no time".to_owned()),
        None => Err("expected a number and a unit, as in 90s, 10m or 4h".to_owned()),
    }
}
