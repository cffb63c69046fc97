//! `deskreel completions SHELL`: prints a completion script.

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;

pub fn run(shell: Shell) -> Result<ExitCode> {
    clap_complete::generate(shell, &mut Args::command(), "deskreel", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
