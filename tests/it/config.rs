//! Every mistake in a pipeline file is shown in its place: `tests/config/*.toml`, one mistake a file.
//!
//! The expected diagnostics are comments under the line that they are about:
//!
//! ```toml
//! plugin = "encoder.h265"
//! #        ^^^^^^^^^^^^^^ error[P013]: no plugin has the id `encoder.h265`
//! #                      | help: did you mean `encoder.x264`?
//! ```
//!
//! Carets mark the mistake, dashes the places that it conflicts with. A mark in the first column, where the
//! `#` is, begins with `#<`. `UPDATE=1 cargo test --test it config` writes the actual diagnostics into the
//! files: read the diff before you commit it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use deskreel_contract::Descriptor;
use deskreel_pipeline::{Catalog, Code, Diagnostic, Span, check, json_schema};
use deskreel_test_support::paths::root;

/// Files that are about several diagnostics at once, and their number.
const SEVERAL: [(&str, usize); 5] = [
    ("five-mistakes", 5),
    ("syntax-several", 2),
    ("several-encoders-settings", 2),
    ("after-broken-line", 3),
    ("settings-several", 3),
];

#[test]
fn each_mistake_is_shown_where_it_is() {
    let catalog = fixture_catalog();
    let mut wrong = Vec::new();
    let mut counts = Vec::new();
    let mut codes = BTreeSet::new();
    let files = toml_files("tests/config");
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        let (graph, diagnostics) = check(&text, &catalog);
        let errors = diagnostics.iter().any(|diagnostic| diagnostic.severity.name() == "error");
        assert_eq!(graph.is_none(), errors, "{}: a graph means no errors", file.display());
        let shown = annotate(&text, &diagnostics);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(file, &shown).unwrap();
        } else if shown != text {
            wrong.push(format!("--- {}\n{shown}", file.display()));
        }
        let name = file.file_stem().unwrap().to_str().unwrap();
        let several = SEVERAL.iter().find(|(several, _)| *several == name);
        let expected = several.map_or(usize::from(!name.starts_with("good-")), |(_, count)| *count);
        if diagnostics.len() != expected {
            counts.push(format!("{name} shows {}, not {expected}:\n{shown}", diagnostics.len()));
        }
        codes.extend(diagnostics.iter().map(|diagnostic| diagnostic.code));
    }
    assert!(wrong.is_empty(), "these files show something else now:\n{}", wrong.join("\n"));
    assert!(counts.is_empty(), "one mistake a file, but {}", counts.join("\n"));
    let never: Vec<_> = Code::ALL.iter().filter(|(code, _)| !codes.contains(code)).collect();
    assert!(never.is_empty(), "no file shows {never:?}");
    assert!(files.len() >= 45, "{} files", files.len());
}

#[test]
fn shipped_pipelines_have_no_mistakes() {
    let catalog = shipped_catalog();
    let files = toml_files("pipelines");
    assert!(!files.is_empty());
    for file in files {
        let (graph, diagnostics) = check(&fs::read_to_string(&file).unwrap(), &catalog);
        assert!(graph.is_some() && diagnostics.is_empty(), "{}: {diagnostics:#?}", file.display());
    }
}

#[test]
fn published_schema_takes_good_files_and_refuses_plain_mistakes() {
    let judge = |file: &Path, catalog: &Catalog| {
        let value: serde_json::Value = toml::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let schema = json_schema(catalog);
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        validator.iter_errors(&value).map(|error| error.to_string()).collect::<Vec<_>>()
    };
    for file in toml_files("pipelines") {
        assert_eq!(judge(&file, &shipped_catalog()), Vec::<String>::new(), "{}", file.display());
    }
    let fixtures = fixture_catalog();
    let folder = root().join("tests/config");
    for good in ["good-all-keys", "good-smallest"] {
        let file = folder.join(good).with_extension("toml");
        assert_eq!(judge(&file, &fixtures), Vec::<String>::new(), "{good}");
    }
    for plain in
        ["unknown-key", "setting-unknown", "setting-enum", "plugin-unknown", "key-missing", "section-unknown"]
    {
        assert!(!judge(&folder.join(plain).with_extension("toml"), &fixtures).is_empty(), "{plain}");
    }
}

/// The text with these diagnostics as comments, in place of the former ones.
fn annotate(text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let bare = line.trim_end_matches('\n');
        if !is_expectation(bare) {
            out += bare;
            out += "\n";
        }
        for diagnostic in diagnostics {
            let severity = diagnostic.severity.name();
            for (index, label) in diagnostic.labels.iter().enumerate() {
                let here = (start..end).contains(&label.span.start)
                    || (label.span.start == text.len() && end == text.len());
                let (mark, remark) = match index {
                    0 => ('^', format!("{severity}[{}]: {}", diagnostic.code, diagnostic.message)),
                    _ => ('-', label.text.clone()),
                };
                if here {
                    let marks = marks(bare, start, &label.span, mark);
                    out += &format!("{marks} {remark}\n");
                    let help = diagnostic.help.as_ref().filter(|_| index == 0);
                    let bar = format!("#{}", " ".repeat(marks.chars().count() - 1));
                    out += &help.map_or(String::new(), |help| format!("{bar} | help: {help}\n"));
                }
            }
        }
        start = end;
    }
    out
}

/// `#      ^^^^` under the part of the span that is on this line; at least one mark.
fn marks(line: &str, start: usize, span: &Span, mark: char) -> String {
    let from = (span.start - start).min(line.len());
    let to = (span.end - start).clamp(from, line.len());
    let column = line[..from].chars().count();
    let width = line[from..to].chars().count().max(1);
    match (column, width) {
        (0, width) => format!("#<{}", mark.to_string().repeat(width.saturating_sub(2))),
        (column, width) => format!("#{}{}", " ".repeat(column - 1), mark.to_string().repeat(width)),
    }
}

fn is_expectation(line: &str) -> bool {
    let Some(comment) = line.strip_prefix('#') else { return false };
    let comment = comment.trim_start();
    ["^", "--", "<", "- ", "| help: "].iter().any(|begin| comment.starts_with(begin))
}

fn fixture_catalog() -> Catalog {
    Catalog::new([descriptor(&root().join("tests/config/catalog/plugins.toml"))])
}

/// The descriptors of the plugins of this repository, which need not be built.
fn shipped_catalog() -> Catalog {
    let folders = fs::read_dir(root().join("plugins")).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.map(|folder| folder.join("plugin.toml")).filter(|file| file.exists());
    Catalog::new(files.map(|file| descriptor(&file)))
}

fn descriptor(file: &Path) -> Descriptor {
    let text = fs::read_to_string(file).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    files.sort();
    files
}
