//! The house is in order: what ARCHITECTURE.md, the glossary and the package list say is what the code does.
//!
//! Everything here reads files as text and knows no Rust grammar: it may be fooled on purpose, but not by accident.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod documents;
mod layers;
mod packages;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the repository that are ours; `target` is not.
const FOLDERS: [&str; 11] =
    ["cli", "core", "docs", "examples", "packaging", "pipelines", "plugins", "script", "sdk", "src", "tests"];

/// A text file of the repository.
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Its lines from 1, without comments and without the insides of strings.
    fn code(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, code(line)))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of ours whose name ends so, sorted by path.
fn files(extension: &str) -> Vec<File> {
    let mut found: Vec<PathBuf> = entries(root()).into_iter().filter(|path| path.is_file()).collect();
    FOLDERS.iter().for_each(|folder| collect(&root().join(folder), &mut found));
    found.retain(|path| path.extension().is_some_and(|own| own == extension));
    let mut files: Vec<File> = found.iter().map(|path| file(path)).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!files.is_empty(), "no .{extension} files");
    files
}

fn file(path: &Path) -> File {
    let inside = path.strip_prefix(root()).unwrap();
    File { path: inside.to_str().unwrap().replace('\\', "/"), text: fs::read_to_string(path).unwrap() }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        match path.is_dir() {
            // Other people's, put there by npm.
            true if path.ends_with("node_modules") => {}
            true => collect(&path, found),
            false => found.push(path),
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A line without its comment, its strings emptied.
fn code(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '/' if chars.peek() == Some(&'/') => break,
            '"' => {
                out.push('"');
                while let Some(inside) = chars.next() {
                    match inside {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                out.push('"');
            }
            other => out.push(other),
        }
    }
    out
}

/// What stands between `before` and the next `"`, each time.
fn literals<'a>(text: &'a str, before: &str) -> Vec<&'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once('"')).map(|(literal, _)| literal).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty())
}

/// The rows of the Markdown table with this header, cell by cell.
fn table(text: &str, header: &str) -> Vec<Vec<String>> {
    let (_, rest) = text.split_once(header).unwrap_or_else(|| panic!("no table with the header {header}"));
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn assert_none(wrong: &[String], rule: &str) {
    assert!(wrong.is_empty(), "{rule}:\n  {}", wrong.join("\n  "));
}

#[test]
fn text_of_strings_and_comments_is_no_code() {
    assert_eq!(code("let a = \"b \\\" // c\"; // d"), "let a = \"\"; ");
}
