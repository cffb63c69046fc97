//! Comments and documents are as narrow as code: at most [`WIDTH`] characters a line.

use std::collections::BTreeMap;

use super::{File, assert_none, files};

/// As `max_width` in rustfmt.toml, which leaves comments alone.
const WIDTH: usize = 110;

/// Kinds of files, and how a line begins that is all comment. Of a document every line counts.
const KINDS: [(&str, &[&str]); 9] = [
    ("rs", &["//"]),
    ("c", &["//", "*", "/*"]),
    ("h", &["//", "*", "/*"]),
    ("ts", &["//", "*", "/*"]),
    ("mjs", &["//", "*", "/*"]),
    ("py", &["#"]),
    ("toml", &["#"]),
    ("txt", &["#"]),
    ("md", &[""]),
];

/// Folders with lines that are still too wide, and how many at most.
const WIDE: &[(&str, usize)] = &[("core", 30), ("tests", 5), ("web", 3)];

#[test]
fn comments_and_documents_are_narrow() {
    let mut wide: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (extension, begins) in KINDS {
        // There a mark of a mistake is as long as it is.
        for file in files(extension).iter().filter(|file| !file.is_in(&["tests/config/"])) {
            let folder = file.path.split_once('/').map_or(".", |(folder, _)| folder).to_owned();
            wide.entry(folder).or_default().extend(wide_lines(file, begins));
        }
    }
    wide.retain(|_, lines| !lines.is_empty());
    let allowed =
        |folder: &str| WIDE.iter().find(|(allowed, _)| *allowed == folder).map_or(0, |(_, count)| *count);
    for (folder, lines) in &wide {
        println!("{folder}: {} of {} lines that may be wide", lines.len(), allowed(folder));
    }
    let too_many = wide.into_iter().filter(|(folder, lines)| lines.len() > allowed(folder));
    let wrong: Vec<String> = too_many.flat_map(|(_, lines)| lines).collect();
    assert_none(&wrong, &format!("a comment or document is wider than {WIDTH} characters"));
}

/// Without tables, links and blocks of code, which cannot be wrapped.
fn wide_lines(file: &File, begins: &[&str]) -> Vec<String> {
    let mut is_code = false;
    let mut wide = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let own = line.trim_start();
        let Some(begin) = begins.iter().find(|begin| own.starts_with(**begin)) else { continue };
        let text = own[begin.len()..].trim_start_matches(['/', '!', '#', '*']).trim_start();
        if text.starts_with("```") {
            is_code = !is_code;
        }
        let is_unbreakable = is_code || text.starts_with('|') || text.contains("](") || text.contains("://");
        if line.chars().count() > WIDTH && !is_unbreakable {
            wide.push(format!("{}:{}", file.path, index + 1));
        }
    }
    wide
}
