//! The command line of `deskreel-server`.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use deskreel_model::Fault;

use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result, with_causes};
use crate::import;
use crate::names::RecorderId;
use crate::people::{Person, Role};
use crate::serve;

/// The recording server: decides who is recorded, and stores and shows the recordings.
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
        /// Format of the log on standard error.
        #[arg(long, value_enum, default_value_t)]
        log: Log,
    },
    /// Report every mistake in a server's file.
    Check { file: PathBuf },
    /// Enrol a recorder and print its token, which cannot be shown again.
    Enrol {
        file: PathBuf,
        /// The recorder's place.
        #[arg(long)]
        place: String,
        /// Print a code instead, with which the recorder can enrol itself once within a day.
        #[arg(long)]
        code: bool,
    },
    /// Manage enrolled recorders.
    #[command(subcommand)]
    Recorder(RecorderCommand),
    /// Import agents, groups and places from TOML, or agents from CSV with the columns agent, name, group,
    /// aliases and devices. Names that several agents have are reported.
    Import { file: PathBuf, directory: PathBuf },
    /// Manage people who may log in.
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Subcommand)]
enum RecorderCommand {
    /// List recorders, one per line: id, place.
    List { file: PathBuf },
    /// Print a new token for a recorder and revoke its present one.
    Rotate { file: PathBuf, recorder: String },
    /// Revoke a recorder's token.
    Revoke { file: PathBuf, recorder: String },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a user; the password is read from standard input.
    Add {
        file: PathBuf,
        name: String,
        #[arg(long, value_enum)]
        role: Role,
        /// Group of a supervisor; repeat for several.
        #[arg(long = "group")]
        groups: Vec<String>,
        /// The agent whose recordings are the user's own.
        #[arg(long)]
        agent: Option<String>,
    },
    /// List users, one per line: name, role.
    List { file: PathBuf },
    /// Remove a user and end their sessions.
    Remove { file: PathBuf, name: String },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Log {
    #[default]
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Server(#[from] Error),
    #[error(transparent)]
    File(#[from] deskreel_deployment::Error),
    /// The mistakes of the file were shown.
    #[error("the file has mistakes")]
    Mistakes,
    #[error("{0}")]
    Usage(String),
}

pub fn main() -> ExitCode {
    let args = Args::parse();
    log_to_stderr(&args.command);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::from(Fault::Device.exit_code());
        }
    };
    match runtime.block_on(run(args.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Server(error)) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::from(error.fault().exit_code())
        }
        Err(Failure::File(error)) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::from(error.fault().exit_code())
        }
        Err(Failure::Mistakes) => ExitCode::from(Fault::Config.exit_code()),
        Err(Failure::Usage(why)) => {
            eprintln!("error: {why}");
            ExitCode::from(Fault::Config.exit_code())
        }
    }
}

async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve { file, .. } => serve::run(config(&file)?).await?,
        Command::Check { file } => {
            config(&file)?;
            println!("{}: no errors", file.display());
        }
        Command::Enrol { file, place, code: false } => {
            let (recorder, token) = open(&file).await?.enrol(&place.as_str().into()).await?;
            eprintln!("recorder {} at {place}", recorder.id);
            println!("{token}");
        }
        Command::Enrol { file, place, code: true } => {
            println!("{}", open(&file).await?.add_enrolment(&place.as_str().into()).await?)
        }
        Command::Recorder(command) => run_recorder(command).await?,
        Command::Import { file, directory } => import_directory(&file, &directory).await?,
        Command::User(command) => run_user(command).await?,
    }
    Ok(())
}

async fn run_recorder(command: RecorderCommand) -> Result<(), Failure> {
    let unknown = |recorder: &RecorderId| Failure::Usage(format!("there is no recorder `{recorder}`"));
    match command {
        RecorderCommand::List { file } => {
            for one in open(&file).await?.recorders().await? {
                println!("{} {}{}", one.recorder, one.place, if one.revoked { " (revoked)" } else { "" });
            }
        }
        RecorderCommand::Rotate { file, recorder } => {
            let recorder = RecorderId(recorder);
            let token = open(&file).await?.rotate(&recorder).await?;
            println!("{}", token.ok_or_else(|| unknown(&recorder))?);
        }
        RecorderCommand::Revoke { file, recorder } => {
            let recorder = RecorderId(recorder);
            if !open(&file).await?.revoke(&recorder).await? {
                return Err(unknown(&recorder));
            }
        }
    }
    Ok(())
}

async fn run_user(command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { file, name, role, groups, agent } => {
            let password = password()?;
            let agent = agent.map(|agent| agent.as_str().into());
            let person = Person { name: name.into(), role, groups, agent, csrf: None };
            if !open(&file).await?.add_user(&person, &password).await? {
                return Err(Failure::Usage(format!("the user `{}` exists already", person.name)));
            }
        }
        UserCommand::List { file } => {
            for user in open(&file).await?.users().await? {
                println!("{} {}", user.name, user.role.name());
            }
        }
        UserCommand::Remove { file, name } => {
            let name = name.into();
            if !open(&file).await?.remove_user(&name).await? {
                return Err(Failure::Usage(format!("there is no user `{name}`")));
            }
        }
    }
    Ok(())
}

async fn import_directory(file: &Path, directory: &Path) -> Result<(), Failure> {
    let read = |source| Error::Read { what: directory.display().to_string(), source };
    let text = std::fs::read_to_string(directory).map_err(read)?;
    let found = import::read(directory, &text).map_err(Failure::Usage)?;
    let db = open(file).await?;
    db.import(&found).await?;
    for conflict in db.identities().await?.conflicts() {
        eprintln!("warning: {conflict}");
    }
    let (agents, groups, places) = (found.agents.len(), found.groups.len(), found.places.len());
    println!("{agents} agents, {groups} groups, {places} places");
    Ok(())
}

fn config(file: &Path) -> Result<Config, Failure> {
    Config::read(file)?.ok_or(Failure::Mistakes)
}

async fn open(file: &Path) -> Result<Db, Failure> {
    Ok(Db::open(&config(file)?.graph.server.database).await?)
}

fn password() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprint!("Password (it is shown as you type): ");
    }
    let mut line = String::new();
    let read = |source| Error::Read { what: "standard input".to_owned(), source };
    stdin.lock().read_line(&mut line).map_err(read)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.len() < 8 {
        return Err(Failure::Usage("a password needs at least eight characters".to_owned()));
    }
    Ok(password.to_owned())
}

/// A service logs everything it does, a command only its failures.
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
