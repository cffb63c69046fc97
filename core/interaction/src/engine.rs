//! The engine: takes events in, yields commands at once, and final output a little later.
//!
//! # Constraints
//!
//! - A start must reach the recorder within 100 ms of its event, so no event can wait for one that may come
//!   before it.
//! - Feeds are seconds late relative to each other, yet the table of footage and segments must not depend on
//!   the order of arrival.
//! - A million events a day leave microseconds for each.
//!
//! # Undo instead of waiting
//!
//! Every event and every timer is one [`Step`]. A step changes the [`World`] at once and keeps the previous
//! state of everything it changed ([`Undo`](crate::world::Undo)). When an event arrives late, the steps after
//! its time are undone, the event is applied, and the undone events are applied again after it. Undone timers
//! fire again by themselves. A late event thus costs as much as all events since its time.
//!
//! A step is final once no event can come before it, which is [`PolicyRules::late`] after its time. Only then
//! do its footage, decisions and notes leave the engine. An event that is even later counts as of now, and a
//! note says so.
//!
//! # Time
//!
//! The host's clock is the only one that moves time: every event comes with the time at which the host
//! received it. The time that a sender wrote orders events, but only up to then. An event from the future
//! counts as of its arrival, so that one wrong clock moves nobody's footage and fires nobody's timer.
//!
//! # Restarts
//!
//! The same events with the same times of arrival yield the same state and the same commands. So a host takes
//! up its earlier run from its log of events. Events of its absence come late by as much as it was away, so
//! after `host.started` nothing becomes final for a while ([`AFTER_START`]).
//!
//! # Commands
//!
//! Commands are not undone. After each call the engine compares the footage that now runs with the last
//! commands to each recorder, and sends the difference. So a recorder may have started late, but no table
//! says so wrongly.
//!
//! # Order
//!
//! Steps are ordered by time, then timers before events, then by feed, then by the feed's own order
//! (`order.rs`). Policies are asked in a fixed order, but nothing depends on it: `footage.rs` combines their
//! wishes.

mod arrival;
mod commands;
mod questions;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deskreel_model::event::{Event, Kind};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, CallId, Identities, InteractionId, PolicyRules, Utc};

use crate::call::CallSummary;
use crate::calls::{EventFold, Folded, Touch};
use crate::facts;
use crate::footage::{DecisionRecord, Note};
use crate::hash::HashMap;
use crate::memory::EventMemory;
use crate::order::{Arrived, Counts, Effects, Order, PendingOutput, Step, StepKey};
use crate::policy::Policy;
use crate::world::World;
use arrival::{FinalityHold, Placement};
use commands::CommandedFootage;
use questions::Question;

pub use commands::{Command, RecorderCommand};

/// Time for which a call that nobody is in is remembered: it may wait in a queue for its next agent, and an
/// event about it may come once more.
const PAST_CALL: Duration = Duration::from_secs(24 * 3600);
/// Time for which everything is known of a call after its last event. Footage is final by then, or has been
/// written.
const RECENT_CALL: Duration = Duration::from_secs(1800);
/// Time between two cleanings, which look at every call of a day.
const CLEANING: Duration = Duration::from_secs(1800);
/// Timers that one call fires at their own times. Work is bounded by it, whatever the times are; the rest
/// fires at the end.
const TIMERS: usize = 10_000;

/// An output of the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A command to carry out now.
    Command(RecorderCommand),
    /// This agent's provisional footage may have changed: see [`Engine::provisional_footage`].
    Touched(AgentId),
    /// Final: footage that has ended, with its segments. [`Engine::finish`] also yields footage that still
    /// runs.
    Footage(Footage),
    /// Final: a decision that changed something.
    Decision(DecisionRecord),
    Note(Note),
}

/// Numbers of things that an engine keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    pub agents: usize,
    /// Calls that last, and those of the last day.
    pub calls: usize,
    /// Events of the last one or two days, of which only the hashes are kept.
    pub events: usize,
    /// Events and timers that a late event may still undo.
    pub steps: usize,
}

pub struct Engine {
    policies: Vec<Policy>,
    rules: PolicyRules,
    world: World,
    order: Order,
    memory: EventMemory,
    /// When something is due for an agent, in the order of time; `due_of` has the same by agent.
    due: BTreeSet<(Utc, AgentId)>,
    due_of: HashMap<AgentId, Utc>,
    commanded: HashMap<AgentId, Vec<CommandedFootage>>,
    /// Clock offsets of the feeds, in milliseconds.
    offsets: HashMap<deskreel_model::FeedName, i64>,
    now: Utc,
    /// Set for a while after a start of the host.
    hold: Option<FinalityHold>,
    next_cleaning: Utc,
    counts: Counts,
    /// Buffer for the fact that is being written; shared by all facts, so that it is allocated once.
    fact: String,
}

impl Engine {
    pub fn new(policies: Vec<Policy>, rules: PolicyRules) -> Self {
        Engine {
            world: World::new(policies.len()),
            policies,
            rules,
            order: Order::default(),
            memory: EventMemory::default(),
            due: BTreeSet::new(),
            due_of: HashMap::default(),
            commanded: HashMap::default(),
            offsets: HashMap::default(),
            now: Utc::MIN,
            hold: None,
            next_cleaning: Utc::MIN,
            counts: Counts::default(),
            fact: String::new(),
        }
    }

    /// Takes in one event, which the host received at this time by its own clock. Events come in the order of
    /// arrival.
    pub fn push(&mut self, event: Event, received: Utc, out: &mut impl FnMut(Output)) {
        self.counts.events += 1;
        let now = self.now.max(received);
        if event.kind == Kind::HostStarted {
            self.hold_finality(now);
            return self.advance(now, out);
        }
        let Placement { at, told, is_too_late } = self.place_event(&event, now, out);
        let mut key = self.order.key(&event, at);
        let is_known =
            is_too_late && self.memory.contains(&event.json, event.at) && !self.world.doubts(&event.kind);
        self.memory.note(&event.json, event.at, now);
        if is_known || self.order.is_duplicate(&event, &key) {
            self.counts.doubled += 1;
            return;
        }
        if is_too_late {
            self.counts.too_late += 1;
            out(Output::Note(Note::TooLate { at: event.at, event: event.json.clone() }));
            // After everything of the present moment, so that final steps stay unchanged.
            key.at = now;
        }
        let (mut touched, mut timers) = (Vec::new(), TIMERS);
        let undone = self.undo_after(&key, &mut touched);
        let new = (key, Arc::new(Arrived { event, told }));
        for (key, event) in std::iter::once(new).chain(undone.into_iter().rev()) {
            self.fire_timers(key.at, &mut timers, &mut touched, out);
            self.now = self.now.max(key.at);
            self.apply_event(key, event, &mut touched);
        }
        self.fire_timers(now, &mut timers, &mut touched, out);
        self.now = now;
        self.command_recorders(touched, out);
        self.emit_final(out);
    }

    /// Lets time pass without an event.
    pub fn advance(&mut self, now: Utc, out: &mut impl FnMut(Output)) {
        let (mut touched, mut timers) = (Vec::new(), TIMERS);
        self.fire_timers(now, &mut timers, &mut touched, out);
        self.now = self.now.max(now);
        self.command_recorders(touched, out);
        self.emit_final(out);
    }

    /// Finds agents by these names from now on. Past events are not read again.
    pub fn set_identities(&mut self, identities: Arc<Identities>) {
        self.world.set_identities(identities);
    }

    /// What is known of the call with this id that belongs, or belonged, to this interaction.
    pub fn call_summary(&self, id: &CallId, interaction: &InteractionId) -> Option<CallSummary> {
        let call = self.world.call(id)?.of_interaction(interaction)?;
        (!call.history.is_compact).then(|| call.history.summary())
    }

    /// Asks other policies from now on, by other rules. A wish for a call lasts until its agent leaves the
    /// call; everything else is up to the new policies.
    pub fn replace_policies(
        &mut self,
        policies: Vec<Policy>,
        rules: PolicyRules,
        out: &mut impl FnMut(Output),
    ) {
        self.emit_all(out);
        (self.policies, self.rules) = (policies, rules);
        self.world.change_policies(self.policies.len());
        let at = self.now;
        let agents: Vec<_> = self.world.agents().into_iter().map(|agent| agent.id.clone()).collect();
        for agent in &agents {
            let mut effects = Effects::default();
            let event = facts::event_json("policy.changed", at, agent);
            let question = Question { touch: &Touch::new(agent), event: &event, at };
            self.ask_policies(&question, |_| true, &mut effects);
            self.reschedule(agent, at);
            effects.outputs.into_iter().for_each(|output| out(output.into()));
        }
        self.command_recorders(agents, out);
    }

    /// Ends the input: everything becomes final, and footage that still runs is yielded unchanged.
    pub fn finish(&mut self, out: &mut impl FnMut(Output)) {
        self.emit_all(out);
        let mut running: Vec<_> = self.world.agents().into_iter().flat_map(|agent| &agent.open).collect();
        running.sort_by(|a, b| (a.footage.from, &a.footage.agent).cmp(&(b.footage.from, &b.footage.agent)));
        running.into_iter().for_each(|open| out(Output::Footage(open.footage.clone())));
    }

    /// Footage of an agent that is not final, in the order of time: footage that has ended but that a late
    /// event may still correct, and footage that runs.
    pub fn provisional_footage<'a>(&'a self, agent: &'a AgentId) -> impl Iterator<Item = &'a Footage> {
        let ended = self.order.outputs().filter_map(move |output| match output {
            PendingOutput::Footage(footage) if footage.agent == *agent => Some(footage),
            _ => None,
        });
        let open = self.world.agent(agent).into_iter().flat_map(|known| &known.open);
        ended.chain(open.map(|open| &open.footage))
    }

    /// Everything before this time is final.
    pub fn final_before(&self) -> Utc {
        self.oldest(self.now)
    }

    /// How much the engine keeps in memory.
    pub fn remembered(&self) -> Remembered {
        Remembered {
            agents: self.world.agents().len(),
            calls: self.world.calls(),
            events: self.memory.len(),
            steps: self.order.steps(),
        }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When [`Engine::advance`] next has something to do.
    pub fn next_due(&self) -> Option<Utc> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Undoes every step that belongs after `key`. Returns their events, the latest first; mostly there are
    /// none.
    fn undo_after(&mut self, key: &StepKey, touched: &mut Vec<AgentId>) -> Vec<(StepKey, Arc<Arrived>)> {
        let mut undone = Vec::new();
        while let Some(step) = self.order.pop_after(key) {
            // Counted again when the step is applied again.
            self.counts.missing -= step.effects.outputs.iter().map(PendingOutput::missing).sum::<u64>();
            touched.extend(self.world.undo(step.effects.undo));
            undone.extend(step.event.map(|event| (step.key, event)));
        }
        if !undone.is_empty() {
            self.counts.late += 1;
            touched.iter().for_each(|agent| self.reschedule(agent, key.at));
        }
        undone
    }

    fn apply_event(&mut self, key: StepKey, arrived: Arc<Arrived>, touched: &mut Vec<AgentId>) {
        let (at, mut effects) = (key.at, Effects::default());
        let Arrived { event, told } = &*arrived;
        let is_in_time = *told == at;
        let mut fold = EventFold::new(&mut self.world, &self.rules, (at, *told), &mut effects.undo);
        if let (Some(feed), Some(seq), true) = (&event.feed, event.seq, is_in_time) {
            let missing = fold.world.note_sequence(feed, seq, fold.undo);
            if missing > 0 {
                self.counts.missing += missing;
                fold.doubt_connections(feed, None);
                let note = Note::Missing { at, feed: feed.clone(), events: missing };
                effects.outputs.push(PendingOutput::Note(note));
            }
        }
        let Folded { touches, is_unresolved } = fold.apply_event(event);
        if is_unresolved {
            let note = Note::Unresolved { at, event: event.json.clone() };
            effects.outputs.push(PendingOutput::Note(note));
        }
        for touch in &touches {
            match touch.concluded {
                Some(kind) => {
                    let event = facts::event_json(kind, at, &touch.agent);
                    let is_asked = |policy: &Policy| policy.wants_event(kind);
                    self.ask_policies(&Question { touch, event: &event, at }, is_asked, &mut effects);
                }
                None => {
                    let is_asked = |policy: &Policy| policy.wants_event(event.kind.name());
                    self.ask_policies(&Question { touch, event: &event.json, at }, is_asked, &mut effects);
                }
            }
        }
        let agents = touched.len();
        touched.extend(touches.into_iter().map(|touch| touch.agent));
        self.finish_step(key, Some(arrived.clone()), effects, &touched[agents..]);
    }

    /// Does everything that is due by `until`, in the order of time. Recorders are commanded at once, unless
    /// these are past steps that are applied again. `left` counts the timers that may still fire at their own
    /// times.
    fn fire_timers(
        &mut self,
        until: Utc,
        left: &mut usize,
        touched: &mut Vec<AgentId>,
        out: &mut impl FnMut(Output),
    ) {
        while let Some((at, agent)) = self.due.first().filter(|(at, _)| *at <= until).cloned() {
            let at = if *left > 0 { at } else { until };
            *left = left.saturating_sub(1);
            let mut effects = Effects::default();
            let fold = EventFold::new(&mut self.world, &self.rules, (at, at), &mut effects.undo);
            let touches = fold.end_overlong_connections(&agent);
            let known = self.world.agent_mut(&agent, &mut effects.undo);
            known.expire(at);
            let wakes = known.take_due_wakes(at);
            for touch in &touches {
                self.ask_about_timers(touch, &wakes, at, &mut effects);
            }
            let agents = vec![agent];
            self.finish_step(StepKey::timer(at, agents[0].clone()), None, effects, &agents);
            if at >= self.now {
                self.now = at;
                self.command_recorders(agents, out);
            } else {
                touched.extend(agents);
            }
        }
    }

    fn finish_step(
        &mut self,
        key: StepKey,
        event: Option<Arc<Arrived>>,
        effects: Effects,
        agents: &[AgentId],
    ) {
        agents.iter().for_each(|agent| self.reschedule(agent, key.at));
        self.order.push(Step { key, event, effects });
    }

    /// Notes when something is next due for an agent, after `done`.
    fn reschedule(&mut self, agent: &AgentId, done: Utc) {
        let next = self.world.agent(agent).and_then(|known| known.next_due(&self.rules, done));
        if self.due_of.get(agent).copied() == next {
            return;
        }
        let before = match next {
            Some(next) => self.due_of.insert(agent.clone(), next),
            None => self.due_of.remove(agent),
        };
        if let Some(before) = before {
            self.due.remove(&(before, agent.clone()));
        }
        self.due.extend(next.map(|next| (next, agent.clone())));
    }

    /// Yields the outputs of steps that can no longer change.
    fn emit_final(&mut self, out: &mut impl FnMut(Output)) {
        let limit = self.final_before();
        while let Some(step) = self.order.pop_final(limit) {
            step.effects.outputs.into_iter().for_each(|output| out(output.into()));
        }
        if self.now >= self.next_cleaning {
            self.world.forget_past_calls(self.now.minus(PAST_CALL), self.now.minus(RECENT_CALL));
            self.next_cleaning = self.now.plus(CLEANING);
        }
    }

    /// Yields the outputs of all steps, final or not.
    fn emit_all(&mut self, out: &mut impl FnMut(Output)) {
        while let Some(step) = self.order.pop_first() {
            step.effects.outputs.into_iter().for_each(|output| out(output.into()));
        }
    }
}

impl From<PendingOutput> for Output {
    fn from(output: PendingOutput) -> Output {
        match output {
            PendingOutput::Footage(footage) => Output::Footage(footage),
            PendingOutput::Decision(decision) => Output::Decision(decision),
            PendingOutput::Note(note) => Output::Note(note),
        }
    }
}
