//! Policies of one file that are asked about the same event.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use deskreel_interaction::{Engine, Note, Output, Policy};
use deskreel_model::PolicyRules;
use deskreel_model::event::Event;
use serde_json::{Value, json};

type Facts = Arc<Mutex<Vec<Value>>>;

/// Remembers its facts without its own state, and answers each with these decisions.
fn policy(id: &str, decisions: Value) -> (Policy, Facts) {
    let facts = Facts::default();
    let heard = facts.clone();
    let policy = Policy::from_fn(id, move |fact| {
        let mut fact: Value = serde_json::from_str(fact).unwrap();
        let count = fact["state"].as_u64().unwrap_or(0) + 1;
        fact.as_object_mut().unwrap().remove("state");
        heard.lock().unwrap().push(fact);
        Ok(json!({ "state": count, "decisions": decisions }).to_string())
    });
    (policy, facts)
}

/// A call of a minute, with all kinds of events; the last one comes late.
fn run(policies: Vec<Policy>) -> Vec<Output> {
    let at = |second: u32| format!("2026-01-05T09:00:{second:02}.000Z");
    let events = [
        json!({ "type": "agent.logged_in", "at": at(0), "agent": "ann", "place": "PC-1" }),
        json!({ "type": "call.delivered", "at": at(1), "agent": "ann", "call": "1" }),
        json!({ "type": "recording.started", "at": at(2), "agent": "ann", "call": "1" }),
        json!({ "type": "call.established", "at": at(3), "agent": "ann", "call": "1" }),
        json!({ "type": "agent.state", "at": at(4), "agent": "ann", "state": "ready" }),
        json!({ "type": "call.held", "at": at(6), "agent": "ann", "call": "1" }),
        json!({ "type": "call.cleared", "at": at(8), "agent": "ann", "call": "1" }),
        json!({ "type": "interaction.accepted", "at": at(5), "agent": "ann", "interaction": "c", "media": "chat" }),
    ];
    let mut engine = Engine::new(policies, PolicyRules::default());
    let mut outputs = Vec::new();
    for event in events {
        let event = Event::parse(&event.to_string()).unwrap();
        let received = event.at;
        engine.push(event, received, &mut |output| outputs.push(output));
    }
    engine.finish(&mut |output| outputs.push(output));
    outputs
}

/// Whatever a policy decides takes effect after all have been asked.
#[test]
fn all_policies_see_the_same_fact_of_an_event() {
    let (first, before) = policy(
        "policy.first",
        json!([
            { "action": "start", "why": "always" },
            { "action": "mask", "why": "always" },
            { "action": "tag", "why": "always", "name": "a", "value": "b" },
            { "action": "forbid", "why": "this call", "call": "1" },
            { "action": "split", "why": "always" },
        ]),
    );
    let (second, after) = policy("policy.second", json!([{ "action": "stop", "why": "never" }]));
    let outputs = run(vec![first, second]);
    assert!(outputs.iter().any(|output| matches!(output, Output::Footage(_))));
    let (before, after) = (before.lock().unwrap(), after.lock().unwrap());
    // Eight events, and those after the late one again.
    assert!(before.len() > 8, "{}", before.len());
    assert_eq!(*before, *after);
}

#[test]
fn a_problem_is_reported_each_time_and_stops_no_other_decision() {
    let problem = json!({ "action": "problem", "why": "`x` is missing" });
    let (policy, facts) = policy("policy.p", json!([problem, { "action": "start", "why": "always" }]));
    let outputs = run(vec![policy]);
    let problems = outputs.iter().filter(|output| {
        matches!(output, Output::Note(Note::PolicyFailed { message, .. }) if message == "`x` is missing")
    });
    assert_eq!(problems.count(), 8, "once for each event, of {} questions", facts.lock().unwrap().len());
    assert!(outputs.iter().any(|output| matches!(output, Output::Footage(_))));
}
