//! The time of arrival of events in a log that does not have it.
//!
//! The log's own order is the only witness: an event that is far ahead of everything after it came from a
//! wrong clock, and must not move the time of the others.

use std::collections::VecDeque;
use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::event::{Event, LoggedEvent};

/// Events after one that have to contradict it.
const WITNESSES: usize = 3;
/// Feeds may be this late relative to each other in a log without times of arrival.
const FAR: Duration = Duration::from_secs(3600);

/// Takes events in the order of the log, and returns them with their time of arrival.
pub struct LogClock {
    waiting: VecDeque<LoggedEvent>,
    now: Utc,
}

impl Default for LogClock {
    fn default() -> Self {
        LogClock { waiting: VecDeque::new(), now: Utc::MIN }
    }
}

impl LogClock {
    /// Takes the next event. Returns the one that it was the last witness of, if there is one.
    pub fn push(&mut self, event: LoggedEvent) -> Option<(Event, Utc)> {
        self.waiting.push_back(event);
        if self.waiting.len() > WITNESSES { self.pop() } else { None }
    }

    /// Returns the events that still wait, one with each call.
    pub fn pop(&mut self) -> Option<(Event, Utc)> {
        let LoggedEvent { event, received } = self.waiting.pop_front()?;
        let contradicts = |later: &LoggedEvent| later.event.at.plus(FAR) < event.at;
        let is_believed = self.waiting.len() < WITNESSES || !self.waiting.iter().all(contradicts);
        let arrival = received.unwrap_or(if is_believed { event.at } else { self.now });
        self.now = self.now.max(arrival);
        Some((event, self.now))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn arrivals(times: &[&str]) -> Vec<String> {
        let mut clock = LogClock::default();
        let events = times.iter().map(|at| {
            let text = format!(r#"{{"type":"agent.logged_out","at":"2026-01-05T{at}.000Z","agent":"ann"}}"#);
            LoggedEvent { event: Event::parse(&text).unwrap(), received: None }
        });
        let mut arrivals: Vec<_> = events.filter_map(|event| clock.push(event)).collect();
        arrivals.extend(std::iter::from_fn(|| clock.pop()));
        arrivals.into_iter().map(|(_, at)| at.to_string()[11..19].to_owned()).collect()
    }

    #[test]
    fn an_event_from_the_future_does_not_move_the_time_of_the_others() {
        let times = ["09:00:00", "23:00:00", "09:00:01", "09:00:02", "09:00:03"];
        assert_eq!(arrivals(&times), ["09:00:00", "09:00:00", "09:00:01", "09:00:02", "09:00:03"]);
    }

    #[test]
    fn a_late_event_does_not_contradict_the_one_before_it() {
        let times = ["09:00:00", "12:00:00", "09:00:01", "12:00:02", "12:00:03"];
        assert_eq!(arrivals(&times), ["09:00:00", "12:00:00", "12:00:00", "12:00:02", "12:00:03"]);
    }

    #[test]
    fn the_end_of_a_log_is_believed() {
        assert_eq!(arrivals(&["09:00:00", "23:00:00", "09:00:01"]), ["09:00:00", "23:00:00", "23:00:00"]);
    }
}
