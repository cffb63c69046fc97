//! The documents agree with the code: docs/pipeline-format.md has the table of keys, docs/errors.md the
//! codes.
//!
//! `UPDATE=1 cargo test -p deskreel-pipeline --test docs` rewrites the key tables.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use deskreel_pipeline::{Catalog, Code, Key, Need, Section, Severity, check, parse};

#[test]
fn format_page_has_the_key_table() {
    let file = docs().join("pipeline-format.md");
    let text = fs::read_to_string(&file).unwrap();
    let mut updated = text.clone();
    for section in Section::ALL {
        let begin = format!("<!-- keys {} -->\n", section.place());
        let from =
            updated.find(&begin).unwrap_or_else(|| panic!("no table {}", section.place())) + begin.len();
        let to = from + updated[from..].find("<!-- end -->").unwrap();
        updated.replace_range(from..to, &table(section));
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &updated).unwrap();
    } else {
        assert_eq!(text, updated, "run this test with UPDATE=1");
    }
}

/// They name plugins, so they are checked as far as possible without any.
#[test]
fn examples_of_the_format_page_are_right() {
    let text = fs::read_to_string(docs().join("pipeline-format.md")).unwrap();
    let examples: Vec<_> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() >= 3);
    for example in examples {
        let (document, mut diagnostics) = parse(example);
        if document.root.get("version").is_some() {
            diagnostics.extend(check(example, &Catalog::default()).1);
        }
        let beyond_plugins = |code| code != Code::UnknownPlugin && code != Code::Unused;
        diagnostics.retain(|d| d.severity == Severity::Error && beyond_plugins(d.code));
        assert!(diagnostics.is_empty(), "{example}\n{diagnostics:#?}");
    }
}

#[test]
fn error_page_explains_every_code() {
    let text = fs::read_to_string(docs().join("errors.md")).unwrap();
    let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("### P")).collect();
    let codes: Vec<_> = Code::ALL.iter().map(|(code, meaning)| format!("{code}: {meaning}")).collect();
    assert_eq!(headings, codes.iter().map(|code| &code[1..]).collect::<Vec<_>>());
}

/// Each example is part of a fixture, so it shows the program's output.
#[test]
fn examples_of_the_error_page_are_fixtures() {
    let fixtures: Vec<_> = fs::read_dir(docs().join("../tests/config"))
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .collect();
    let text = fs::read_to_string(docs().join("errors.md")).unwrap();
    let examples: Vec<_> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), Code::ALL.len());
    for ((code, _), example) in Code::ALL.iter().zip(examples) {
        assert!(example.contains(&format!("[{code}]")), "{code}: {example}");
        assert!(fixtures.iter().any(|fixture| fixture.contains(example)), "no fixture shows\n{example}");
    }
}

fn table(section: Section) -> String {
    let mut out = "\n| key | takes | default | |\n|---|---|---|---|\n".to_owned();
    for Key { name, takes, need, about, .. } in section.keys() {
        let default = match need {
            Need::Required => "required".to_owned(),
            Need::Optional => String::new(),
            Need::Default(text) => format!("`{text}`"),
        };
        out += &format!("| `{name}` | {takes} | {default} | {about} |\n");
    }
    out + "\n"
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}
