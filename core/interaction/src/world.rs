//! All agents and calls, and how to undo a change.

use std::collections::BTreeSet;
use std::sync::Arc;

use deskreel_model::event::Kind;
use deskreel_model::{AgentId, CallId, FeedName, Identities, Place, Utc};

use crate::agent::Agent;
use crate::call::Call;
use crate::hash::HashMap;
use crate::names::{NameIndex, SavedEntries};

/// All agents and calls. The maps are never iterated without sorting the result, so nothing depends on their
/// order.
#[derive(Debug, Default)]
pub(crate) struct World {
    agents: HashMap<AgentId, Arc<Agent>>,
    calls: HashMap<CallId, Arc<Call>>,
    /// Last sequence number of each feed.
    feeds: HashMap<FeedName, u64>,
    /// Agents who may be logged in at each place; may include some who have left.
    seats: HashMap<Place, BTreeSet<AgentId>>,
    /// Agents who have logged in.
    names: NameIndex,
    /// Devices, each of the agent who last logged in with it.
    devices: NameIndex,
    /// What the directory says.
    identities: Arc<Identities>,
    /// Number of policies.
    policies: usize,
}

/// The previous state of everything that a step has changed; agents and calls at most once each.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    agents: Vec<(AgentId, Option<Arc<Agent>>)>,
    calls: Vec<(CallId, Option<Arc<Call>>)>,
    feeds: Vec<(FeedName, Option<u64>)>,
    names: Vec<SavedEntries>,
    devices: Vec<SavedEntries>,
}

impl World {
    pub fn new(policies: usize) -> Self {
        World { policies, ..World::default() }
    }

    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id).map(|agent| &**agent)
    }

    /// All agents, sorted by id.
    pub fn agents(&self) -> Vec<&Agent> {
        let mut agents: Vec<_> = self.agents.values().map(|agent| &**agent).collect();
        agents.sort_by(|a, b| a.id.cmp(&b.id));
        agents
    }

    /// Returns the agent for a change, and saves it in `undo`; creates it if it does not exist.
    pub fn agent_mut(&mut self, id: &AgentId, undo: &mut Undo) -> &mut Agent {
        let policies = self.policies;
        if !undo.agents.iter().any(|(saved, _)| saved == id) {
            undo.agents.push((id.clone(), self.agents.get(id).cloned()));
        }
        let agent =
            self.agents.entry(id.clone()).or_insert_with(|| Arc::new(Agent::new(id.clone(), policies)));
        Arc::make_mut(agent)
    }

    pub fn change_policies(&mut self, policies: usize) {
        self.policies = policies;
        self.agents.values_mut().for_each(|agent| Arc::make_mut(agent).change_policies(policies));
    }

    /// The number of calls that are known.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    pub fn set_identities(&mut self, identities: Arc<Identities>) {
        self.identities = identities;
    }

    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    pub fn call(&self, id: &CallId) -> Option<&Call> {
        self.calls.get(id).map(|call| &**call)
    }

    /// Returns the call for a change, and saves it in `undo`; begins it if it does not exist.
    pub fn call_mut(&mut self, id: &CallId, at: Utc, undo: &mut Undo) -> &mut Call {
        self.save_call(id, undo);
        let call = self.calls.entry(id.clone()).or_insert_with(|| Arc::new(Call::new(id, at, None)));
        let call = Arc::make_mut(call);
        call.touched = call.touched.max(at);
        call
    }

    /// Begins a call whose id an earlier one may have had.
    pub fn begin_call(&mut self, id: &CallId, at: Utc, undo: &mut Undo) {
        self.save_call(id, undo);
        let call = Call::new(id, at, self.calls.get(id));
        self.calls.insert(id.clone(), Arc::new(call));
    }

    fn save_call(&mut self, id: &CallId, undo: &mut Undo) {
        if !undo.calls.iter().any(|(saved, _)| saved == id) {
            undo.calls.push((id.clone(), self.calls.get(id).cloned()));
        }
    }

    /// Notes the sequence number of a feed's event. Returns how many events before it are missing.
    pub fn note_sequence(&mut self, feed: &FeedName, seq: u64, undo: &mut Undo) -> u64 {
        let last = self.feeds.get(feed).copied();
        let missing = match last {
            None => 0,
            Some(last) if seq > last => seq - last - 1,
            Some(last) if is_restart(last, seq) => seq.saturating_sub(1),
            Some(_) => return 0,
        };
        undo.feeds.push((feed.clone(), last));
        self.feeds.insert(feed.clone(), seq);
        missing
    }

    /// An agent has logged in, with these devices.
    pub fn note_names<'a>(
        &mut self,
        agent: &AgentId,
        devices: impl Iterator<Item = &'a str>,
        undo: &mut Undo,
    ) {
        undo.names.extend(self.names.assign(agent.as_str(), agent));
        for device in devices {
            undo.devices.extend(self.devices.assign(device, agent));
        }
    }

    /// Returns whether the event is about a connection that is in doubt, and so proves it even if it comes
    /// once more.
    pub fn doubts(&self, kind: &Kind) -> bool {
        let (Kind::Call { call, agent: Some(agent), .. } | Kind::Voice { call, agent: Some(agent), .. }) =
            kind
        else {
            return false;
        };
        let connection =
            self.agent(agent).and_then(|agent| Some(&agent.connections[agent.connection(call)?]));
        connection.is_some_and(|connection| connection.is_doubtful)
    }

    /// The agent that this name means, by log-ins. An agent that has appeared under the name is that one.
    pub fn agent_named(&self, name: &str) -> Option<&AgentId> {
        match self.agents.get_key_value(name) {
            Some((id, _)) => Some(id),
            None => self.names.find(name).or_else(|| self.devices.find(name)),
        }
    }

    /// The agent who last logged in with this device.
    pub fn agent_with(&self, device: &str) -> Option<&AgentId> {
        self.devices.find(device)
    }

    pub fn seat_agent(&mut self, agent: &AgentId, place: &Place) {
        self.seats.entry(place.clone()).or_default().insert(agent.clone());
    }

    /// The agents who are logged in at a place.
    pub fn agents_at(&self, place: &Place) -> Vec<AgentId> {
        let seated = self.seats.get(place).into_iter().flatten();
        let there = |id: &&AgentId| self.agent(id).is_some_and(|agent| agent.place() == Some(place));
        seated.filter(there).cloned().collect()
    }

    /// Undoes a step. Returns the agents that were restored.
    pub fn undo(&mut self, undo: Undo) -> Vec<AgentId> {
        for (id, call) in undo.calls {
            match call {
                Some(call) => drop(self.calls.insert(id, call)),
                None => drop(self.calls.remove(&id)),
            }
        }
        for (feed, seq) in undo.feeds.into_iter().rev() {
            match seq {
                Some(seq) => drop(self.feeds.insert(feed, seq)),
                None => drop(self.feeds.remove(&feed)),
            }
        }
        undo.names.into_iter().rev().for_each(|saved| self.names.restore(saved));
        undo.devices.into_iter().rev().for_each(|saved| self.devices.restore(saved));
        let mut touched = Vec::new();
        for (id, agent) in undo.agents {
            match agent {
                Some(agent) => {
                    if let Some(place) = agent.place().cloned() {
                        self.seat_agent(&id, &place);
                    }
                    self.agents.insert(id.clone(), agent);
                }
                None => drop(self.agents.remove(&id)),
            }
            touched.push(id);
        }
        touched
    }

    /// Forgets calls that nobody is in, if no event was about them since `before`. Of those without an event
    /// since `recent` it keeps only what a late event may ask for.
    pub fn forget_past_calls(&mut self, before: Utc, recent: Utc) {
        self.calls.retain(|_, call| {
            let is_past = call.agents.is_empty() && call.touched < recent;
            if is_past && !call.history.is_compact {
                Arc::make_mut(call).compact();
            }
            !is_past || call.touched >= before
        });
    }
}

/// Returns whether `seq` after `last` means that the feed counts from the beginning again. Events of the same
/// moment may be out of order by a few numbers, which is no restart.
fn is_restart(last: u64, seq: u64) -> bool {
    const OUT_OF_ORDER: u64 = 16;
    seq + OUT_OF_ORDER < last || (seq <= 1 && seq < last)
}
