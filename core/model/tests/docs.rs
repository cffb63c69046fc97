//! docs/events.md documents what the code reads. `UPDATE=1 cargo test -p deskreel-model --test docs` rewrites
//! its table.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use deskreel_model::event::{Event, FieldKind, TYPES};
use serde_json::{Value, json};

const BEGIN: &str = "<!-- types -->\n";
const END: &str = "\n<!-- end -->";

#[test]
fn events_page_has_the_table_of_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let text = fs::read_to_string(&file).unwrap();
    let mut updated = text.clone();
    let from = updated.find(BEGIN).unwrap() + BEGIN.len();
    let to = from + updated[from..].find(END).unwrap();
    updated.replace_range(from..to, &table());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &updated).unwrap();
    } else {
        assert_eq!(text, updated, "run this test with UPDATE=1");
    }
}

fn table() -> String {
    let mut table = "\n| `type` | fields | |\n|---|---|---|\n".to_owned();
    for event in TYPES {
        let field = |field: &deskreel_model::event::Field| {
            let kind = match field.kind {
                FieldKind::Text => "",
                FieldKind::Texts => " (a list)",
                FieldKind::Number => " (a number)",
                FieldKind::Offset => " (a number)",
                FieldKind::Object => " (an object)",
            };
            let needed = if field.required { "**" } else { "" };
            format!("{needed}`{}`{needed}{kind}", field.name)
        };
        let is_single = |field: &&deskreel_model::event::Field| !event.one_of.contains(&field.name);
        let mut fields: Vec<_> = event.fields.iter().filter(is_single).map(field).collect();
        if !event.one_of.is_empty() {
            let one_of: Vec<_> = event.one_of.iter().map(|name| format!("`{name}`")).collect();
            fields.insert(1, format!("**{}**", one_of.join(" or ")));
        }
        table += &format!("| `{}` | {} | {} |\n", event.name, fields.join(", "), event.about);
    }
    table
}

/// The parser requires the fields that the table requires for each type, and no others.
#[test]
fn the_table_is_what_the_parser_reads() {
    for event in TYPES {
        let value = |kind| match kind {
            FieldKind::Text => json!("x"),
            FieldKind::Texts => json!(["x"]),
            FieldKind::Number | FieldKind::Offset => json!(1),
            FieldKind::Object => json!({}),
        };
        let mut whole = json!({ "type": event.name, "at": "2026-01-05T09:00:00.000Z" });
        for field in event.fields.iter().filter(|field| field.required) {
            whole[field.name] = value(field.kind);
        }
        if let Some(first) = event.one_of.first() {
            let error = Event::parse(&whole.to_string()).unwrap_err().to_string();
            assert_eq!(error, format!("`{}` needs the field `{first}`", event.name));
        }
        for alternative in event.one_of {
            whole.as_object_mut().unwrap().retain(|name, _| !event.one_of.contains(&name.as_str()));
            whole[*alternative] = json!("x");
            assert!(Event::parse(&whole.to_string()).is_ok(), "{whole}");
        }
        let read = Event::parse(&whole.to_string()).unwrap_or_else(|error| panic!("{}: {error}", event.name));
        assert_eq!(read.kind.name(), event.name);
        for field in event.fields.iter().filter(|field| field.required) {
            let mut less = whole.clone();
            less.as_object_mut().unwrap().remove(field.name);
            let error = Event::parse(&less.to_string()).unwrap_err().to_string();
            assert_eq!(error, format!("`{}` needs the field `{}`", event.name, field.name));
        }
    }
}

#[test]
fn a_text_that_is_not_an_event_is_refused_with_a_reason() {
    let error = |text: &str| Event::parse(text).unwrap_err().to_string();
    assert!(error("{").starts_with("not JSON: "));
    assert!(error("7").starts_with("not an event: "));
    assert_eq!(error(r#"{"at":"2026-01-05T09:00:00Z"}"#), "not an event: missing field `type` at column 29");
    assert_eq!(
        error(r#"{"type":"agent.state","at":"noon","agent":"ann"}"#),
        "`at` is not a time: `noon`; write UTC as in 2026-01-05T09:00:00.000Z"
    );
    let timer = r#"{"type":"timer","at":"2026-01-05T09:00:00Z","agent":"ann","name":"wrap-up"}"#;
    assert_eq!(error(timer), "only the host may send `timer`");
    let attached =
        r#"{"type":"call.held","at":"2026-01-05T09:00:00Z","call":"1","agent":"a","attached":[1]}"#;
    assert_eq!(error(attached), "`attached` of `call.held` is not an object of keys and values");
}

#[test]
fn unknown_fields_are_kept_for_policies() {
    let text = r#"{"type":"acme.mood","at":"2026-01-05T09:00:00Z","agent":"ann","mood":"fine"}"#;
    let event = Event::parse(text).unwrap();
    assert_eq!(event.kind.agents().map(ToString::to_string).collect::<Vec<_>>(), ["ann"]);
    assert_eq!(serde_json::from_str::<Value>(&event.json).unwrap()["mood"], "fine");
}
