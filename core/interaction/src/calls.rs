//! Folds an event into the state of calls and agents.
//!
//! - A duplicate event changes nothing, and neither does one that is older than what is known of its subject.
//! - A later event makes up for a lost one: an agent who holds a call was connected to it.
//! - A connection whose end may be lost (the feed reported lost events) ends when its agent shows up
//!   elsewhere: in another call, or in another state. Whatever proves the call lifts the doubt.
//!
//! The topics have files of their own: `resolution.rs` finds the agents that an event means, `seats.rs` says
//! who sits where, `connections.rs` connects agents to calls, `consultations.rs` says in what role and for
//! which interaction, `voice.rs` follows the voice recorder, and `transfers.rs` joins calls.

mod connections;
mod consultations;
mod resolution;
mod seats;
mod transfers;
mod voice;

use std::sync::Arc;
use std::time::Duration;

use deskreel_model::event::{CallChange, Event, Kind, Request};
use deskreel_model::{AgentId, FeedName, InteractionId, Place, PolicyRules, Utc};

use crate::agent::{Agent, Connection, DigitalInteraction, Medium};
use crate::facts;
use crate::wishes::{Hold, due_after};
use crate::world::{Undo, World};

/// Digital interactions of an agent that are remembered after their end.
const COMPLETED: usize = 64;

/// An agent concerned by an event, and what it changes there.
#[derive(Debug)]
pub(crate) struct Touch {
    pub agent: AgentId,
    /// Calls and interactions that are new or have changed.
    pub changed: Vec<Arc<str>>,
    pub ended: Vec<Arc<Connection>>,
    /// A tag that the desktop requests for the footage.
    pub tag: Option<(Box<str>, Box<str>)>,
    /// For this agent, the event means another one, of this type.
    pub concluded: Option<&'static str>,
}

impl Touch {
    pub fn new(agent: &AgentId) -> Touch {
        Touch { agent: agent.clone(), changed: Vec::new(), ended: Vec::new(), tag: None, concluded: None }
    }
}

/// The folding of one event into the world.
pub(crate) struct EventFold<'w> {
    pub world: &'w mut World,
    pub rules: &'w PolicyRules,
    /// The time at which the event counts.
    pub at: Utc,
    /// The time that its sender gave it, corrected by the sender's clock; before `at` if it came too late for
    /// its place.
    pub told: Utc,
    pub undo: &'w mut Undo,
    touches: Vec<Touch>,
    is_unresolved: bool,
}

/// What an event has changed.
pub(crate) struct Folded {
    /// The agents concerned, in an order that the event alone determines.
    pub touches: Vec<Touch>,
    /// It names no agent and no device, or an unknown one.
    pub is_unresolved: bool,
}

impl<'w> EventFold<'w> {
    pub fn new(
        world: &'w mut World,
        rules: &'w PolicyRules,
        (at, told): (Utc, Utc),
        undo: &'w mut Undo,
    ) -> Self {
        EventFold { world, rules, at, told, undo, touches: Vec::new(), is_unresolved: false }
    }

    pub fn apply_event(mut self, event: &Event) -> Folded {
        let Some(kind) = self.resolve(&event.kind) else {
            return Folded { touches: self.touches, is_unresolved: true };
        };
        if self.is_stale(&kind) {
            return Folded { touches: self.touches, is_unresolved: false };
        }
        for agent in kind.agents() {
            self.touch(agent);
        }
        let feed = event.feed.as_ref();
        match &*kind {
            Kind::LoggedIn { agent, seat } => self.log_in(agent, seat, feed),
            Kind::LoggedOut { agent, place } => self.log_out(agent, place.as_ref(), feed),
            Kind::State { agent, media, state, work_mode, reason } => {
                let json = facts::medium_json(state, work_mode.as_deref(), reason.as_deref(), self.at);
                self.set_state(agent, media, json);
            }
            Kind::Call { change: CallChange::Cleared, call, agent: None, about } => match &about.device {
                Some(device) => self.clear_device(call, device),
                None => self.clear_call(call),
            },
            Kind::Call { change, call, agent: Some(agent), about } => {
                self.update_connection(*change, call, agent, about, feed);
            }
            Kind::Joined(join) => self.join_calls(join),
            Kind::Voice { change, call, agent: Some(agent), recording, .. } => {
                self.update_voice(*change, call, agent, recording.as_deref());
            }
            // Without an agent, it is unresolved.
            Kind::Call { .. } | Kind::Voice { .. } => {}
            Kind::Accepted { interaction, agent, media } => self.accept(interaction, agent, media),
            Kind::Completed { interaction, agent } => self.complete(interaction, agent),
            Kind::Request { agent, request } => self.take_request(agent, request),
            Kind::Recorder { place, .. } => self.touch_agents_at(place),
            Kind::FeedGap { feed, agent } => {
                let agent = agent.as_ref().map(|agent| self.agent_meant(agent).unwrap_or(agent.clone()));
                self.doubt_connections(feed, agent.as_ref());
            }
            Kind::FeedClock { .. } | Kind::HostStarted | Kind::Other { .. } => {}
        }
        Folded { touches: self.touches, is_unresolved: self.is_unresolved }
    }

    /// Returns whether a later event about the same subject has come already.
    fn is_stale(&self, kind: &Kind) -> bool {
        if self.told >= self.at {
            return false;
        }
        let known = |agent| self.world.agent(agent);
        let latest = match kind {
            Kind::LoggedIn { agent, .. } | Kind::LoggedOut { agent, .. } => {
                known(agent).map(|known| known.presence_told)
            }
            Kind::State { agent, media, .. } => known(agent).and_then(|known| {
                known.media.iter().find(|medium| *medium.media == **media).map(|medium| medium.told)
            }),
            Kind::Accepted { interaction, agent, .. } | Kind::Completed { interaction, agent } => {
                known(agent).and_then(|known| {
                    let completed = known.profile.completed.iter().rev().find(|(id, _)| id == interaction);
                    completed.map(|(_, at)| *at)
                })
            }
            Kind::Request { agent, .. } => known(agent).map(|known| known.requested.told),
            _ => None,
        };
        latest.is_some_and(|latest| self.told < latest)
    }

    fn accept(&mut self, interaction: &InteractionId, agent: &AgentId, media: &str) {
        let json = facts::digital_interaction_json(interaction, media, self.at);
        let known = self.agent_mut(agent);
        if !known.digital.iter().any(|digital| digital.interaction == *interaction) {
            known.digital.push(DigitalInteraction { interaction: interaction.clone(), json });
            self.touch(agent).changed.push(interaction.0.clone());
        }
    }

    fn complete(&mut self, interaction: &InteractionId, agent: &AgentId) {
        let told = self.told;
        let known = self.agent_mut(agent);
        known.digital.retain(|digital| digital.interaction != *interaction);
        known.end_mappings(|mapping| mapping.call.is_none() && mapping.interaction == *interaction);
        let completed = &mut Arc::make_mut(&mut known.profile).completed;
        completed.retain(|(id, _)| id != interaction);
        completed.push((interaction.clone(), told));
        completed.drain(..completed.len().saturating_sub(COMPLETED));
    }

    /// Sets the agent's state in one medium, given as JSON.
    fn set_state(&mut self, agent: &AgentId, media: &str, json: Arc<str>) {
        if media == "voice" {
            self.end_connections(agent, |connection| connection.is_doubtful);
        }
        let told = self.told;
        let known = Arc::make_mut(&mut self.agent_mut(agent).media);
        match known.iter_mut().find(|known| *known.media == *media) {
            Some(medium) => (medium.json, medium.told) = (json, told),
            None => known.push(Medium { media: media.into(), json, told }),
        }
        known.sort_by(|a, b| a.media.cmp(&b.media));
    }

    fn touch(&mut self, agent: &AgentId) -> &mut Touch {
        let index = match self.touches.iter().position(|touch| touch.agent == *agent) {
            Some(index) => index,
            None => {
                self.touches.push(Touch::new(agent));
                self.touches.len() - 1
            }
        };
        &mut self.touches[index]
    }

    fn agent_mut(&mut self, id: &AgentId) -> &mut Agent {
        self.world.agent_mut(id, self.undo)
    }

    /// Writes the connection's JSON again, and lists its call as changed.
    fn mark_changed(&mut self, agent: &AgentId, index: usize) {
        let Some(connection) = self.agent_mut(agent).connections.get_mut(index) else { return };
        let connection = Arc::make_mut(connection);
        connection.json = facts::connection_json(connection);
        let call = connection.call.0.clone();
        let touch = self.touch(agent);
        if !touch.changed.contains(&call) {
            touch.changed.push(call);
        }
    }

    fn take_request(&mut self, agent: &AgentId, request: &Request) {
        let (at, told, limit) = (self.at, self.told, self.rules.pause_limit);
        let hold = |capture, limit_ms: &Option<u64>| {
            let asked = limit_ms.map(Duration::from_millis);
            let limit = [asked, limit].into_iter().flatten().min();
            Some(Hold {
                capture,
                why: "asked by the agent desktop".into(),
                until: limit.map(|limit| due_after(at, limit)),
            })
        };
        let requested = &mut self.agent_mut(agent).requested;
        requested.told = told;
        match request {
            Request::Start => requested.footage = true,
            Request::Stop => requested.footage = false,
            Request::Pause { limit_ms } => {
                requested.hold = hold(deskreel_contract::CaptureMode::Paused, limit_ms)
            }
            Request::Mask { limit_ms } => {
                requested.hold = hold(deskreel_contract::CaptureMode::Masked, limit_ms)
            }
            Request::Resume => requested.hold = None,
            Request::Tag { name, value } => self.touch(agent).tag = Some((name.clone(), value.clone())),
        }
    }

    /// Policies may want to know. Footage does not depend on it: it is wanted or not, whether or not a
    /// recorder can be commanded.
    fn touch_agents_at(&mut self, place: &Place) {
        for agent in self.world.agents_at(place) {
            self.agent_mut(&agent);
            self.touch(&agent);
        }
    }

    /// Marks the connections that came from this feed, or only this agent's: their end may be lost.
    pub fn doubt_connections(&mut self, feed: &FeedName, agent: Option<&AgentId>) {
        let is_theirs = |connection: &Connection| connection.feed.as_ref() == Some(feed);
        let agents = self.world.agents();
        let concerned: Vec<_> = agents
            .iter()
            .filter(|known| agent.is_none_or(|agent| known.id == *agent))
            .filter(|known| known.connections.iter().any(|c| is_theirs(c)))
            .map(|known| known.id.clone())
            .collect();
        for agent in concerned {
            let connections = self.agent_mut(&agent).connections.iter_mut();
            connections.filter(|c| is_theirs(c)).for_each(|c| Arc::make_mut(c).is_doubtful = true);
        }
    }

    /// Ends a connection that has lasted longer than any call does.
    pub fn end_overlong_connections(mut self, agent: &AgentId) -> Vec<Touch> {
        self.touch(agent);
        let limit = self.at.minus(self.rules.longest_call);
        self.end_connections(agent, |connection| connection.since <= limit);
        self.touches
    }
}
