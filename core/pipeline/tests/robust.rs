//! Any file content leads to a result, never to a panic, and every mark is inside the text.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use deskreel_contract::Descriptor;
use deskreel_pipeline::{Catalog, check, dot, json_schema};

/// Mutations of each file. 100 files times 300 take about two seconds.
const ROUNDS: usize = 300;

/// Pieces that have upset parsers before: brackets, quotes, ends of lines, wide characters, huge numbers.
const PIECES: [&str; 24] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "\"\"\"",
    "'",
    "=",
    ".",
    ",",
    "#",
    "\n",
    "\r",
    "\t",
    "\u{feff}",
    "µ🦀",
    "0x",
    "99999999999999999999",
    "1979-05-27",
    "inf",
    "a.b.c = 1\n",
    "[source.screen]\n",
];

#[test]
fn mutated_files_never_panic() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let catalog = catalog(&root);
    let files = fs::read_dir(root.join("tests/config")).unwrap().map(|entry| entry.unwrap().path());
    let corpus: Vec<_> = files.filter_map(|path| fs::read_to_string(path).ok()).collect();
    assert!(!corpus.is_empty());
    let mut random = Random(0x5eed);
    for text in &corpus {
        let mut mutant = text.clone();
        for round in 0..ROUNDS {
            // Starts again every few rounds: far from a pipeline file there is little to find.
            if round % 8 == 0 {
                mutant.clone_from(text);
            }
            mutate(&mut mutant, &mut random);
            let (graph, diagnostics) = check(&mutant, &catalog);
            for label in diagnostics.iter().flat_map(|diagnostic| &diagnostic.labels) {
                assert!(mutant.get(label.span.clone()).is_some(), "{:?} is not in\n{mutant}", label.span);
            }
            graph.as_ref().map(dot);
        }
    }
}

#[test]
fn windows_files_are_read() {
    let text = "version = 1\nname = \"desk\"\n\n[recording]\ntracks = [\"video\"]\n";
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let messages = |text: &str| {
        let (_, diagnostics) = check(text, &Catalog::default());
        diagnostics.into_iter().map(|diagnostic| diagnostic.message).collect::<Vec<_>>()
    };
    assert_eq!(messages(&windows), messages(text));
    assert_eq!(messages(text), ["there is no encoder `video`"]);
}

#[test]
fn drawing_has_every_node_and_no_stray_quote() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("tests/config/good-all-keys.toml")).unwrap();
    let (graph, _) = check(&text.replace("/var/lib/deskreel", "/var/\\\"lib"), &catalog(&root));
    let drawn = dot(&graph.unwrap());
    let nodes =
        ["source.screen", "encoder.video", "encoder.small", "sink.archive", "sink.copy", "feed.desktop"];
    for node in nodes {
        assert!(drawn.contains(&format!("\"{node}\" [")), "{node} is not in\n{drawn}");
    }
    assert_eq!(drawn.matches("\"source.screen\" [").count(), 1, "a source with two encoders is drawn once");
    assert!(drawn.contains("/var/\\\"lib"), "{drawn}");
    assert_eq!(drawn.replace("\\\"", "").matches('"').count() % 2, 0);
}

#[test]
fn schema_of_an_empty_catalog_still_has_all_keys() {
    let schema = json_schema(&Catalog::default());
    let source = &schema["properties"]["source"]["additionalProperties"];
    assert_eq!(source["properties"]["max_fps"]["default"], 10);
    assert_eq!(source["properties"]["plugin"]["type"], "string");
}

fn mutate(text: &mut String, random: &mut Random) {
    let place = |random: &mut Random, text: &str| {
        let places: Vec<_> = text.char_indices().map(|(at, _)| at).collect();
        places.get(random.below(places.len().max(1))).copied().unwrap_or(0)
    };
    let (a, b) = (place(random, text), place(random, text));
    let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
    let to = (to..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap();
    match random.below(3) {
        0 => text.insert_str(from, PIECES[random.below(PIECES.len())]),
        1 => text.replace_range(from..to, ""),
        _ => {
            let copied = text[from..to].to_owned();
            text.insert_str(b, &copied);
        }
    }
}

/// xorshift64, Marsaglia 2003: the same mutants on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

fn catalog(root: &Path) -> Catalog {
    let text = fs::read_to_string(root.join("tests/config/catalog/plugins.toml")).unwrap();
    Catalog::new([toml::from_str::<Descriptor>(&text).unwrap()])
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    for deep in
        ["[".repeat(5000), "x = ".to_owned() + &"[".repeat(5000), format!("a{} = 1", ".a".repeat(200000))]
    {
        let (graph, diagnostics) = check(&deep, &Catalog::default());
        assert!(graph.is_none() && !diagnostics.is_empty());
    }
}
