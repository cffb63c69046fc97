//! The `deskreel` command.
//!
//! `args.rs` defines the command line; each command is one file in `command/`. Nothing here uses GStreamer: a
//! command that needs media asks a worker.

mod args;
pub mod command;

pub mod replay;

// Shared by commands.
mod exit;
mod manifest;
mod output;
mod progress;
mod sinks;

use std::process::ExitCode;

use clap::Parser;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

use args::{Args, Command, LogFormat, PluginsCommand, SchemaOf};

pub fn main() -> ExitCode {
    let args = Args::parse();
    let _log = log_to_stderr(&args.command);
    match run(args.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            exit::code_of(&error)
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    use command::{
        check, completions, devices, doctor, encoders, export, graph, record, replay, run, schema, verify,
    };
    match command {
        Command::Record(options) => record::run(&options),
        Command::Run { file, .. } => run::run(&file),
        Command::Check { file, probe: true, json } => check::probe(&file, json),
        Command::Check { file, probe: false, json } => check::run(&file, json),
        Command::Graph { file, format } => graph::run(&file, format),
        Command::Plugins(PluginsCommand::List { json }) => command::plugins::list(json),
        Command::Plugins(PluginsCommand::Show { plugin, json }) => command::plugins::show(&plugin, json),
        Command::Devices { json } => devices::run(json),
        Command::Encoders(options) => encoders::run(&options),
        Command::Verify { recording, json } => verify::run(&recording, json),
        Command::Export { recording, output, overwrite } => export::run(&recording, &output, overwrite),
        Command::Replay(options) => replay::run(&options),
        Command::Schema { of: SchemaOf::Pipeline } => schema::run(),
        Command::Schema { of: SchemaOf::Events } => schema::events(),
        Command::Doctor { file, json } => doctor::run(file.as_deref(), json),
        Command::Password { name } => command::password::run(&name),
        Command::Completions { shell } => completions::run(shell),
    }
}

/// Log lines that may wait to be written: 32 bytes each, reserved at the start. A busy second has a hundred.
const WAITING_LINES: usize = 4096;

/// Starts the log on standard error: of a service everything from `info` on, of a command only warnings. A
/// thread of its own writes it and drops lines that find no room, so that a service never waits for the
/// reader of its log. The guard writes the remaining lines when it is dropped.
fn log_to_stderr(command: &Command) -> WorkerGuard {
    let (level, format) = match command {
        Command::Run { log, .. } => ("info", *log),
        _ => ("warn", LogFormat::Text),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DESKREEL_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let color = deskreel_deployment::wants_color(&std::io::stderr());
    let (writer, guard) =
        NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).finish(std::io::stderr());
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(color)
        .with_writer(writer);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    guard
}
