//! Scenario files: `tests/scenario/<topic>/*.txt`. A comment states the rule, a line is a command, what it brings
//! about follows behind `----`. `UPDATE=1` writes what came out instead; understand a changed outcome before you
//! commit it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "scenario/interaction.rs"]
mod interaction;
#[path = "scenario/session.rs"]
mod session;

use std::fmt::Write;
use std::path::Path;

#[test]
fn interaction() {
    check("interaction", interaction::run);
}

#[test]
fn session() {
    check("session", session::run);
}

/// Runs every file of a topic: `run` gets the commands of one file, one block at a time, and says what each did.
fn check(topic: &str, run: impl Fn(&[String]) -> Vec<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenario").join(topic);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no scenarios in {}", folder.display());
    for file in files {
        let expected = std::fs::read_to_string(&file).unwrap();
        let (head, blocks) = parse(&expected);
        let outcomes = run(&blocks);
        let mut actual = head;
        for (block, outcome) in blocks.iter().zip(outcomes) {
            write!(actual, "{block}----\n{outcome}\n").unwrap();
        }
        let actual = actual.trim_end().to_owned() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, actual).unwrap();
        } else {
            assert_eq!(actual, expected, "{} (UPDATE=1 re-writes it)", file.display());
        }
    }
}

/// The comment at the top, and the commands of each block.
fn parse(text: &str) -> (String, Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let head =
        lines.iter().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let mut blocks = Vec::new();
    let mut commands = String::new();
    let mut in_outcome = false;
    for line in lines.iter().skip_while(|line| line.starts_with('#')) {
        match *line {
            "----" => {
                blocks.push(std::mem::take(&mut commands));
                in_outcome = true;
            }
            "" if in_outcome => in_outcome = false,
            "" if commands.is_empty() => {}
            // Without an outcome yet: a scenario that is being written.
            "" => blocks.push(std::mem::take(&mut commands)),
            _ if in_outcome => {}
            line => writeln!(commands, "{line}").unwrap(),
        }
    }
    if !commands.is_empty() {
        blocks.push(commands);
    }
    (head, blocks)
}
