//! Runs `tests/scenario/logs/*.jsonl` through the engine and real policies, and compares the segments with
//! those that `*.expect.json` demands. The logs were written from the documents, without the code at hand;
//! `INDEX.md` says what each is about.
//!
//! An expected segment has `agent`, `id` (its call or its interaction), `role`, `from` and `to` (null: any
//! end is right), and may have `call`, `interaction`, `interaction_not`, the `place` of its footage, and
//! `withheld`, the stretches of it without a picture. Times agree within [`TOLERANCE_MS`].
//!
//! `ONLY=name` runs one log and shows its footage.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use deskreel_interaction::{Engine, LogClock, Output};
use deskreel_model::event::LoggedEvent;
use deskreel_model::segment::{Footage, Segment, WithheldPeriod};
use deskreel_model::{PolicyRules, Utc};
use deskreel_test_support::paths::root;
use serde::Deserialize;

use super::interaction::Opened;

const TOLERANCE_MS: u64 = 150;
const POLICY: &str = r#"[policy]
plugin = ["policy.voice-all-calls", "policy.after-call-work", "policy.agent-state"]
start_on = "call"
wrap_up = "work-mode"
states = [{ media = "chat", state = "ready" }]
"#;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedSegment {
    agent: String,
    id: String,
    role: String,
    from: String,
    to: Option<String>,
    call: Option<String>,
    interaction: Option<String>,
    interaction_not: Option<String>,
    place: Option<String>,
    withheld: Option<Vec<(String, String)>>,
}

/// Runs all logs. Panics with a list of those that are mapped otherwise.
pub fn check() {
    let mut mistakes = String::new();
    let opened = Opened::read(POLICY, &mut mistakes).unwrap_or_else(|| panic!("{mistakes}"));
    let only = std::env::var("ONLY").ok();
    let mut failures = String::new();
    let mut count = 0;
    for log in logs() {
        let name = log.file_stem().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        count += 1;
        let footage = map(&log, &opened.policies, &opened.rules);
        let expected = fs::read_to_string(log.with_extension("expect.json")).unwrap();
        let expected: Vec<ExpectedSegment> =
            serde_json::from_str(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
        let differences = differences(&expected, &footage);
        if !differences.is_empty() {
            writeln!(failures, "{name}:\n{differences}").unwrap();
        }
        if only.is_some() {
            writeln!(failures, "{footage:#?}").unwrap();
        }
    }
    assert!(count > 0, "there are no logs");
    assert!(failures.is_empty(), "of {count} logs these are mapped otherwise:\n{failures}");
}

fn logs() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("tests/scenario/logs")).unwrap();
    let mut logs: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    logs.sort();
    logs
}

/// The footage of a log, as `deskreel replay` yields it.
fn map(log: &Path, policies: &[deskreel_interaction::Policy], rules: &PolicyRules) -> Vec<Footage> {
    let mut engine = Engine::new(policies.to_vec(), rules.clone());
    let mut all = Vec::new();
    let mut take = |output| {
        if let Output::Footage(footage) = output {
            all.push(footage);
        }
    };
    let mut clock = LogClock::default();
    let text = fs::read_to_string(log).unwrap();
    let events = text.lines().map(|line| LoggedEvent::parse(line).unwrap_or_else(|e| panic!("{line}: {e}")));
    let arrived = events.filter_map(|event| clock.push(event)).collect::<Vec<_>>();
    for (event, received) in arrived.into_iter().chain(std::iter::from_fn(|| clock.pop())) {
        engine.push(event, received, &mut take);
    }
    engine.finish(&mut take);
    all
}

/// Names each segment that is missing, and each that nobody expects.
fn differences(expected: &[ExpectedSegment], footage: &[Footage]) -> String {
    let mut found: Vec<_> =
        footage.iter().flat_map(|footage| footage.segments.iter().map(move |one| (footage, one))).collect();
    let mut differences = String::new();
    for expected in expected {
        match found.iter().position(|(footage, segment)| expected.is(footage, segment)) {
            Some(index) => drop(found.remove(index)),
            None => writeln!(differences, "  missing: {expected:?}").unwrap(),
        }
    }
    for (footage, segment) in found {
        let Segment { interaction, call, role, from, to, .. } = segment;
        let (agent, place, withheld) = (&footage.agent, &footage.place, &footage.withheld);
        writeln!(
            differences,
            "  found:   {agent} at {place:?}: {role} of {interaction}, call {call:?}, {from} to {to:?}, {withheld:?}"
        )
        .unwrap();
    }
    differences
}

impl ExpectedSegment {
    fn is(&self, footage: &Footage, segment: &Segment) -> bool {
        let call = segment.call.as_ref().map(|call| call.as_str());
        let interaction = segment.interaction.as_str();
        // A call that has the id of an earlier one has an interaction of its own.
        let is_named = |wanted: &str| interaction == wanted || interaction.starts_with(&format!("{wanted}@"));
        self.agent == footage.agent.as_str()
            && self.role == segment.role.name()
            && (Some(&*self.id) == call || is_named(&self.id))
            && self.call.as_deref().is_none_or(|wanted| Some(wanted) == call)
            && self.interaction.as_deref().is_none_or(is_named)
            && self.interaction_not.as_deref() != Some(interaction)
            && self.place.as_deref().is_none_or(|wanted| {
                footage.place.as_ref().is_some_and(|place| place.as_str() == wanted)
            })
            && is_close(&self.from, segment.from)
            && self.to.as_deref().is_none_or(|to| segment.to.is_some_and(|found| is_close(to, found)))
            && self.withheld.as_ref().is_none_or(|wanted| are_withheld(wanted, footage, segment))
    }
}

fn are_withheld(wanted: &[(String, String)], footage: &Footage, segment: &Segment) -> bool {
    let overlaps = |period: &&WithheldPeriod| {
        segment.to.is_none_or(|to| period.from < to) && period.to.is_none_or(|to| to > segment.from)
    };
    let found: Vec<_> = footage.withheld.iter().filter(overlaps).collect();
    let same = |(period, (from, to)): (&&WithheldPeriod, &(String, String))| {
        let ends = period.to.into_iter().chain(segment.to).min();
        is_close(from, period.from.max(segment.from)) && ends.is_some_and(|end| is_close(to, end))
    };
    found.len() == wanted.len() && found.iter().zip(wanted).all(same)
}

fn is_close(wanted: &str, found: Utc) -> bool {
    let wanted = Utc::parse(wanted).unwrap_or_else(|| panic!("not a time: {wanted}"));
    let apart = wanted.saturating_since(found).max(found.saturating_since(wanted));
    apart.as_millis() <= u128::from(TOLERANCE_MS)
}
