//! `deskreel password NAME`: prints a line for the agents' file of the desktop API.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use deskreel_desk_api::agents_file_line;
use deskreel_platform::terminal;

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

/// Asks for a password, and does not show what is typed.
fn ask(prompt: &str) -> Result<String> {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let password = terminal::without_echo(read).context("cannot prompt on this terminal")?;
    eprintln!();
    password
}

fn read() -> Result<String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
