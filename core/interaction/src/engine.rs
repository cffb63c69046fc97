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

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::event::{Event, Kind};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, CallId, Identities, Place, Utc};
use serde::Serialize;

use crate::answer::Answer;
use crate::calls::{EventFold, Folded, Touch};
use crate::facts;
use crate::footage::{DecisionRecord, Note};
use crate::hash::HashMap;
use crate::memory::EventMemory;
use crate::order::{Arrived, Counts, Effects, Order, PendingOutput, Step, StepKey};
use crate::policy::Policy;
use crate::wishes::DueWake;
use crate::world::World;
use deskreel_model::PolicyRules;

/// Time for which a call that nobody is in is remembered: it may wait in a queue for its next agent, and an
/// event about it may come once more.
const PAST_CALL: Duration = Duration::from_secs(24 * 3600);
/// Time between two cleanings.
const CLEANING: Duration = Duration::from_secs(600);
/// Time after a start of the host in which events of its absence still take their place, as a multiple of
/// the lateness of events. With the usual ten seconds that is a minute, within which feeds and recorders have
/// connected again.
const AFTER_START: u32 = 6;
/// Clocks of well-kept machines differ by less. An event that is further ahead is noted.
const EARLY: Duration = Duration::from_secs(1);
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

/// A command to the recorder of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecorderCommand {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub at: Utc,
    /// Milliseconds by which the command comes later than it should have.
    pub late_ms: u64,
    #[serde(flatten)]
    pub command: Command,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Start {
        capture: CaptureMode,
    },
    Stop,
    #[serde(rename = "capture")]
    SetMode {
        capture: CaptureMode,
    },
}

/// The footage that an agent's recorder makes, by the last commands to it.
struct CommandedFootage {
    serial: u32,
    from: Utc,
    place: Option<Place>,
    capture: CaptureMode,
}

/// One question to the policies: about which agent, and because of which event (JSON).
struct Question<'a> {
    touch: &'a Touch,
    event: &'a str,
    at: Utc,
}

/// A time up to which nothing older than `oldest` becomes final than was already.
struct FinalityHold {
    oldest: Utc,
    until: Utc,
}

/// The time at which an event counts.
struct Placement {
    at: Utc,
    /// The time that its sender gave it, by our clock.
    told: Utc,
    /// It is too late for its place.
    is_too_late: bool,
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
    commanded: HashMap<AgentId, CommandedFootage>,
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
            // The first start of all has missed nothing.
            let has_past = self.counts.events > 1;
            let until = now.plus(self.rules.late * AFTER_START);
            self.hold = has_past.then(|| FinalityHold { oldest: self.final_before(), until });
            return self.advance(now, out);
        }
        let Placement { at, told, is_too_late } = self.place_event(&event, now, out);
        let mut key = self.order.key(&event, at);
        let is_known = self.memory.note(&event.json, now) && is_too_late;
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

    /// The beginning of the call that has this id now, which tells it from others that had it before.
    pub fn call_began(&self, id: &CallId) -> Option<Utc> {
        self.world.call(id).map(|call| call.began)
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
        let mut running: Vec<_> =
            self.world.agents().into_iter().filter_map(|agent| agent.open.as_ref()).collect();
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
        let open = self.world.agent(agent).and_then(|known| known.open.as_ref());
        ended.chain(open.map(|open| &open.footage))
    }

    /// Everything before this time is final.
    pub fn final_before(&self) -> Utc {
        self.oldest(self.now)
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When [`Engine::advance`] next has something to do.
    pub fn next_due(&self) -> Option<Utc> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Places an event that was received at `now` by our clock: neither later than that, nor earlier than
    /// what is final.
    fn place_event(&mut self, event: &Event, now: Utc, out: &mut impl FnMut(Output)) -> Placement {
        let offset = event.feed.as_ref().and_then(|feed| self.offsets.get(feed)).copied().unwrap_or(0);
        if let Kind::FeedClock { feed, offset_ms } = &event.kind {
            self.offsets.insert(feed.clone(), *offset_ms);
        }
        let at = if offset == 0 { event.at } else { event.at.shifted_ms(offset) };
        if at > now.plus(EARLY) {
            self.counts.early += 1;
            out(Output::Note(Note::Early { at: event.at, received: now, event: event.json.clone() }));
        }
        let (told, oldest) = (at.min(now), self.oldest(now));
        Placement { at: told.max(oldest), told, is_too_late: told < oldest }
    }

    /// The oldest time that an event may have at `now` to take its place.
    fn oldest(&self, now: Utc) -> Utc {
        let oldest = now.minus(self.rules.late);
        let hold = self.hold.as_ref().filter(|hold| now < hold.until);
        hold.map_or(oldest, |hold| hold.oldest.min(oldest))
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

    /// Asks each policy whose wake is due, and all policies if the agent's call was ended for its length.
    fn ask_about_timers(&mut self, touch: &Touch, wakes: &[DueWake], at: Utc, effects: &mut Effects) {
        for wake in wakes {
            let asked = self.policies[wake.policy].id().clone();
            let event = facts::timer_json(at, &wake.name);
            self.ask_policies(
                &Question { touch, event: &event, at },
                |policy| *policy.id() == asked,
                effects,
            );
        }
        if !touch.ended.is_empty() {
            let event = facts::event_json("call.cleared", at, &touch.agent);
            let is_asked = |policy: &Policy| policy.wants_event("call.cleared");
            self.ask_policies(&Question { touch, event: &event, at }, is_asked, effects);
        } else if wakes.is_empty() {
            self.ask_policies(&Question { touch, event: "null", at }, |_| false, effects);
        }
    }

    /// Asks the policies about one agent, and turns their wishes into footage and segments.
    fn ask_policies(
        &mut self,
        question: &Question<'_>,
        is_asked: impl Fn(&Policy) -> bool,
        effects: &mut Effects,
    ) {
        let Question { touch, event, at } = *question;
        let Effects { undo, outputs } = effects;
        let agent = self.world.agent_mut(&touch.agent, undo);
        let mut prefix = None;
        for (index, policy) in self.policies.iter_mut().enumerate().filter(|(_, policy)| is_asked(policy)) {
            let length = *prefix.get_or_insert_with(|| {
                facts::write_fact(&mut self.fact, at, event, agent, touch);
                self.fact.len()
            });
            self.fact.truncate(length);
            self.fact.push_str(&agent.wishes[index].state);
            self.fact.push('}');
            let outcome = policy.decide(&self.fact).and_then(|answer| {
                let answer = Answer::read(&answer)?;
                let state = answer.state.get();
                if *state != *agent.wishes[index].state {
                    Arc::make_mut(&mut agent.wishes[index]).state = state.into();
                }
                let mut record = |decision| outputs.push(PendingOutput::Decision(decision));
                let who = (index, policy.id());
                let mut decisions = answer.decisions.iter();
                decisions.try_for_each(|decision| agent.apply_decision(who, decision, at, &mut record))
            });
            if let Err(message) = outcome {
                let (policy, agent) = (policy.id().clone(), touch.agent.clone());
                outputs.push(PendingOutput::Note(Note::PolicyFailed { at, policy, agent, message }));
            }
        }
        if let Some((name, value)) = &touch.tag {
            agent.tag(name, value);
        }
        outputs.extend(agent.update_footage(&self.rules, at).into_iter().map(PendingOutput::Footage));
    }

    fn finish_step(&mut self, key: StepKey, event: Option<Arc<Arrived>>, effects: Effects, agents: &[AgentId]) {
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

    /// Sends each of these agents' recorders the differences from its last commands.
    fn command_recorders(&mut self, mut touched: Vec<AgentId>, out: &mut impl FnMut(Output)) {
        touched.sort();
        touched.dedup();
        for id in touched {
            self.command_recorder(&id, out);
            out(Output::Touched(id));
        }
    }

    fn command_recorder(&mut self, id: &AgentId, out: &mut impl FnMut(Output)) {
        let open = self.world.agent(id).and_then(|agent| agent.open.as_ref());
        let mut send = |place: &Option<Place>, command, since: Utc, why: &str| {
            let late_ms = u64::try_from(self.now.saturating_since(since).as_millis()).unwrap_or(u64::MAX);
            out(Output::Command(RecorderCommand {
                agent: id.clone(),
                place: place.clone(),
                at: self.now,
                late_ms,
                command,
                why: why.to_owned(),
            }));
        };
        if let Some(commanded) = self.commanded.get(id) {
            let goes_on = open.is_some_and(|open| {
                commanded.place == open.footage.place
                    && (commanded.serial == open.serial || open.footage.from <= commanded.from)
            });
            if !goes_on {
                send(&commanded.place, Command::Stop, self.now, "");
                self.commanded.remove(id);
            }
        }
        let Some(open) = open else { return };
        let (footage, capture) = (&open.footage, open.capture);
        let new = || {
            let (from, place) = (footage.from, footage.place.clone());
            CommandedFootage { serial: open.serial, from, place, capture }
        };
        match self.commanded.get_mut(id) {
            None => {
                send(&footage.place, Command::Start { capture }, footage.from, &footage.why);
                self.commanded.insert(id.clone(), new());
            }
            Some(commanded) => {
                if commanded.capture != capture {
                    let withheld = footage.withheld.last().filter(|_| capture != CaptureMode::Live);
                    let (since, why) =
                        withheld.map_or((self.now, ""), |withheld| (withheld.from, &withheld.why));
                    send(&footage.place, Command::SetMode { capture }, since, why);
                }
                *commanded = new();
            }
        }
    }

    /// Yields the outputs of steps that can no longer change.
    fn emit_final(&mut self, out: &mut impl FnMut(Output)) {
        let limit = self.final_before();
        while let Some(step) = self.order.pop_final(limit) {
            step.effects.outputs.into_iter().for_each(|output| out(output.into()));
        }
        if self.now >= self.next_cleaning {
            self.world.forget_idle_calls(self.now.minus(PAST_CALL));
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
