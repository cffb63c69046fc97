//! Scenario files: `tests/scenario/<topic>/*.txt`. A comment states the rule, each line is a command, and its
//! outcome follows after `----`. `UPDATE=1` writes the actual outcomes instead. `ONLY=name` runs the files
//! with that in their name.

use std::fmt::Write;

use deskreel_model::Utc;
use serde_json::{Map, Value};

use crate::paths::root;

const LISTS: [&str; 3] = ["devices", "groups", "skills"];
const NUMBERS: [&str; 3] = ["seq", "limit_ms", "offset_ms"];

/// Runs every file of a topic. `run` takes the blocks of commands of one file and returns the outcome of
/// each.
pub fn check(topic: &str, run: impl Fn(&[String]) -> Vec<String>) {
    let folder = root().join("tests/scenario").join(topic);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    if let Ok(only) = std::env::var("ONLY") {
        files.retain(|file| file.file_stem().unwrap().to_string_lossy().contains(&only));
    }
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
            // A new scenario, without outcomes.
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

/// `call.held call=77` as an event.
pub fn event(at: Utc, rest: &str) -> Value {
    let mut words = rest.split_whitespace();
    let mut event = Map::new();
    event.insert("type".into(), words.next().expect("a type").into());
    event.insert("at".into(), at.to_string().into());
    for word in words {
        let (name, value) = word.split_once('=').expect("key=value");
        if let Some(key) = name.strip_prefix("attached.") {
            let attached = event.entry("attached").or_insert_with(|| Value::Object(Map::new()));
            attached.as_object_mut().unwrap().insert(key.to_owned(), value.into());
            continue;
        }
        let value = if LISTS.contains(&name) {
            value.split(',').collect()
        } else if NUMBERS.contains(&name) {
            Value::from(value.parse::<i64>().unwrap())
        } else {
            value.into()
        };
        event.insert(name.to_owned(), value);
    }
    Value::Object(event)
}
