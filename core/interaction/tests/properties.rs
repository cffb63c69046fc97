//! Properties that hold for any events in any order. The policies here are functions, since these tests are
//! about the effects of decisions; tests/scenario/interaction has the real policies.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_contract::{Decision, Fact, PolicyAnswer, Role};
use deskreel_interaction::{Command, Engine, Output, Policy};
use deskreel_model::PolicyRules;
use deskreel_model::Utc;
use deskreel_model::event::Event;
use deskreel_model::segment::Footage;
use proptest::prelude::*;
use serde_json::{Value, json};

const AGENTS: [&str; 3] = ["ann", "bob", "cyd"];
const CALLS: [&str; 4] = ["1", "2", "3", "4"];
const FEEDS: [&str; 3] = ["switch", "voice", "desk"];
/// Greatest lateness of an event; all events lie within a minute.
const LATE: Duration = Duration::from_secs(120);

/// Wants footage and a segment for each call, forbids some calls, and ends wrap-up by a timer.
fn calls() -> Policy {
    policy("policy.calls", |fact| {
        let mut decisions = Vec::new();
        for call in fact.changed_calls().filter(|call| call.is_up()) {
            decisions.push(Decision::start("a call").for_call(&call.call));
            decisions.push(Decision::map("a call", &call.interaction, call.role).for_call(&call.call));
            if call.attached.contains_key("secret") {
                decisions.push(Decision::forbid("secret").for_call(&call.call));
            }
        }
        if let Some(ended) = fact.ended.last() {
            decisions.push(Decision::start("wrap-up"));
            decisions.push(
                Decision::map("wrap-up", &ended.interaction, Role::AfterCallWork).for_call(&ended.call),
            );
            decisions.push(Decision::wake_after("wrap-up", "wrap-up", 3000));
        }
        if fact.is_timer("wrap-up") {
            decisions.push(Decision::stop("wrap-up is over").with("after_ms", 500));
        }
        decisions
    })
}

/// Maps footage to its first call, as voice-first-call does, and wants a segment for each chat.
fn first() -> Policy {
    policy("policy.first", |fact| {
        let mut decisions = Vec::new();
        for call in fact.changed_calls().filter(|call| call.is_up()) {
            let map = Decision::map("the first", &call.interaction, call.role).with("first", true);
            decisions.push(map.with("until", "recording").for_call(&call.call));
        }
        for chat in fact.changed_interactions() {
            decisions.push(Decision::map("a chat", &chat.interaction, Role::Digital));
        }
        decisions
    })
}

fn policy(id: &str, decide: impl Fn(&Fact) -> Vec<Decision> + Send + 'static) -> Policy {
    Policy::from_fn(id, move |fact| {
        let fact: Fact = serde_json::from_str(fact).map_err(|error| format!("{error}: {fact}"))?;
        let decisions = decide(&fact);
        Ok(serde_json::to_string(&PolicyAnswer { state: fact.state, decisions }).unwrap())
    })
}

/// One event, as JSON without its time.
fn event() -> impl Strategy<Value = Value> {
    let agent = || prop::sample::select(&AGENTS[..]);
    let call = || prop::sample::select(&CALLS[..]);
    let of_call = prop::sample::select(vec![
        "call.delivered",
        "call.established",
        "call.established",
        "call.held",
        "call.retrieved",
        "call.cleared",
        "recording.started",
        "recording.paused",
        "recording.resumed",
        "recording.stopped",
    ]);
    let of_call = (of_call, call(), agent(), prop::option::of(call()), any::<bool>()).prop_map(
        |(kind, call, agent, parent, secret)| {
            let mut event = json!({ "type": kind, "call": call, "agent": agent });
            if let Some(parent) = parent.filter(|_| kind == "call.established") {
                event["parent_call"] = parent.into();
            }
            if secret && kind == "call.established" {
                event["attached"] = json!({ "secret": "yes" });
            }
            event
        },
    );
    let joined = (any::<bool>(), call(), prop::option::of(call()), call(), agent(), agent()).prop_map(
        |(conference, primary, secondary, resulting, from, to)| {
            let kind = if conference { "call.conferenced" } else { "call.transferred" };
            json!({
                "type": kind, "primary_call": primary, "secondary_call": secondary, "resulting_call": resulting,
                "from_agent": from, "to_agent": to,
            })
        },
    );
    let cleared = call().prop_map(|call| json!({ "type": "call.cleared", "call": call }));
    let seat = (agent(), prop::sample::select(vec!["P1", "P2"]))
        .prop_map(|(agent, place)| json!({ "type": "agent.logged_in", "agent": agent, "place": place }));
    let of_agent = prop::sample::select(vec![
        "agent.logged_out",
        "agent.state",
        "screen.start_requested",
        "screen.stop_requested",
        "screen.pause_requested",
        "screen.resume_requested",
    ]);
    let of_agent = (of_agent, agent()).prop_map(|(kind, agent)| json!({ "type": kind, "agent": agent }));
    let chat = (any::<bool>(), agent()).prop_map(|(accepted, agent)| {
        let kind = if accepted { "interaction.accepted" } else { "interaction.completed" };
        json!({ "type": kind, "interaction": "c1", "agent": agent, "media": "chat" })
    });
    let recorder = (any::<bool>(), prop::sample::select(vec!["P1", "P2"])).prop_map(|(online, place)| {
        let kind = if online { "recorder.connected" } else { "recorder.disconnected" };
        json!({ "type": kind, "place": place })
    });
    prop_oneof![6 => of_call, 2 => joined, 1 => cleared, 1 => seat, 2 => of_agent, 1 => chat, 1 => recorder]
}

/// A log: each event with its feed and its time. The times of one feed do not go back.
fn log() -> impl Strategy<Value = Vec<Event>> {
    let one = (event(), 0..FEEDS.len(), 0..60_000u32);
    prop::collection::vec(one, 1..40).prop_map(|mut events| {
        events.sort_by_key(|(_, feed, at)| (*at, *feed));
        events.into_iter().map(|(event, feed, at)| placed(event, FEEDS[feed], at)).collect()
    })
}

fn placed(mut event: Value, feed: &str, at_ms: u32) -> Event {
    event["feed"] = feed.into();
    event["at"] = start().plus(Duration::from_millis(at_ms.into())).to_string().into();
    Event::parse(&event.to_string()).unwrap()
}

fn start() -> Utc {
    Utc::parse("2026-01-05T09:00:00Z").unwrap()
}

struct Outcome {
    footage: Vec<Footage>,
    commands: Vec<(String, Command)>,
}

fn run(policies: Vec<Policy>, events: impl IntoIterator<Item = Event>) -> Outcome {
    let rules =
        PolicyRules { late: LATE, max_duration: Some(Duration::from_secs(20)), ..PolicyRules::default() };
    let mut engine = Engine::new(policies, rules);
    let mut outcome = Outcome { footage: Vec::new(), commands: Vec::new() };
    let mut take = |output| match output {
        Output::Footage(footage) => outcome.footage.push(footage),
        Output::Command(command) => outcome.commands.push((command.agent.to_string(), command.command)),
        Output::Note(note) => panic!("{note:?}"),
        Output::Decision(_) | Output::Touched(_) => {}
    };
    let mut now = Utc::MIN;
    for event in events {
        now = now.max(event.at);
        engine.push(event, now, &mut take);
    }
    engine.advance(start().plus(LATE), &mut take);
    engine.finish(&mut take);
    outcome.footage.sort_by(|a, b| (a.from, &a.agent).cmp(&(b.from, &b.agent)));
    outcome
}

/// Runs events with their times of arrival, in milliseconds. Returns the footage of all.
fn run_received(events: Vec<(Event, u32)>) -> Vec<Footage> {
    let rules = PolicyRules { max_duration: Some(Duration::from_secs(20)), ..PolicyRules::default() };
    let mut engine = Engine::new(vec![calls(), first()], rules);
    let mut footage = Vec::new();
    let mut take = |output| {
        if let Output::Footage(one) = output {
            footage.push(one);
        }
    };
    for (event, received) in events {
        engine.push(event, start().plus(Duration::from_millis(received.into())), &mut take);
    }
    engine.advance(start().plus(LATE), &mut take);
    engine.finish(&mut take);
    footage.sort_by(|a, b| (a.from, &a.agent).cmp(&(b.from, &b.agent)));
    footage
}

/// Interleaves the feeds' events in another order; each feed keeps its own.
fn interleaved(events: &[Event], picks: &[usize]) -> Vec<Event> {
    let mut feeds: Vec<std::collections::VecDeque<Event>> = FEEDS
        .iter()
        .map(|feed| events.iter().filter(|e| e.feed.as_ref().unwrap().as_str() == *feed).cloned().collect())
        .collect();
    let mut order = Vec::new();
    let mut picks = picks.iter().cycle();
    while order.len() < events.len() {
        feeds.retain(|feed| !feed.is_empty());
        let pick = picks.next().unwrap() % feeds.len();
        order.extend(feeds[pick].pop_front());
    }
    order
}

/// Removes the reasons, since only the first policy's reason is kept.
fn without_reasons(mut footage: Vec<Footage>) -> Vec<Footage> {
    for recording in &mut footage {
        recording.why.clear();
        recording.why_ended = None;
        recording.withheld.iter_mut().for_each(|held| held.why.clear());
        recording.segments.iter_mut().for_each(|segment| segment.why.clear());
        recording.segments.sort_by_key(|s| (s.from, s.interaction.clone(), s.call.clone(), s.role));
    }
    footage
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_does_not_matter(events in log(), picks in prop::collection::vec(0..3usize, 1..60)) {
        let sorted = run(vec![calls(), first()], events.clone());
        let shuffled = run(vec![calls(), first()], interleaved(&events, &picks));
        prop_assert_eq!(sorted.footage, shuffled.footage);
    }

    #[test]
    fn the_order_of_policies_does_not_matter(events in log()) {
        let one = run(vec![calls(), first()], events.clone());
        let other = run(vec![first(), calls()], events);
        prop_assert_eq!(without_reasons(one.footage), without_reasons(other.footage));
    }

    #[test]
    fn doubled_events_change_nothing(events in log()) {
        let once = run(vec![calls(), first()], events.clone());
        let twice = run(vec![calls(), first()], events.into_iter().flat_map(|event| [event.clone(), event]));
        prop_assert_eq!(once.footage, twice.footage);
    }

    #[test]
    fn a_wrong_clock_moves_nobody_else(
        events in log(),
        wrong in prop::collection::vec((event(), 0..60_000u32, -4_000_000_000i64..4_000_000_000), 1..20),
    ) {
        // Another agent in other calls, whose clock is off by up to a century, and then by another.
        let stranger = |(mut event, received, off): (Value, u32, i64)| {
            for (_, value) in event.as_object_mut().unwrap().iter_mut().filter(|(key, _)| *key != "type") {
                if let Some(text) = value.as_str() {
                    *value = format!("other-{text}").into();
                }
            }
            let at = start().plus(Duration::from_millis(received.into())).shifted_ms(off * 1000);
            event["at"] = at.to_string().into();
            event["feed"] = "wrong".into();
            (Event::parse(&event.to_string()).unwrap(), received)
        };
        let own = events.into_iter().map(|event| {
            let since = event.at.saturating_since(start()).as_millis();
            (event, u32::try_from(since).unwrap())
        });
        let own: Vec<(Event, u32)> = own.collect();
        let mut both: Vec<(Event, u32)> = own.iter().cloned().chain(wrong.into_iter().map(stranger)).collect();
        both.sort_by_key(|(_, received)| *received);
        let alone = run_received(own);
        let beside = run_received(both);
        let of_others = |footage: &Footage| !footage.agent.as_str().starts_with("other-");
        prop_assert_eq!(alone, beside.into_iter().filter(of_others).collect::<Vec<_>>());
    }

    #[test]
    fn every_start_has_a_stop_and_segments_stay_in_their_footage(events in log()) {
        let back = ["P1", "P2"].map(|place| json!({ "type": "recorder.connected", "place": place }));
        let out = AGENTS.map(|agent| json!({ "type": "agent.logged_out", "agent": agent }));
        let last = back.into_iter().chain(out).map(|event| placed(event, "desk", 61_000));
        let outcome = run(vec![calls(), first()], events.into_iter().chain(last));

        let mut running = BTreeMap::new();
        for (agent, command) in outcome.commands {
            let runs = running.entry(agent).or_insert(false);
            match command {
                Command::Start { .. } => prop_assert!(!std::mem::replace(runs, true), "started twice"),
                Command::Stop => prop_assert!(std::mem::replace(runs, false), "stopped twice"),
                Command::SetMode { .. } => prop_assert!(*runs, "nothing to capture"),
            }
        }
        prop_assert!(running.values().all(|runs| !runs), "{:?}", running);

        let mut last_end = BTreeMap::new();
        for footage in &outcome.footage {
            let end = footage.to.expect("it has ended");
            prop_assert!(footage.from < end);
            prop_assert!(last_end.insert(footage.agent.clone(), end).is_none_or(|last| last <= footage.from));
            let mut mapped = BTreeMap::new();
            for segment in &footage.segments {
                let to = segment.to.expect("it has ended");
                prop_assert!(footage.from <= segment.from && segment.from < to && to <= end, "{:?}", footage);
                let key = (segment.interaction.clone(), segment.call.clone(), segment.role);
                let before = mapped.insert(key, to);
                prop_assert!(before.is_none_or(|before| before <= segment.from), "{:?}", footage);
            }
        }
    }
}
