//! Runs the logs in `tests/scenario/logs` through the engine and real policies, and compares the segments
//! with those that they demand. The logs were written from the documents, without the code at hand; a file
//! has several of one kind.
//!
//! An expected segment has `agent`, `id` (its call or its interaction), `role`, `from` and `to` (null: any
//! end is right), and may have `call`, `interaction`, `interaction_not`, the `place` of its footage, and
//! `withheld`, the stretches of it without a picture. Times agree within [`TOLERANCE_MS`].
//!
//! `ONLY=name` runs one log and shows its footage.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use deskreel_contract::Role;
use deskreel_interaction::{Engine, LogClock, Output};
use deskreel_model::event::{Event, Kind, LoggedEvent};
use deskreel_model::segment::{Footage, Segment, WithheldPeriod};
use deskreel_model::{CallId, InteractionId, Place, Utc};
use deskreel_test_support::paths::root;
use deskreel_test_support::random::Random;
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

/// One log with its segments.
struct Case {
    name: String,
    events: Vec<LoggedEvent>,
    expected: Vec<ExpectedSegment>,
}

/// Runs all logs. Panics with a list of those that are mapped otherwise.
pub fn check() {
    let opened = opened();
    let only = std::env::var("ONLY").ok();
    let mut failures = String::new();
    let mut cases = cases();
    cases.retain(|case| only.as_ref().is_none_or(|only| *only == case.name));
    for case in &cases {
        let footage = map(&case.events, &opened);
        let differences = differences(&case.expected, &footage);
        if !differences.is_empty() {
            writeln!(failures, "{}:\n{differences}", case.name).unwrap();
        }
        if only.is_some() {
            writeln!(failures, "{footage:#?}").unwrap();
        }
    }
    assert!(!cases.is_empty(), "there are no logs");
    assert!(failures.is_empty(), "of {} logs these are mapped otherwise:\n{failures}", cases.len());
}

fn opened() -> Opened {
    let mut mistakes = String::new();
    Opened::read(POLICY, &mut mistakes).unwrap_or_else(|| panic!("{mistakes}"))
}

/// Reads all logs: a comment with the name and the reason, the events, and after `----` the segments.
fn cases() -> Vec<Case> {
    let folder = fs::read_dir(root().join("tests/scenario/logs")).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts.flat_map(|text| text.split("\n\n").map(case).collect::<Vec<_>>()).collect()
}

fn case(text: &str) -> Case {
    let name = text.trim_start_matches("# ").split([':', '\n']).next().unwrap().to_owned();
    let (events, expected) = text.split_once("\n----").unwrap_or_else(|| panic!("{name} has no `----`"));
    let events = events.lines().filter(|line| !line.starts_with('#'));
    let events =
        events.map(|line| LoggedEvent::parse(line).unwrap_or_else(|e| panic!("{name}: {line}: {e}")));
    let expected = expected
        .trim()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {line}: {error}")));
    Case { events: events.collect(), expected: expected.collect(), name }
}

/// The footage of a log, as `deskreel replay` yields it.
fn map(events: &[LoggedEvent], opened: &Opened) -> Vec<Footage> {
    let mut clock = LogClock::default();
    let mut arrived: Vec<_> = events.iter().cloned().filter_map(|event| clock.push(event)).collect();
    arrived.extend(std::iter::from_fn(|| clock.pop()));
    run(arrived, opened)
}

fn run(events: Vec<(Event, Utc)>, opened: &Opened) -> Vec<Footage> {
    let mut engine = Engine::new(opened.policies.clone(), opened.rules.clone());
    let mut all = Vec::new();
    let mut take = |output| {
        if let Output::Footage(footage) = output {
            all.push(footage);
        }
    };
    for (event, received) in events {
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
            && self
                .place
                .as_deref()
                .is_none_or(|wanted| footage.place.as_ref().is_some_and(|place| place.as_str() == wanted))
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

/// Runs variations of all logs: with events up to nine seconds late, and with events that come once more, at
/// any later time. Neither changes a segment. Segments of one agent and call never overlap.
pub fn check_variations() {
    let (opened, random) = (opened(), Random::new());
    for case in cases() {
        let arrived: Vec<_> =
            case.events.iter().map(|logged| (logged.event.clone(), logged.event.at)).collect();
        let is_ordered = arrived.is_sorted_by_key(|(_, at)| *at);
        if !is_ordered || case.events.iter().any(|logged| logged.received.is_some()) {
            continue;
        }
        let rows = segments(&run(arrived.clone(), &opened));
        assert_no_overlap(&case.name, &rows);
        for _ in 0..VARIATIONS {
            let late = segments(&run(with_delays(&arrived, &random), &opened));
            assert_eq!(late, rows, "{}: events come late", case.name);
            // After a gap, an event that comes once more proves that its call lasts.
            if !case.events.iter().any(|logged| matches!(logged.event.kind, Kind::FeedGap { .. })) {
                let (doubled, repeated) = with_repetitions(&arrived, &random);
                let doubled = segments(&run(doubled, &opened));
                assert_eq!(doubled, rows, "{}: these come once more: {repeated:#?}", case.name);
            }
        }
    }
}

const VARIATIONS: usize = 4;

/// Events of the same moment stay in order: nothing else says which came first.
fn with_delays(events: &[(Event, Utc)], random: &Random) -> Vec<(Event, Utc)> {
    let mut delay = (Utc::MIN, Duration::ZERO);
    let delayed = events.iter().map(|(event, at)| {
        if delay.0 != *at {
            delay = (*at, Duration::from_millis(random.below(9000)));
        }
        (event.clone(), at.plus(delay.1))
    });
    let mut delayed: Vec<_> = delayed.collect();
    delayed.sort_by_key(|(_, received)| *received);
    delayed
}

fn with_repetitions(events: &[(Event, Utc)], random: &Random) -> (Vec<(Event, Utc)>, Vec<String>) {
    let mut all = events.to_vec();
    let mut repeated = Vec::new();
    for _ in 0..3 {
        let count = events.len() as u64;
        let (from, to) = (random.below(count), random.below(count));
        let event = events[from.min(to) as usize].0.clone();
        // Just before or after another event.
        let received = events[from.max(to) as usize].1.plus(Duration::from_millis(random.below(3) * 400));
        let place = all.partition_point(|(_, other)| *other <= received);
        repeated.push(format!("{event} at {received}"));
        all.insert(place, (event, received));
    }
    (all, repeated)
}

type Row = (String, Option<Place>, InteractionId, Option<CallId>, Role, Utc, Option<Utc>);

fn segments(footage: &[Footage]) -> Vec<Row> {
    let rows = footage.iter().flat_map(|footage| {
        footage.segments.iter().map(|segment| {
            let Segment { interaction, call, role, from, to, .. } = segment.clone();
            (footage.agent.to_string(), footage.place.clone(), interaction, call, role, from, to)
        })
    });
    let mut rows: Vec<_> = rows.collect();
    rows.sort();
    rows
}

fn assert_no_overlap(name: &str, rows: &[Row]) {
    for (index, one) in rows.iter().enumerate() {
        for other in &rows[index + 1..] {
            let is_same = one.0 == other.0 && one.3.is_some() && (&one.2, &one.3) == (&other.2, &other.3);
            let overlaps = other.6.is_none_or(|to| one.5 < to) && one.6.is_none_or(|to| other.5 < to);
            assert!(!(is_same && overlaps), "{name}: {one:?} and {other:?}");
        }
    }
}
