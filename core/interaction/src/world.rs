//! All agents and calls, and how to undo a change.

use std::collections::BTreeSet;
use std::sync::Arc;

use deskreel_model::{AgentId, CallId, FeedName, InteractionId, Place, Utc};

use crate::agent::Agent;
use crate::hash::HashMap;

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
    /// Number of policies.
    policies: usize,
}

/// The part of a call's state that concerns all its agents.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub interaction: InteractionId,
    /// Agents who are connected to the call, or whose phone rings.
    pub agents: Vec<AgentId>,
    /// Agents who were added to a conference and are not connected yet.
    pub invited: Vec<AgentId>,
    /// Time of the last event about it.
    pub touched: Utc,
}

/// The previous state of everything that a step has changed; agents and calls at most once each.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    agents: Vec<(AgentId, Option<Arc<Agent>>)>,
    calls: Vec<(CallId, Option<Arc<Call>>)>,
    feeds: Vec<(FeedName, Option<u64>)>,
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

    pub fn call(&self, id: &CallId) -> Option<&Call> {
        self.calls.get(id).map(|call| &**call)
    }

    /// Returns the call for a change, and saves it in `undo`; creates it if it does not exist.
    pub fn call_mut(&mut self, id: &CallId, at: Utc, undo: &mut Undo) -> &mut Call {
        self.save_call(id, undo);
        let call = self.calls.entry(id.clone()).or_insert_with(|| {
            let interaction = InteractionId(id.0.clone());
            Arc::new(Call { interaction, agents: Vec::new(), invited: Vec::new(), touched: at })
        });
        let call = Arc::make_mut(call);
        call.touched = call.touched.max(at);
        call
    }

    pub fn forget_call(&mut self, id: &CallId, undo: &mut Undo) {
        self.save_call(id, undo);
        self.calls.remove(id);
    }

    fn save_call(&mut self, id: &CallId, undo: &mut Undo) {
        if !undo.calls.iter().any(|(saved, _)| saved == id) {
            undo.calls.push((id.clone(), self.calls.get(id).cloned()));
        }
    }

    /// Notes the sequence number of a feed's event. Returns how many events before it are missing.
    pub fn note_sequence(&mut self, feed: &FeedName, seq: u64, undo: &mut Undo) -> u64 {
        let last = self.feeds.get(feed).copied();
        if last.is_some_and(|last| seq <= last) {
            return 0;
        }
        undo.feeds.push((feed.clone(), last));
        self.feeds.insert(feed.clone(), seq);
        last.map_or(0, |last| seq - last - 1)
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
        for (feed, seq) in undo.feeds {
            match seq {
                Some(seq) => drop(self.feeds.insert(feed, seq)),
                None => drop(self.feeds.remove(&feed)),
            }
        }
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

    /// Forgets calls without connected agents and without an event since `before`.
    pub fn forget_idle_calls(&mut self, before: Utc) {
        self.calls.retain(|_, call| !call.agents.is_empty() || call.touched >= before);
    }
}
