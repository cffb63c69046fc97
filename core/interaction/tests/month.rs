//! A month of calls: what the engine remembers is bounded by a day, not by its age.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use deskreel_interaction::{Engine, Output};
use deskreel_model::event::Event;
use deskreel_model::{PolicyRules, Utc};

const DAYS: u64 = 30;
const CALLS_A_DAY: u64 = 400;
const AGENTS: u64 = 20;

#[test]
fn what_is_remembered_is_of_two_days_at_most() {
    let mut engine = Engine::new(Vec::new(), PolicyRules::default());
    let start = Utc::parse("2026-01-01T08:00:00Z").unwrap();
    let mut most = 0;
    for day in 0..DAYS {
        for call in 0..CALLS_A_DAY {
            let at = start.plus(Duration::from_secs(day * 86_400 + call * 60));
            let (id, agent) = (day * CALLS_A_DAY + call, call % AGENTS);
            for (after, kind) in [(0, "delivered"), (5, "established"), (50, "cleared")] {
                let at = at.plus(Duration::from_secs(after));
                let event = format!(
                    r#"{{"type":"call.{kind}","at":"{at}","call":"{id}","agent":"a{agent}","attached":{{"n":{id}}}}}"#
                );
                engine.push(Event::parse(&event).unwrap(), at, &mut |output: Output| drop(output));
            }
        }
        let remembered = engine.remembered();
        most = most.max(remembered.calls);
        assert!(remembered.calls as u64 <= 2 * CALLS_A_DAY, "day {day}: {remembered:?}");
        assert!(remembered.events as u64 <= 2 * 3 * CALLS_A_DAY, "day {day}: {remembered:?}");
        assert_eq!(remembered.agents as u64, AGENTS);
        assert!(remembered.steps as u64 <= 3, "day {day}: {remembered:?}");
    }
    assert!(most as u64 >= CALLS_A_DAY, "a day's calls are remembered");
}
