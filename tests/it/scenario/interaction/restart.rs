//! A restart of the host at each position of a scenario changes nothing: neither footage nor segments nor
//! commands.
//!
//! The second run of the host takes up the first by its log of events alone, as server and daemon do.

use std::time::Duration;

use deskreel_interaction::{Counts, Engine, Output, Policy, RecorderCommand};
use deskreel_model::event::Event;
use deskreel_model::segment::Footage;
use deskreel_model::{PolicyRules, Utc};

use super::{Opened, Step, sort};

/// Longer than events may be late (10 s), so that they find their place only because of the restart.
const ABSENCE: Duration = Duration::from_secs(40);

/// Compares the runs with a restart to the run without. `commands` are those of each step.
pub fn check(log: &[Step], footage: &[Footage], commands: &[Vec<RecorderCommand>], counts: Counts) {
    // Events from the future, and those that are too late, have no other time than that of their arrival.
    let depends_on_arrival = counts.early + counts.too_late > 0;
    for position in 1..=log.len() {
        let (rows, sent) = run(log, position, Duration::ZERO);
        assert_eq!(rows, footage, "restart before step {position}");
        assert_eq!(sent, commands[position..].concat(), "restart before step {position}");
        if !depends_on_arrival {
            let (rows, _) = run(log, position, ABSENCE);
            assert_eq!(rows, footage, "restart before step {position}, after an absence");
        }
    }
}

/// Returns the footage, and the commands after the restart.
fn run(log: &[Step], position: usize, absence: Duration) -> (Vec<Footage>, Vec<RecorderCommand>) {
    let (before, after) = log.split_at(position);
    let mut sent = Vec::new();
    let mut now = before.iter().map(Step::time).max().unwrap_or(Utc::MIN);
    let mut rows = Vec::new();
    let mut second = engine(before);
    if let Some(engine) = &mut second {
        let mut recalled = |output| rows.extend(row(output));
        for step in before.iter().skip(1) {
            // Time that passed without an event is in no log.
            if !matches!(step, Step::Wait(_)) {
                take(engine, step, Utc::MIN, &mut recalled);
            }
        }
        engine.push(started(now), now, &mut recalled);
        now = now.plus(absence);
    }
    for step in after {
        if let (None, Step::Policies(_)) = (&second, step) {
            second = engine(std::slice::from_ref(step));
        } else if let Some(engine) = &mut second {
            take(engine, step, now, &mut |output| match output {
                Output::Command(command) => sent.push(command),
                output => rows.extend(row(output)),
            });
        }
    }
    second.iter_mut().for_each(|engine| engine.finish(&mut |output| rows.extend(row(output))));
    sort(&mut rows);
    (rows, sent)
}

/// An engine with the policies that a log begins with.
fn engine(log: &[Step]) -> Option<Engine> {
    let Some(Step::Policies(deciders)) = log.first() else { return None };
    let (policies, rules) = open(deciders);
    Some(Engine::new(policies, rules))
}

fn open(deciders: &Opened) -> (Vec<Policy>, PolicyRules) {
    (deciders.policies.clone(), deciders.rules.clone())
}

/// Takes a step at its time or, if that is later, `now`.
fn take(engine: &mut Engine, step: &Step, now: Utc, out: &mut impl FnMut(Output)) {
    match step {
        Step::Policies(deciders) => {
            let (policies, rules) = open(deciders);
            engine.replace_policies(policies, rules, out);
        }
        Step::Event(event, received) => engine.push(event.clone(), now.max(*received), out),
        Step::Wait(until) => engine.advance(now.max(*until), out),
    }
}

impl Step {
    /// When it was taken, by the host's clock.
    fn time(&self) -> Utc {
        match self {
            Step::Policies(_) => Utc::MIN,
            Step::Event(_, time) | Step::Wait(time) => *time,
        }
    }
}

fn started(at: Utc) -> Event {
    Event::parse(&serde_json::json!({ "type": "host.started", "at": at.to_string() }).to_string()).unwrap()
}

fn row(output: Output) -> Option<Footage> {
    match output {
        Output::Footage(footage) => Some(footage),
        _ => None,
    }
}
