//! What is fuzzed; the corpus that was found is run again by tests/it/fuzz.rs.

#[allow(dead_code)]
#[path = "../../plugins/policy-recording-when/src/classic/parse.rs"]
mod parse;

use deskreel_interaction::{Engine, Output, Policy};
use deskreel_model::PolicyRules;
use deskreel_model::event::Event;
use deskreel_pipeline::Catalog;

/// Takes whatever bytes there are.
pub type Target = fn(&[u8]);

pub const TARGETS: [(&str, Target); 3] =
    [("events", events), ("expression", expression), ("classic", classic)];

/// Lines of a log, through a policy that wants footage of everything.
pub fn events(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let answer = r#"{"state":{"n":1},"decisions":[{"action":"start","why":"fuzz"}]}"#;
    let policy = Policy::from_fn("policy.fuzz", move |fact| {
        serde_json::from_str::<serde_json::Value>(fact).expect("a fact is JSON");
        Ok(answer.to_owned())
    });
    let mut engine = Engine::new(vec![policy], PolicyRules::default());
    let mut take = |output: Output| drop(output);
    for event in text.lines().filter_map(|line| Event::parse(line).ok()) {
        let received = event.at;
        engine.push(event, received, &mut take);
    }
    engine.finish(&mut take);
}

/// An expression in CEL, as `deskreel check` finds it in a pipeline file.
pub fn expression(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let descriptor = include_str!("../../plugins/policy-recording-when/plugin.toml");
    let descriptor = toml::from_str(descriptor).expect("a descriptor");
    let value = serde_json::to_string(text).expect("a text");
    let file = format!(
        "version = 1\nname = \"f\"\n[policy]\nplugin = \"policy.recording-when\"\nrecord_calls = {value}\n"
    );
    let (_, diagnostics) = deskreel_pipeline::check(&file, &Catalog::new([descriptor]));
    for diagnostic in diagnostics {
        assert!(file.get(diagnostic.span()).is_some(), "the place is one of the file: {diagnostic:?}");
    }
}

/// The classic expression.
pub fn classic(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse::Classic::parse(text);
    }
}
