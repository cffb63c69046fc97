//! Events in, commands at once, and what is final a little later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::event::{Event, Kind};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Place, Utc};
use serde::Serialize;

use crate::answer::Answer;
use crate::calls::{Fold, Touch};
use crate::facts;
use crate::hash::HashMap;
use crate::order::{Counts, Key, Order, Row, Step};
use crate::policy::Policy;
use crate::settle::{Decided, Note};
use crate::world::{Undo, World};
use deskreel_model::PolicyRules;

/// Calls that nobody is connected to are remembered for so long: one may wait in a queue for its next agent.
const IDLE_CALL: Duration = Duration::from_secs(3600);

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// To be done now.
    Command(Commanded),
    /// What stands of this agent may be other than before: see [`Engine::standing`].
    Touched(AgentId),
    /// Final: footage that has ended, with its segments; or that still runs, from [`Engine::finish`].
    Footage(Footage),
    /// Final: a decision that changed something.
    Decided(Decided),
    Note(Note),
}

/// A command to the recorder of one agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Commanded {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub at: Utc,
    /// How much later than it should have been.
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

/// What the recorder of an agent was told last.
struct Told {
    serial: u32,
    from: Utc,
    place: Option<Place>,
    capture: CaptureMode,
}

pub struct Engine {
    policies: Vec<Policy>,
    rules: PolicyRules,
    world: World,
    order: Order,
    /// When something is due for an agent, and the same by agent.
    due: BTreeSet<(Utc, AgentId)>,
    due_of: HashMap<AgentId, Utc>,
    told: HashMap<AgentId, Told>,
    offsets: HashMap<deskreel_model::FeedName, i64>,
    now: Utc,
    next_cleaning: Utc,
    counts: Counts,
    /// The fact that is being written: one for all, so that it is allocated once.
    fact: String,
}

impl Engine {
    pub fn new(policies: Vec<Policy>, rules: PolicyRules) -> Self {
        Engine {
            world: World::new(policies.len()),
            policies,
            rules,
            order: Order::default(),
            due: BTreeSet::new(),
            due_of: HashMap::default(),
            told: HashMap::default(),
            offsets: HashMap::default(),
            now: Utc::MIN,
            next_cleaning: Utc::MIN,
            counts: Counts::default(),
            fact: String::new(),
        }
    }

    /// One event, in the order of arrival.
    pub fn push(&mut self, event: Event, out: &mut impl FnMut(Output)) {
        self.counts.events += 1;
        let offset = event.feed.as_ref().and_then(|feed| self.offsets.get(feed)).copied().unwrap_or(0);
        if let Kind::FeedClock { feed, offset_ms } = &event.kind {
            self.offsets.insert(feed.clone(), *offset_ms);
        }
        let mut at = if offset == 0 { event.at } else { event.at.shifted_ms(offset) };
        let oldest = self.now.minus(self.rules.late);
        let is_too_late = at < oldest;
        if is_too_late {
            at = oldest;
        }
        let mut key = self.order.key(&event, at);
        if self.order.has(&event, &key) {
            self.counts.doubled += 1;
            return;
        }
        if is_too_late {
            self.counts.too_late += 1;
            out(Output::Note(Note::TooLate { at: event.at, event: event.json.clone() }));
            // Behind everything of that moment: what was final stays as it is.
            key.at = self.now;
        }
        let mut touched = Vec::new();
        // Done before, and to be done again behind the new one; mostly none.
        let mut again = Vec::new();
        while let Some(step) = self.order.pop_behind(&key) {
            // It is counted again when it is done again.
            self.counts.missing -= step.rows.iter().map(Row::missing).sum::<u64>();
            touched.extend(self.world.undo(step.undo));
            again.extend(step.event.map(|event| (step.key, event)));
        }
        if !again.is_empty() {
            self.counts.late += 1;
            touched.iter().for_each(|agent| self.reschedule(agent, key.at));
        }
        let new = (key, Arc::new(event));
        // What came out last goes in first.
        for (key, event) in std::iter::once(new).chain(again.into_iter().rev()) {
            self.fire_until(key.at, &mut touched, out);
            self.step(key, event, &mut touched);
        }
        self.now = self.now.max(at);
        self.fire_until(self.now, &mut touched, out);
        self.command(touched, out);
        self.settle_final(out);
    }

    /// Time has passed without an event.
    pub fn advance(&mut self, now: Utc, out: &mut impl FnMut(Output)) {
        let mut touched = Vec::new();
        self.fire_until(now, &mut touched, out);
        self.now = self.now.max(now);
        self.command(touched, out);
        self.settle_final(out);
    }

    /// From now on other policies are asked, by other rules. What was wanted of a call goes on until its agent leaves it;
    /// everything else is what the new ones want.
    pub fn change(&mut self, policies: Vec<Policy>, rules: PolicyRules, out: &mut impl FnMut(Output)) {
        while let Some(step) = self.order.pop_first() {
            step.rows.into_iter().for_each(|row| out(row.into()));
        }
        (self.policies, self.rules) = (policies, rules);
        self.world.change_policies(self.policies.len());
        let (at, agents) = (self.now, self.world.agents().into_iter().map(|agent| agent.id.clone()));
        let agents: Vec<_> = agents.collect();
        for agent in &agents {
            let (mut undo, mut rows) = (Undo::default(), Vec::new());
            let event = facts::event("policy.changed", at, agent);
            self.decide(&Touch::new(agent), &event, at, |_| true, &mut undo, &mut rows);
            self.reschedule(agent, at);
            rows.into_iter().for_each(|row| out(row.into()));
        }
        self.command(agents, out);
    }

    /// Nothing comes any more: everything is final, and what still runs is given as it stands.
    pub fn finish(&mut self, out: &mut impl FnMut(Output)) {
        while let Some(step) = self.order.pop_first() {
            step.rows.into_iter().for_each(|row| out(row.into()));
        }
        let mut running: Vec<_> =
            self.world.agents().into_iter().filter_map(|agent| agent.open.as_ref()).collect();
        running.sort_by(|a, b| (a.footage.from, &a.footage.agent).cmp(&(b.footage.from, &b.footage.agent)));
        running.into_iter().for_each(|open| out(Output::Footage(open.footage.clone())));
    }

    /// Footage of an agent that is not final, in the order of time: what has ended and may still be put right by a late event, and
    /// what runs.
    pub fn standing<'a>(&'a self, agent: &'a AgentId) -> impl Iterator<Item = &'a Footage> {
        let ended = self.order.rows().filter_map(move |row| match row {
            Row::Footage(footage) if footage.agent == *agent => Some(footage),
            _ => None,
        });
        let open = self.world.agent(agent).and_then(|known| known.open.as_ref());
        ended.chain(open.map(|open| &open.footage))
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// When [`Engine::advance`] has something to do.
    pub fn next_due(&self) -> Option<Utc> {
        self.due.first().map(|(at, _)| *at)
    }

    fn step(&mut self, key: Key, event: Arc<Event>, touched: &mut Vec<AgentId>) {
        let (at, mut undo, mut rows) = (key.at, Undo::default(), Vec::new());
        let mut fold = Fold::new(&mut self.world, &self.rules, at, &mut undo);
        if let (Some(feed), Some(seq)) = (&event.feed, event.seq) {
            let missing = fold.world.numbered(feed, seq, fold.undo);
            if missing > 0 {
                self.counts.missing += missing;
                fold.doubt(feed);
                rows.push(Row::Note(Note::Missing { at, feed: feed.clone(), events: missing }));
            }
        }
        let touches = fold.apply(&event);
        let heard = |policy: &Policy| policy.hears(event.kind.name());
        for touch in &touches {
            self.decide(touch, &event.json, at, heard, &mut undo, &mut rows);
        }
        let agents = touched.len();
        touched.extend(touches.into_iter().map(|touch| touch.agent));
        self.done(key, Some(event), undo, rows, &touched[agents..]);
    }

    /// Everything that is due by then, in the order of time. Recorders are told at once, unless this is the past done
    /// again.
    fn fire_until(&mut self, until: Utc, touched: &mut Vec<AgentId>, out: &mut impl FnMut(Output)) {
        while let Some((at, agent)) = self.due.first().filter(|(at, _)| *at <= until).cloned() {
            let (mut undo, mut rows) = (Undo::default(), Vec::new());
            let touches = Fold::new(&mut self.world, &self.rules, at, &mut undo).too_long(&agent);
            let known = self.world.agent_mut(&agent, &mut undo);
            known.expire(at);
            let mut wakes = Vec::new();
            for (policy, wishes) in known.wishes.iter_mut().map(Arc::make_mut).enumerate() {
                wakes.extend(
                    wishes
                        .wakes
                        .extract_if(.., |wake| wake.at <= at)
                        .map(|wake| (wake.at, policy, wake.name)),
                );
            }
            wakes.sort();
            for touch in &touches {
                for (_, policy, name) in &wakes {
                    let asked = self.policies[*policy].id().clone();
                    let event = facts::timer(at, name);
                    self.decide(touch, &event, at, |policy| *policy.id() == asked, &mut undo, &mut rows);
                }
                if !touch.ended.is_empty() {
                    let event = facts::event("call.cleared", at, &touch.agent);
                    self.decide(
                        touch,
                        &event,
                        at,
                        |policy| policy.hears("call.cleared"),
                        &mut undo,
                        &mut rows,
                    );
                } else if wakes.is_empty() {
                    self.decide(touch, "null", at, |_| false, &mut undo, &mut rows);
                }
            }
            let agents = vec![agent];
            self.done(Key::timer(at, agents[0].clone()), None, undo, rows, &agents);
            if at >= self.now {
                self.now = at;
                self.command(agents, out);
            } else {
                touched.extend(agents);
            }
        }
    }

    /// Asks the policies about one agent, and makes footage and segments of what they want.
    fn decide(
        &mut self,
        touch: &Touch,
        event: &str,
        at: Utc,
        is_asked: impl Fn(&Policy) -> bool,
        undo: &mut Undo,
        rows: &mut Vec<Row>,
    ) {
        let agent = self.world.agent_mut(&touch.agent, undo);
        let mut prefix = None;
        for (index, policy) in self.policies.iter_mut().enumerate().filter(|(_, policy)| is_asked(policy)) {
            let length = *prefix.get_or_insert_with(|| {
                facts::write(&mut self.fact, at, event, agent, touch);
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
                let mut note = |decided| rows.push(Row::Decided(decided));
                let who = (index, policy.id());
                answer.decisions.iter().try_for_each(|decision| agent.obey(who, decision, at, &mut note))
            });
            if let Err(message) = outcome {
                let (policy, agent) = (policy.id().clone(), touch.agent.clone());
                let failed = Note::PolicyFailed { at, policy, agent, message };
                rows.push(Row::Note(failed));
            }
        }
        if let Some((name, value)) = &touch.tag {
            agent.tag(name, value);
        }
        let place = agent.place().cloned();
        let online = self.world.is_online(place.as_ref());
        let agent = self.world.agent_mut(&touch.agent, undo);
        rows.extend(agent.settle(&self.rules, online, at).into_iter().map(Row::Footage));
    }

    fn done(&mut self, key: Key, event: Option<Arc<Event>>, undo: Undo, rows: Vec<Row>, agents: &[AgentId]) {
        agents.iter().for_each(|agent| self.reschedule(agent, key.at));
        self.order.push(Step { key, event, undo, rows });
    }

    /// Notes when something is next due for an agent. What was due before and cannot be done, since the recorder is
    /// away, is done when it is back.
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

    /// Tells recorders what is other than they were told.
    fn command(&mut self, mut touched: Vec<AgentId>, out: &mut impl FnMut(Output)) {
        touched.sort();
        touched.dedup();
        for id in touched {
            self.command_one(&id, out);
            out(Output::Touched(id));
        }
    }

    fn command_one(&mut self, id: &AgentId, out: &mut impl FnMut(Output)) {
        let open = self.world.agent(id).and_then(|agent| agent.open.as_ref());
        let mut tell = |place: &Option<Place>, command, since: Utc, why: &str| {
            let late_ms = u64::try_from(self.now.saturating_since(since).as_millis()).unwrap_or(u64::MAX);
            out(Output::Command(Commanded {
                agent: id.clone(),
                place: place.clone(),
                at: self.now,
                late_ms,
                command,
                why: why.to_owned(),
            }));
        };
        if let Some(told) = self.told.get(id) {
            let goes_on = open.is_some_and(|open| {
                told.place == open.footage.place
                    && (told.serial == open.serial || open.footage.from <= told.from)
            });
            if !goes_on && self.world.is_online(told.place.as_ref()) {
                tell(&told.place, Command::Stop, self.now, "");
                self.told.remove(id);
            }
        }
        let Some(open) = open else { return };
        let (footage, capture) = (&open.footage, open.capture);
        if !self.world.is_online(footage.place.as_ref()) {
            return;
        }
        let new = || Told { serial: open.serial, from: footage.from, place: footage.place.clone(), capture };
        match self.told.get_mut(id) {
            None => {
                tell(&footage.place, Command::Start { capture }, footage.from, &footage.why);
                self.told.insert(id.clone(), new());
            }
            Some(told) => {
                if told.capture != capture {
                    let held = footage.withheld.last().filter(|_| capture != CaptureMode::Live);
                    let (since, why) = held.map_or((self.now, ""), |held| (held.from, &held.why));
                    tell(&footage.place, Command::SetMode { capture }, since, why);
                }
                *told = new();
            }
        }
    }

    /// Gives what can no longer change.
    fn settle_final(&mut self, out: &mut impl FnMut(Output)) {
        while let Some(step) = self.order.pop_final(self.now, self.rules.late) {
            step.rows.into_iter().for_each(|row| out(row.into()));
        }
        if self.now >= self.next_cleaning {
            self.world.forget_idle_calls(self.now.minus(IDLE_CALL));
            self.next_cleaning = self.now.plus(IDLE_CALL / 6);
        }
    }
}

impl From<Row> for Output {
    fn from(row: Row) -> Output {
        match row {
            Row::Footage(footage) => Output::Footage(footage),
            Row::Decided(decided) => Output::Decided(decided),
            Row::Note(note) => Output::Note(note),
        }
    }
}
