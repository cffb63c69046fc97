//! `deskreel password NAME`: prints a line for the agents' file of the desktop API.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use deskreel_desk_api::agents_file_line;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

pub fn run(name: &str) -> Result<ExitCode> {
    let password = if io::stdin().is_terminal() {
        let password = ask("Password: ")?;
        if ask("Again: ")? != password {
            bail!("the passwords differ");
        }
        password
    } else {
        read()?
    };
    println!("{}", agents_file_line(name, &password)?);
    Ok(ExitCode::SUCCESS)
}

/// Prompts for a password without showing it.
fn ask(prompt: &str) -> Result<String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).context("cannot prompt on this terminal")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    eprint!("{prompt}");
    io::stderr().flush()?;
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let password = read();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    eprintln!();
    password
}

fn read() -> Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
