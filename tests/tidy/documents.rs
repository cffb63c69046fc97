//! Files, functions, words and decisions that documents name exist.

use std::collections::BTreeSet;
use std::path::Path;

use super::{File, assert_none, assert_only, entries, files, read, root, table, words};

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in files("md") {
        let folder = root().join(&file.path);
        let folder = folder.parent().unwrap();
        let links =
            file.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        let inside =
            links.filter(|link| !link.contains("://") && !link.starts_with('#') && !link.contains(' '));
        let path = |link: &str| folder.join(link.split('#').next().unwrap());
        let dead = inside.filter(|link| !path(link).exists());
        wrong.extend(dead.map(|link| format!("{}: {link}", file.path)));
    }
    assert_none(&wrong, "links that lead nowhere");
}

#[test]
fn architecture_is_short_and_says_what_checks_each_invariant() {
    let text = read("ARCHITECTURE.md");
    assert!(text.lines().count() <= 400, "{} lines", text.lines().count());
    let rows = table(&text, "| | invariant | checked by |");
    assert!(rows.len() >= 10, "{} invariants", rows.len());
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(row[0], (index + 1).to_string(), "numbered in order");
        let checks: Vec<&str> = row[2].split('`').skip(1).step_by(2).collect();
        assert!(row[2] == "review" || !checks.is_empty(), "invariant {}: {}", row[0], row[2]);
        for check in checks {
            let (path, name) = check.split_once("::").unwrap_or((check, ""));
            assert!(Path::new(root()).join(path).exists(), "invariant {}: there is no {path}", row[0]);
            assert!(
                name.is_empty() || read(path).contains(&format!("fn {name}(")),
                "{path} has no test {name}"
            );
        }
    }
}

/// `run.rs` and `engine/src/frames.rs` are files of ours, `window.rs::coded` is a function in such a file.
#[test]
fn files_and_functions_that_architecture_names_exist() {
    let (text, sources) = (read("ARCHITECTURE.md"), files("rs"));
    let mut wrong = Vec::new();
    for name in text.split('`').skip(1).step_by(2) {
        let (path, function) = name.split_once("::").unwrap_or((name, ""));
        if !path.ends_with(".rs") || path.contains(' ') {
            continue;
        }
        let end = format!("/{path}");
        let mut named =
            sources.iter().filter(|file| file.path == path || file.path.ends_with(&end)).peekable();
        let defines = [format!("fn {function}("), format!("fn {function}<")];
        if named.peek().is_none() {
            wrong.push(format!("`{name}`: there is no {path}"));
        } else if !function.is_empty()
            && !named.any(|file| defines.iter().any(|define| file.text.contains(define)))
        {
            wrong.push(format!("`{name}`: {path} has no such function"));
        }
    }
    assert_none(&wrong, "ARCHITECTURE.md names what does not exist");
}

#[test]
fn each_decision_is_in_the_index_and_has_its_three_parts() {
    let index = read("docs/decisions/README.md");
    let names: BTreeSet<String> = entries(&root().join("docs/decisions"))
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "README.md")
        .collect();
    for (number, name) in names.iter().enumerate() {
        assert!(
            name.starts_with(&format!("{:04}-", number + 1)),
            "{name}: decisions are numbered without holes"
        );
        assert!(index.contains(&format!("({name})")), "{name} is not in the index");
        let text = read(&format!("docs/decisions/{name}"));
        let parts = ["\n## Context\n", "\n## Choice\n", "\n## Cost\n"].map(|part| text.find(part));
        assert!(parts.iter().all(Option::is_some) && parts.is_sorted(), "{name}: context, choice, cost");
    }
}

/// The words in code font of the glossary's last column.
fn words_ruled_out() -> BTreeSet<String> {
    let rows = table(&read("docs/glossary.md"), "| word | meaning | not |");
    rows.iter().flat_map(|row| row[2].split('`').skip(1).step_by(2).map(str::to_owned)).collect()
}

/// Names that are defined in a file after one of these keywords, each with its line's number.
fn defined_after(file: &File, keywords: &[&str]) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for (number, line) in file.code() {
        let line: Vec<&str> = words(&line).collect();
        let defined = line.windows(2).filter(|pair| keywords.contains(&pair[0]));
        names.extend(defined.map(|pair| (number, pair[1].to_owned())));
    }
    names
}

/// No name that is defined here has a part that the glossary rules out, as `util`.
#[test]
fn names_are_those_of_the_glossary() {
    let not = words_ruled_out();
    assert!(not.len() >= 5, "{not:?}");
    let mut wrong = Vec::new();
    for file in files("rs") {
        let names = defined_after(&file, &DEFINES).into_iter();
        let ruled_out = names.filter(|(_, name)| parts(name).iter().any(|part| not.contains(part)));
        wrong.extend(ruled_out.map(|(number, name)| format!("{}:{number}: {name}", file.path)));
    }
    assert_none(&wrong, "docs/glossary.md has another word for this");
}

/// Types whose names are still participles, as `FILE: NAME`.
const PARTICIPLES: &[&str] = &[];

/// No type has a name that the glossary lists with a capital letter: participles, which are not nouns.
#[test]
fn no_type_is_called_by_a_participle() {
    let not: BTreeSet<String> =
        words_ruled_out().into_iter().filter(|word| word.starts_with(char::is_uppercase)).collect();
    assert!(not.len() >= 5, "{not:?}");
    let mut wrong = Vec::new();
    for file in files("rs") {
        let names = defined_after(&file, &["enum", "struct", "trait", "type"]).into_iter();
        wrong.extend(
            names.filter(|(_, name)| not.contains(name)).map(|(_, name)| format!("{}: {name}", file.path)),
        );
    }
    assert_only(PARTICIPLES, &wrong, "a type's name is a noun");
}

/// Keywords before a defined name. `let` is not one: a name for a line or two may follow its library.
const DEFINES: [&str; 7] = ["const", "enum", "fn", "mod", "struct", "trait", "type"];

/// The parts of `NodeHelper` and `node_helper` are `node` and `helper`.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for char in name.chars() {
        if char == '_' || (char.is_uppercase() && !parts.last().unwrap().is_empty()) {
            parts.push(String::new());
        }
        if char != '_' {
            parts.last_mut().unwrap().extend(char.to_lowercase());
        }
    }
    parts
}

#[test]
fn names_have_parts() {
    assert_eq!(parts("NodeHelper"), ["node", "helper"]);
    assert_eq!(parts("node_helper"), ["node", "helper"]);
}
