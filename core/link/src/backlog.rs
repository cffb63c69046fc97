//! Events that the server has not acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use deskreel_model::link::FromRecorder;
use serde_json::Value;

use crate::{RESEND_AFTER, WINDOW};

/// Most events that are kept while the link is down: a day of a desktop that sends one every ten seconds.
const MAX_EVENTS: usize = 10_000;
/// The same limit in bytes of JSON.
const MAX_BYTES: usize = 16 << 20;

/// Events without an acknowledgement, numbered from 1. If there are too many, the oldest are dropped; the
/// server sees that from `first`.
#[derive(Debug)]
pub struct Backlog {
    events: VecDeque<(Value, usize)>,
    bytes: usize,
    /// The number of the oldest in `events`; of the next event if there is none.
    first: u64,
    /// The number of the next event to be sent on this connection.
    unsent: u64,
    /// When the server last acknowledged an event, or the first of those under way was sent.
    moved: Duration,
    lost: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Backlog { events: VecDeque::new(), bytes: 0, first: 1, unsent: 1, moved: Duration::ZERO, lost: 0 }
    }
}

impl Backlog {
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Number of events that wait for the server.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Number of events that were dropped for lack of room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn next(&self) -> u64 {
        self.first + self.events.len() as u64
    }

    pub fn push(&mut self, event: Value) {
        let bytes = event.to_string().len();
        self.events.push_back((event, bytes));
        self.bytes += bytes;
        while self.events.len() > MAX_EVENTS || (self.bytes > MAX_BYTES && self.events.len() > 1) {
            self.drop_first();
            self.lost += 1;
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, bytes)) = self.events.pop_front() {
            self.bytes -= bytes;
            self.first += 1;
            self.unsent = self.unsent.max(self.first);
        }
    }

    /// Drops the events up to this number: the server has stored them.
    pub fn acknowledge(&mut self, number: u64, now: Duration) {
        while self.first <= number && !self.events.is_empty() {
            self.drop_first();
            self.moved = now;
        }
    }

    /// Sends everything again: on a new connection nothing is under way.
    pub fn rewind(&mut self, now: Duration) {
        (self.unsent, self.moved) = (self.first, now);
    }

    /// Returns the messages to send now.
    pub fn due(&mut self, now: Duration) -> Vec<FromRecorder> {
        let is_stuck = self.unsent > self.first && now.saturating_sub(self.moved) >= RESEND_AFTER;
        if is_stuck {
            self.rewind(now);
        }
        if self.unsent == self.first {
            self.moved = now;
        }
        let upto = self.next().min(self.first + WINDOW);
        let numbers = self.unsent..upto.max(self.unsent);
        self.unsent = numbers.end;
        let first = self.first;
        let event = |number: u64| self.events.get(usize::try_from(number - first).ok()?);
        let message = |number| Some(FromRecorder::Event { number, first, event: event(number)?.0.clone() });
        numbers.filter_map(message).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn numbers(messages: Vec<FromRecorder>) -> Vec<(u64, u64)> {
        let number = |message| match message {
            FromRecorder::Event { number, first, .. } => (number, first),
            other => panic!("{other:?}"),
        };
        messages.into_iter().map(number).collect()
    }

    #[test]
    fn if_there_are_too_many_the_oldest_are_dropped_and_the_numbers_show_it() {
        let mut backlog = Backlog::default();
        (0..MAX_EVENTS + 3).for_each(|n| backlog.push(json!(n)));
        assert_eq!((backlog.len(), backlog.first(), backlog.lost()), (MAX_EVENTS, 4, 3));
        assert_eq!(numbers(backlog.due(Duration::ZERO))[0], (4, 4));

        let mut backlog = Backlog::default();
        let long = "x".repeat(MAX_BYTES / 2);
        (0..4).for_each(|_| backlog.push(json!(long)));
        assert_eq!(backlog.len(), 1);
    }

    #[test]
    fn only_a_window_is_under_way_and_it_is_sent_again_without_an_acknowledgement() {
        let mut backlog = Backlog::default();
        (0..100).for_each(|n| backlog.push(json!(n)));
        assert_eq!(backlog.due(Duration::ZERO).len(), 64);
        assert!(backlog.due(Duration::from_secs(1)).is_empty());
        backlog.acknowledge(10, Duration::from_secs(1));
        assert_eq!(
            numbers(backlog.due(Duration::from_secs(1))),
            (65..=74).map(|n| (n, 11)).collect::<Vec<_>>()
        );
        assert!(backlog.due(Duration::from_secs(5)).is_empty());
        assert_eq!(numbers(backlog.due(Duration::from_secs(6)))[0], (11, 11));
    }
}
