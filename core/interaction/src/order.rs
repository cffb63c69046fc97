//! The order of events: by their time, then by feed, then as the feed gave them.
//!
//! What was done for the events of the last moments can be taken back, so that an event that comes late takes its
//! place. What is older is final.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use deskreel_model::event::Event;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, FeedName, Utc};

use crate::hash::HashMap;
use crate::settle::{Decided, Note};
use crate::world::Undo;

/// Where a step belongs. A timer comes before the events of its moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub at: Utc,
    rank: Rank,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Timer(AgentId),
    Event(Option<FeedName>, u64),
}

/// What was done at one moment because of one event or timer.
#[derive(Debug)]
pub(crate) struct Step {
    pub key: Key,
    /// `None`: a timer, which comes again by itself.
    pub event: Option<Arc<Event>>,
    pub undo: Undo,
    pub rows: Vec<Row>,
}

/// What becomes final with a step.
#[derive(Debug)]
pub(crate) enum Row {
    Footage(Footage),
    Decided(Decided),
    Note(Note),
}

impl Row {
    /// Events that it tells are missing.
    pub fn missing(&self) -> u64 {
        match self {
            Row::Note(Note::Missing { events, .. }) => *events,
            _ => 0,
        }
    }
}

/// Counts for whoever runs the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    /// Came after an event of a later time, and were put where they belong.
    pub late: u64,
    pub too_late: u64,
    pub doubled: u64,
    /// Numbers that were left out in the feeds' counting.
    pub missing: u64,
}

/// The steps that can still be taken back.
#[derive(Debug, Default)]
pub(crate) struct Order {
    steps: VecDeque<Step>,
    given: HashMap<Option<FeedName>, u64>,
}

impl Key {
    pub fn timer(at: Utc, agent: AgentId) -> Key {
        Key { at, rank: Rank::Timer(agent) }
    }
}

impl Order {
    /// An event without a number is numbered as it comes.
    pub fn key(&mut self, event: &Event, at: Utc) -> Key {
        let given = self.given.entry(event.feed.clone()).or_default();
        *given += 1;
        Key { at, rank: Rank::Event(event.feed.clone(), event.seq.unwrap_or(*given)) }
    }

    /// Whether the event is there already: the same number, or without one the same text at the same time.
    pub fn has(&self, event: &Event, key: &Key) -> bool {
        if self.steps.back().is_none_or(|last| last.key.at < key.at) {
            return false;
        }
        let first = self.steps.partition_point(|step| step.key.at < key.at);
        self.steps.iter().skip(first).take_while(|step| step.key.at == key.at).any(|step| {
            step.event.as_ref().is_some_and(|known| match event.seq {
                Some(_) => step.key == *key,
                None => known.json == event.json,
            })
        })
    }

    /// The latest step, if it belongs behind `key`.
    pub fn pop_behind(&mut self, key: &Key) -> Option<Step> {
        self.steps.pop_back_if(|step| step.key > *key)
    }

    pub fn push(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    /// The first step, if it is so old that nothing can come before it.
    pub fn pop_final(&mut self, now: Utc, late: Duration) -> Option<Step> {
        let limit = now.minus(late);
        self.steps.pop_front_if(|step| step.key.at < limit)
    }

    /// What becomes final with the steps.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.steps.iter().flat_map(|step| &step.rows)
    }

    pub fn pop_first(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}
