//! docs/plugin-contract.md agrees with the code: vendors have nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use deskreel_contract::{
    Answer, Candidate, Device, EncodeRequest, Event, Fact, FinishedRecording, FragmentDelivery, Notice,
    PolicyAnswer, SourceRecipe, SourceRequest,
};
use deskreel_host::LOAD_LIMIT;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An example converted to a Rust value and back is the same: no field is misspelled, missing or ignored.
#[test]
fn examples_have_the_types_that_they_name() {
    let text = contract();
    let mut seen = BTreeSet::new();
    for (name, json) in examples(&text) {
        let read: Value =
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: {error}\n{json}"));
        let again = match name {
            "SourceRequest" => again::<SourceRequest>(json),
            "SourceRecipe" => again::<SourceRecipe>(json),
            "Device[]" => again::<Vec<Device>>(json),
            "Notice" => again::<Notice>(json),
            "EncodeRequest" => again::<EncodeRequest>(json),
            "Candidate[]" => again::<Vec<Candidate>>(json),
            "FragmentDelivery" => again::<FragmentDelivery>(json),
            "FinishedRecording" => again::<FinishedRecording>(json),
            "Answer" => again::<Answer>(json),
            "Fact" => serde_json::to_value(serde_json::from_str::<Fact>(json).unwrap()).unwrap(),
            "PolicyAnswer" => again::<PolicyAnswer>(json),
            "Event" => again::<Event>(json),
            other => panic!("`{other}` is not a type that crosses the plugin boundary"),
        };
        assert_eq!(again, read, "{name}");
        seen.insert(name);
    }
    assert_eq!(seen.len(), 12, "at least one example per type: {seen:?}");
}

#[test]
fn events_and_decisions_in_examples_are_in_the_tables() {
    let (text, events) = (contract(), document("events.md"));
    let rows = text.lines().chain(events.lines()).filter(|line| line.starts_with("| `"));
    let rows: Vec<&str> = rows.collect();
    let is_listed = |word: &str, fields: Vec<&str>| {
        let named =
            |row: &&&str| row.split('|').nth(1).is_some_and(|first| first.contains(&format!("`{word}`")));
        let row = rows.iter().find(named).unwrap_or_else(|| panic!("no row for `{word}`"));
        for field in fields {
            assert!(row.contains(&format!("`{field}`")), "`{field}` is not in the row of `{word}`");
        }
    };
    let is_event = |event: &Event| is_listed(&event.kind, event.fields.keys().map(String::as_str).collect());
    for (name, json) in examples(&text) {
        match name {
            "Event" => is_event(&serde_json::from_str(json).unwrap()),
            "Fact" => is_event(&serde_json::from_str::<Fact>(json).unwrap().event.read().unwrap()),
            "PolicyAnswer" => {
                for decision in serde_json::from_str::<PolicyAnswer>(json).unwrap().decisions {
                    is_listed(&decision.action, decision.fields().map(|(name, _)| name).collect());
                }
            }
            _ => {}
        }
    }
}

#[test]
fn load_limit_is_the_documented_one() {
    assert_eq!(LOAD_LIMIT.as_secs(), 5);
    assert!(contract().contains("Loading MUST return within five seconds."));
}

fn contract() -> String {
    document("plugin-contract.md")
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

/// The type that each example names, and its JSON.
fn examples(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let blocks = text.split("```json ").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().split_once('\n').unwrap())
}

fn again<T: DeserializeOwned + Serialize>(json: &str) -> Value {
    let read: T = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}\n{json}"));
    serde_json::to_value(read).unwrap()
}
