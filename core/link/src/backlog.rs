//! Events that the server has not acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use deskreel_model::link::FromRecorder;
use serde_json::Value;

use crate::{AGAIN, WINDOW};

/// What is kept while there is no line: a day of a desktop that tells something every ten seconds.
const MOST: usize = 10_000;
/// The same in bytes of JSON.
const MOST_BYTES: usize = 16 << 20;

/// Numbered from 1. The oldest go where there are too many; the server sees that from `first`.
#[derive(Debug)]
pub struct Backlog {
    held: VecDeque<(Value, usize)>,
    bytes: usize,
    /// The number of the oldest in `held`; if it is empty, of the next event.
    first: u64,
    /// The number of the next event to be sent on this connection.
    unsent: u64,
    /// When the server last moved on, or something was sent to it that was not under way before.
    moved: Duration,
    lost: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Backlog { held: VecDeque::new(), bytes: 0, first: 1, unsent: 1, moved: Duration::ZERO, lost: 0 }
    }
}

impl Backlog {
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many events wait for the server.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// How many went for want of room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn next(&self) -> u64 {
        self.first + self.held.len() as u64
    }

    pub fn push(&mut self, event: Value) {
        let bytes = event.to_string().len();
        self.held.push_back((event, bytes));
        self.bytes += bytes;
        while self.held.len() > MOST || (self.bytes > MOST_BYTES && self.held.len() > 1) {
            self.drop_first();
            self.lost += 1;
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, bytes)) = self.held.pop_front() {
            self.bytes -= bytes;
            self.first += 1;
            self.unsent = self.unsent.max(self.first);
        }
    }

    /// The server has stored all up to this number.
    pub fn heard(&mut self, number: u64, now: Duration) {
        while self.first <= number && !self.held.is_empty() {
            self.drop_first();
            self.moved = now;
        }
    }

    /// On a new connection nothing is under way.
    pub fn rewind(&mut self, now: Duration) {
        (self.unsent, self.moved) = (self.first, now);
    }

    /// What is to be sent now.
    pub fn due(&mut self, now: Duration) -> Vec<FromRecorder> {
        let is_stuck = self.unsent > self.first && now.saturating_sub(self.moved) >= AGAIN;
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
        let event = |number: u64| self.held.get(usize::try_from(number - first).ok()?);
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
    fn the_oldest_go_where_there_are_too_many_and_the_numbers_show_it() {
        let mut backlog = Backlog::default();
        (0..MOST + 3).for_each(|n| backlog.push(json!(n)));
        assert_eq!((backlog.len(), backlog.first(), backlog.lost()), (MOST, 4, 3));
        assert_eq!(numbers(backlog.due(Duration::ZERO))[0], (4, 4));

        let mut backlog = Backlog::default();
        let long = "x".repeat(MOST_BYTES / 2);
        (0..4).for_each(|_| backlog.push(json!(long)));
        assert_eq!(backlog.len(), 1);
    }

    #[test]
    fn only_a_window_is_under_way_and_it_is_sent_again_where_nothing_is_heard() {
        let mut backlog = Backlog::default();
        (0..100).for_each(|n| backlog.push(json!(n)));
        assert_eq!(backlog.due(Duration::ZERO).len(), 64);
        assert!(backlog.due(Duration::from_secs(1)).is_empty());
        backlog.heard(10, Duration::from_secs(1));
        assert_eq!(
            numbers(backlog.due(Duration::from_secs(1))),
            (65..=74).map(|n| (n, 11)).collect::<Vec<_>>()
        );
        assert!(backlog.due(Duration::from_secs(5)).is_empty());
        assert_eq!(numbers(backlog.due(Duration::from_secs(6)))[0], (11, 11));
    }
}
