//! Runs a command beside a backend of the recording server. The backend ends with the command.
//!
//! ```text
//! with-backend postgres COMMAND...    servers that the command starts keep their index in PostgreSQL
//! with-backend s3 COMMAND...          servers that the command starts keep their footage in S3
//! ```
//!
//! Exits as the command does, with 1 if no server used the backend, and with 77 if the backend is not
//! installed.

use std::process::{Command, ExitCode};

use deskreel_test_support::postgres::{self, Postgres};
use deskreel_test_support::s3::{self, S3};

/// Exit code of a skipped test, as in Automake.
const SKIPPED: u8 = 77;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [backend, program, rest @ ..] = &arguments[..] else {
        eprintln!("usage: with-backend postgres|s3 COMMAND...");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(rest);
    match backend.as_str() {
        "postgres" => {
            let postgres = Postgres::start();
            let code = run(command.env(postgres::VARIABLE, postgres.url()));
            let indexes = postgres.indexes();
            println!("{indexes} servers kept their index in PostgreSQL");
            if indexes == 0 { ExitCode::FAILURE } else { code }
        }
        "s3" => {
            let Some(s3) = S3::start() else { return ExitCode::from(SKIPPED) };
            let code = run(command.env(s3::VARIABLE, s3::BUCKET).envs(s3.environment()));
            let recordings = s3.recordings();
            println!("{recordings} recordings were kept in S3");
            if recordings == 0 { ExitCode::FAILURE } else { code }
        }
        other => {
            eprintln!("with-backend: there is no `{other}`; use postgres or s3");
            ExitCode::from(2)
        }
    }
}

fn run(command: &mut Command) -> ExitCode {
    match command.status() {
        Ok(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("with-backend: {:?}: {error}", command.get_program());
            ExitCode::FAILURE
        }
    }
}
