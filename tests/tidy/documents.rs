//! Documents that name files, words and decisions name what there is.

use std::collections::BTreeSet;
use std::path::Path;

use super::{assert_none, entries, files, read, root, table, words};

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
    assert_none(&wrong, "links to what is not there");
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

/// What is defined here has no name that the glossary rules out.
#[test]
fn names_are_those_of_the_glossary() {
    let rows = table(&read("docs/glossary.md"), "| word | meaning | not |");
    let not: BTreeSet<String> =
        rows.iter().flat_map(|row| row[2].split('`').skip(1).step_by(2).map(str::to_owned)).collect();
    assert!(not.len() >= 5, "{not:?}");
    let mut wrong = Vec::new();
    for file in files("rs") {
        for (number, line) in file.code() {
            let line: Vec<&str> = words(&line).collect();
            let defined = line.windows(2).filter(|pair| DEFINES.contains(&pair[0])).map(|pair| pair[1]);
            let ruled_out = defined.filter(|name| parts(name).iter().any(|part| not.contains(part)));
            wrong.extend(ruled_out.map(|name| format!("{}:{number}: {name}", file.path)));
        }
    }
    assert_none(&wrong, "docs/glossary.md has another word for this");
}

/// Behind these a name is given. `let` is not among them: what is named for a line or two may follow its library.
const DEFINES: [&str; 7] = ["const", "enum", "fn", "mod", "struct", "trait", "type"];

/// `NodeHelper` and `node_helper` are `node` and `helper`.
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
