//! Laws of the source tree: the code keeps to ARCHITECTURE.md, the glossary, the package list and
//! CONTRIBUTING.md.
//!
//! Everything here reads files as text, without Rust's grammar. It can be fooled on purpose, but not by
//! accident.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod documents;
mod layers;
mod packages;
mod sources;
mod widths;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the repository with files of ours, which `target` has not.
const FOLDERS: [&str; 13] = [
    "cli",
    "core",
    "docs",
    "examples",
    "packaging",
    "pipelines",
    "plugins",
    "script",
    "sdk",
    "server",
    "src",
    "tests",
    "web",
];

/// A text file of the repository.
struct File {
    /// Path from the root, with `/`.
    path: String,
    text: String,
}

impl File {
    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Its lines, numbered from 1, without comments and without the insides of strings.
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

/// Every file of ours with this extension, sorted by path.
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
            // Other people's files, from npm, and what is built from the player's sources.
            true if path.ends_with("node_modules") || path.ends_with("web/dist") => {}
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

/// Every text between `before` and the next `"`.
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

/// Asserts that only exceptions were found, and all of them, so that a list of exceptions only shrinks.
fn assert_only(allowed: &[&str], found: &[String], rule: &str) {
    let wrong: Vec<String> = found.iter().filter(|one| !allowed.contains(&one.as_str())).cloned().collect();
    assert_none(&wrong, rule);
    let gone = allowed.iter().filter(|one| !found.iter().any(|found| found == *one));
    let gone: Vec<String> = gone.map(|one| (*one).to_owned()).collect();
    assert_none(&gone, "exceptions that are not needed any more; remove them from their list in tests/tidy");
}

#[test]
fn text_of_strings_and_comments_is_not_code() {
    assert_eq!(code("let a = \"b \\\" // c\"; // d"), "let a = \"\"; ");
}
