//! Comments and documents are as narrow as code: at most [`WIDTH`] characters a line.

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

#[test]
fn comments_and_documents_are_narrow() {
    let mut wrong = Vec::new();
    for (extension, begins) in KINDS {
        // The marks under a mistake are as long as its line. The API types are generated.
        let exempt = ["tests/config/", "web/src/openapi.d.ts"];
        let own = files(extension);
        wrong
            .extend(own.iter().filter(|file| !file.is_in(&exempt)).flat_map(|file| wide_lines(file, begins)));
    }
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
