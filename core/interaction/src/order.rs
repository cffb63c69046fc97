//! The order of events: by time, then by feed, then by the feed's own order.
//!
//! The steps of the last moments can be undone, so that a late event takes its place among them. Older steps
//! are final.

use std::collections::VecDeque;
use std::sync::Arc;

use deskreel_model::event::Event;
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, FeedName, Utc};

use crate::footage::{DecisionRecord, Note};
use crate::hash::HashMap;
use crate::world::Undo;

/// The place of a step in the order. A timer comes before the events of the same moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StepKey {
    pub at: Utc,
    rank: Rank,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Timer(AgentId),
    Event(Option<FeedName>, u64),
}

/// An event, with the time that its sender gave it, by our clock.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub event: Event,
    pub told: Utc,
}

/// One event or timer that was applied.
#[derive(Debug)]
pub(crate) struct Step {
    pub key: StepKey,
    /// `None` for a timer, which fires again by itself.
    pub event: Option<Arc<Arrived>>,
    pub effects: Effects,
}

/// The effects of one step: how to undo it, and its outputs.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub undo: Undo,
    pub outputs: Vec<PendingOutput>,
}

/// An output that becomes final with its step.
#[derive(Debug)]
pub(crate) enum PendingOutput {
    Footage(Footage),
    Decision(DecisionRecord),
    Note(Note),
}

impl PendingOutput {
    /// The number of events that it reports missing.
    pub fn missing(&self) -> u64 {
        match self {
            PendingOutput::Note(Note::Missing { events, .. }) => *events,
            _ => 0,
        }
    }
}

/// Counts of events, for the program that runs the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub events: u64,
    /// Events that came after one with a later time, and were put in their place.
    pub late: u64,
    pub too_late: u64,
    /// Events from the future, which count as of their arrival.
    pub early: u64,
    pub doubled: u64,
    /// Sequence numbers that feeds left out.
    pub missing: u64,
}

/// The steps that can still be undone.
#[derive(Debug, Default)]
pub(crate) struct Order {
    steps: VecDeque<Step>,
    /// Events that each feed has sent; events without a feed count together.
    arrived: HashMap<Option<FeedName>, u64>,
}

impl StepKey {
    pub fn timer(at: Utc, agent: AgentId) -> StepKey {
        StepKey { at, rank: Rank::Timer(agent) }
    }
}

impl Order {
    /// An event without a sequence number gets the next one of its feed.
    pub fn key(&mut self, event: &Event, at: Utc) -> StepKey {
        let arrived = self.arrived.entry(event.feed.clone()).or_default();
        *arrived += 1;
        StepKey { at, rank: Rank::Event(event.feed.clone(), event.seq.unwrap_or(*arrived)) }
    }

    /// Returns whether the event is already there: the same sequence number or, without one, the same text at
    /// the same time.
    pub fn is_duplicate(&self, event: &Event, key: &StepKey) -> bool {
        if self.steps.back().is_none_or(|last| last.key.at < key.at) {
            return false;
        }
        let first = self.steps.partition_point(|step| step.key.at < key.at);
        self.steps.iter().skip(first).take_while(|step| step.key.at == key.at).any(|step| {
            step.event.as_ref().is_some_and(|known| match event.seq {
                Some(_) => step.key == *key,
                None => known.event.json == event.json,
            })
        })
    }

    /// Removes the last step if it belongs after `key`.
    pub fn pop_after(&mut self, key: &StepKey) -> Option<Step> {
        self.steps.pop_back_if(|step| step.key > *key)
    }

    pub fn push(&mut self, step: Step) {
        self.steps.push_back(step);
    }

    /// Removes the first step if it is older than `limit`: no event can come before it.
    pub fn pop_final(&mut self, limit: Utc) -> Option<Step> {
        self.steps.pop_front_if(|step| step.key.at < limit)
    }

    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The outputs of all steps, in order.
    pub fn outputs(&self) -> impl Iterator<Item = &PendingOutput> {
        self.steps.iter().flat_map(|step| &step.effects.outputs)
    }

    pub fn pop_first(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }
}
