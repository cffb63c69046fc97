//! `deskreel password NAME`: a line for the agents' file of the desktop API.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
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
    println!("{}", line(name, &password)?);
    Ok(ExitCode::SUCCESS)
}

pub fn line(name: &str, password: &str) -> Result<String> {
    if name.is_empty()
        || name.starts_with('#')
        || name.contains(|char: char| char == ':' || char.is_control())
    {
        bail!("`{name}` cannot be an agent's name here: it is empty, or has a colon or a line break");
    }
    if password.is_empty() {
        bail!("the password is empty");
    }
    // Argon2id with 19 MiB and two passes, as OWASP asks at least; the salt is random.
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(format!("{name}:{hash}"))
}

/// Without showing what is typed.
fn ask(prompt: &str) -> Result<String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).context("the terminal cannot be asked")?;
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
    io::stdin().lock().read_line(&mut line).context("no password could be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
