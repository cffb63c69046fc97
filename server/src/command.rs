//! What can be typed after `deskreel-server`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use deskreel_model::Fault;

use crate::api::{Person, Role};
use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result, told};
use crate::import;
use crate::serve;

/// The recording server: learns who is recorded, takes recordings in, keeps them and shows them.
#[derive(Debug, Parser)]
#[command(name = "deskreel-server", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until asked to stop (SIGTERM, SIGINT).
    Serve {
        file: PathBuf,
        /// How the log is written to standard error.
        #[arg(long, value_enum, default_value_t)]
        log: Log,
    },
    /// Show every mistake in a server's file.
    Check { file: PathBuf },
    /// Enrol a recorder, and print its token; it cannot be shown again.
    Enrol {
        file: PathBuf,
        /// Where the recorder stands.
        #[arg(long)]
        place: String,
        /// Print a code instead, with which the recorder enrols itself, once and within a day.
        #[arg(long)]
        code: bool,
    },
    /// Recorders that are enrolled.
    #[command(subcommand)]
    Recorder(RecorderCommand),
    /// Take in agents, groups and places: TOML, or CSV with the columns agent, name, group and devices.
    Import { file: PathBuf, directory: PathBuf },
    /// People who may log in.
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Subcommand)]
enum RecorderCommand {
    /// One line each: id, place.
    List { file: PathBuf },
    /// Print another token for the same recorder; the one before is worth nothing from now on.
    Rotate { file: PathBuf, recorder: String },
    /// Its token is worth nothing from now on.
    Revoke { file: PathBuf, recorder: String },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// The password is read from standard input.
    Add {
        file: PathBuf,
        name: String,
        #[arg(long, value_enum)]
        role: Role,
        /// A supervisor's; may be given several times.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// Whose recordings are their own.
        #[arg(long)]
        agent: Option<String>,
    },
    /// One line each: name, role.
    List { file: PathBuf },
    /// Ends their sessions too.
    Remove { file: PathBuf, name: String },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Log {
    #[default]
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Server(#[from] Error),
    #[error(transparent)]
    File(#[from] deskreel_deployment::Error),
    /// The mistakes of the file were shown.
    #[error("the file has mistakes")]
    Mistakes,
    #[error("{0}")]
    Asked(String),
}

pub fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(&args.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::from(Fault::Device.exit_code());
        }
    };
    match runtime.block_on(run(args.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Server(error)) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(error.fault().exit_code())
        }
        Err(Failed::File(error)) => {
            eprintln!("error: {}", told(&error));
            ExitCode::from(error.fault().exit_code())
        }
        Err(Failed::Mistakes) => ExitCode::from(Fault::Config.exit_code()),
        Err(Failed::Asked(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(Fault::Config.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<(), Failed> {
    match command {
        Command::Serve { file, .. } => serve::run(config(&file)?).await?,
        Command::Check { file } => {
            config(&file)?;
            println!("{}: no errors", file.display());
        }
        Command::Enrol { file, place, code: false } => {
            let (recorder, token) = open(&file).await?.enrol(&place).await?;
            eprintln!("recorder {} at {place}", recorder.recorder);
            println!("{token}");
        }
        Command::Enrol { file, place, code: true } => {
            println!("{}", open(&file).await?.enrolment(&place).await?)
        }
        Command::Recorder(RecorderCommand::List { file }) => {
            for one in open(&file).await?.recorders().await? {
                println!("{} {}{}", one.recorder, one.place, if one.revoked { " (revoked)" } else { "" });
            }
        }
        Command::Recorder(RecorderCommand::Rotate { file, recorder }) => {
            let token = open(&file).await?.rotate(&recorder).await?;
            println!("{}", token.ok_or_else(|| Failed::Asked(format!("there is no recorder `{recorder}`")))?);
        }
        Command::Recorder(RecorderCommand::Revoke { file, recorder }) => {
            if !open(&file).await?.revoke(&recorder).await? {
                return Err(Failed::Asked(format!("there is no recorder `{recorder}`")));
            }
        }
        Command::Import { file, directory } => {
            let read = |source| Error::Read { what: directory.display().to_string(), source };
            let text = std::fs::read_to_string(&directory).map_err(read)?;
            let found = import::read(&directory, &text).map_err(Failed::Asked)?;
            open(&file).await?.import(&found).await?;
            let (agents, groups, places) = (found.agents.len(), found.groups.len(), found.places.len());
            println!("{agents} agents, {groups} groups, {places} places");
        }
        Command::User(UserCommand::Add { file, name, role, groups, agent }) => {
            let password = password()?;
            let person = Person { name, role, groups, agent, csrf: None };
            if !open(&file).await?.add_user(&person, &password).await? {
                return Err(Failed::Asked(format!("there is a user `{}` already", person.name)));
            }
        }
        Command::User(UserCommand::List { file }) => {
            for user in open(&file).await?.users().await? {
                println!("{} {}", user.name, user.role.name());
            }
        }
        Command::User(UserCommand::Remove { file, name }) => {
            if !open(&file).await?.remove_user(&name).await? {
                return Err(Failed::Asked(format!("there is no user `{name}`")));
            }
        }
    }
    Ok(())
}

fn config(file: &Path) -> Result<Config, Failed> {
    Config::read(file)?.ok_or(Failed::Mistakes)
}

async fn open(file: &Path) -> Result<Db, Failed> {
    Ok(Db::open(&config(file)?.graph.server.database).await?)
}

fn password() -> Result<String, Failed> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("Password (it is shown as you type): ");
    }
    let mut line = String::new();
    let read = |source| Error::Read { what: "standard input".to_owned(), source };
    stdin.lock().read_line(&mut line).map_err(read)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.len() < 8 {
        return Err(Failed::Asked("a password has eight characters at least".to_owned()));
    }
    Ok(password.to_owned())
}

/// A service tells what it does; a command only what goes wrong.
fn log_to_stderr(command: &Command) {
    let (level, format) = match command {
        Command::Serve { log, .. } => ("info", *log),
        _ => ("warn", Log::Text),
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("DESKREEL_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        Log::Text => log.init(),
        Log::Json => log.json().flatten_event(true).init(),
    }
}
