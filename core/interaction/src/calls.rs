//! Folds an event into the state of calls and agents.
//!
//! - A duplicate event changes nothing: its content is known already.
//! - A later event makes up for a lost one: an agent who holds a call was connected to it, and an agent who
//!   logs in at another place has left the first.
//! - A connection whose end may be lost (the feed reported lost events) ends when its agent shows up
//!   elsewhere: in another call, or in another state.
//! - When a transfer or a conference gives a call a new id, everyone who stays in the call gets that id. The
//!   interaction stays that of the first call; a consultation belongs to the interaction of the call that
//!   waits for it.

mod transfers;

use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::{ConnectionState, Role, Voice};
use deskreel_model::event::{CallChange, CallFields, Event, Kind, Request, Seat};
use deskreel_model::{AgentId, CallId, FeedName, InteractionId, Place, Utc};

use crate::agent::{Agent, CallDetails, Connection, DigitalInteraction, Medium, Presence};
use crate::facts;
use crate::wishes::{Hold, due_after};
use crate::world::{Undo, World};
use deskreel_model::PolicyRules;

/// An agent who logs in again within this time may still be in the call: a PC restarts.
const RETURN_WITHIN: Duration = Duration::from_secs(15 * 60);

/// An agent concerned by an event, and what it changes there.
#[derive(Debug)]
pub(crate) struct Touch {
    pub agent: AgentId,
    /// Calls and interactions that are new or have changed.
    pub changed: Vec<Arc<str>>,
    pub ended: Vec<Connection>,
    /// A tag that the desktop requests for the footage.
    pub tag: Option<(Box<str>, Box<str>)>,
}

impl Touch {
    pub fn new(agent: &AgentId) -> Touch {
        Touch { agent: agent.clone(), changed: Vec::new(), ended: Vec::new(), tag: None }
    }
}

/// The folding of one event into the world.
pub(crate) struct EventFold<'w> {
    pub world: &'w mut World,
    pub rules: &'w PolicyRules,
    pub at: Utc,
    pub undo: &'w mut Undo,
    touches: Vec<Touch>,
}

impl<'w> EventFold<'w> {
    pub fn new(world: &'w mut World, rules: &'w PolicyRules, at: Utc, undo: &'w mut Undo) -> Self {
        EventFold { world, rules, at, undo, touches: Vec::new() }
    }

    /// Returns the agents concerned by the event, in an order that the event alone determines.
    pub fn apply_event(mut self, event: &Event) -> Vec<Touch> {
        for agent in event.kind.agents() {
            self.touch(agent);
        }
        match &event.kind {
            Kind::LoggedIn { agent, seat } => self.log_in(agent, seat),
            Kind::LoggedOut { agent } => {
                let at = self.at;
                let known = self.agent_mut(agent);
                if !known.is_out() {
                    known.presence = Presence::Out { since: at };
                }
            }
            Kind::State { agent, media, state, work_mode, reason } => {
                let json = facts::medium_json(state, work_mode.as_deref(), reason.as_deref(), self.at);
                self.set_state(agent, media, json);
            }
            Kind::Call { change: CallChange::Cleared, call, agent: None, .. } => self.clear_call(call),
            Kind::Call { change, call, agent: Some(agent), about } => {
                self.update_connection(*change, call, agent, about, event.feed.as_ref());
            }
            Kind::Call { .. } => {}
            Kind::Joined(join) => self.join_calls(join),
            Kind::Voice { change, call, agent } => self.update_voice(change.now(), call, agent),
            Kind::Accepted { interaction, agent, media } => {
                let json = facts::digital_interaction_json(interaction, media, self.at);
                let known = self.agent_mut(agent);
                if !known.digital.iter().any(|digital| digital.interaction == *interaction) {
                    known.digital.push(DigitalInteraction { interaction: interaction.clone(), json });
                    self.touch(agent).changed.push(interaction.0.clone());
                }
            }
            Kind::Completed { interaction, agent } => {
                let known = self.agent_mut(agent);
                known.digital.retain(|digital| digital.interaction != *interaction);
                known.end_mappings(|mapping| mapping.call.is_none() && mapping.interaction == *interaction);
            }
            Kind::Request { agent, request } => self.take_request(agent, request),
            Kind::Recorder { place, .. } => self.touch_agents_at(place),
            Kind::FeedGap { feed } => self.doubt_connections(feed),
            Kind::FeedClock { .. } | Kind::HostStarted | Kind::Other { .. } => {}
        }
        self.touches
    }

    fn log_in(&mut self, agent: &AgentId, seat: &Seat) {
        if let Presence::Out { since } = self.agent_mut(agent).presence
            && self.at.saturating_since(since) > RETURN_WITHIN
        {
            self.end_connections(agent, |_| true);
        }
        if let Some(place) = &seat.place {
            self.world.seat_agent(agent, place);
        }
        let known = self.agent_mut(agent);
        known.presence = Presence::In(seat.place.clone());
        known.json = facts::agent_json(known, seat);
        // Policies decide on a call when it changes, and on this PC it is new.
        let calls: Vec<_> = known.connections.iter().map(|connection| connection.call.0.clone()).collect();
        let digital: Vec<_> = known.digital.iter().map(|digital| digital.interaction.0.clone()).collect();
        self.touch(agent).changed.extend(calls.into_iter().chain(digital));
    }

    /// Sets the agent's state in one medium, given as JSON.
    fn set_state(&mut self, agent: &AgentId, media: &str, json: Arc<str>) {
        if media == "voice" {
            self.end_connections(agent, |connection| connection.is_doubtful);
        }
        let known = Arc::make_mut(&mut self.agent_mut(agent).media);
        match known.iter_mut().find(|known| *known.media == *media) {
            Some(medium) => medium.json = json,
            None => known.push(Medium { media: media.into(), json }),
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

    /// Applies a call event to the agent's connection, and makes the connection if it does not exist.
    fn update_connection(
        &mut self,
        change: CallChange,
        id: &CallId,
        agent: &AgentId,
        about: &CallFields,
        feed: Option<&FeedName>,
    ) {
        if change == CallChange::Cleared {
            self.end_connection(agent, id);
            return;
        }
        if matches!(change, CallChange::Delivered | CallChange::Established) {
            self.end_connections(agent, |connection| connection.is_doubtful && connection.call != *id);
        }
        let role = self.role_in_call(id, agent, about);
        let interaction = self.resolve_interaction(id, agent, about, role);
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        call.invited.retain(|invited| invited != agent);
        if !call.agents.contains(agent) {
            call.agents.push(agent.clone());
        }
        let hidden = pauses_by_attached_data(self.rules, about.attached.as_deref());
        let known = self.agent_mut(agent);
        let index = match known.connection(id) {
            Some(index) => index,
            None => {
                let feed = feed.cloned();
                let new =
                    Connection::new(id.clone(), interaction.clone(), role, state_after(change), at, feed);
                known.connections.push(new);
                known.connections.len() - 1
            }
        };
        let connection = &mut known.connections[index];
        match (change, connection.state) {
            (
                CallChange::Established | CallChange::Held | CallChange::Retrieved,
                ConnectionState::Ringing,
            ) => {
                connection.state = state_after(change);
                connection.since = at;
            }
            // A duplicate or late "established" does not take a held call off hold.
            (CallChange::Delivered | CallChange::Established, _) => {}
            _ => connection.state = state_after(change),
        }
        connection.is_doubtful = false;
        let is_corrected = (connection.role, &connection.interaction) != (role, &interaction);
        connection.role = role;
        connection.interaction = interaction.clone();
        if !connection.details.contains(about) {
            Arc::make_mut(&mut connection.details).add(about);
        }
        if let Some(is_hidden) = hidden {
            connection.hidden = is_hidden.then(|| connection.hidden.unwrap_or(at));
        }
        if is_corrected {
            known.correct_mappings(id, &interaction, role);
        }
        self.mark_changed(agent, index);
    }

    /// Returns the agent's role in this call. A known role stays, but a primary call may turn out to be a
    /// consultation.
    fn role_in_call(&mut self, id: &CallId, agent: &AgentId, about: &CallFields) -> Role {
        let known =
            self.world.agent(agent).and_then(|known| Some(known.connections[known.connection(id)?].role));
        let is_consult = about.parent_call.as_ref().is_some_and(|parent| parent != id)
            || about.call_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("consult"));
        let is_invited = || self.world.call(id).is_some_and(|call| call.invited.contains(agent));
        match known {
            Some(Role::Primary) if is_consult => Role::Consult,
            Some(role) => role,
            None if is_consult => Role::Consult,
            None if is_invited() => Role::Conference,
            None => Role::Primary,
        }
    }

    /// The interaction that the call belongs to. If a consultation was taken for a call of its own until now,
    /// its connections are corrected.
    fn resolve_interaction(
        &mut self,
        id: &CallId,
        agent: &AgentId,
        about: &CallFields,
        role: Role,
    ) -> InteractionId {
        let own = InteractionId(id.0.clone());
        let known = self.world.call(id).map(|call| call.interaction.clone());
        if let Some(known) = known.as_ref().filter(|known| **known != own) {
            return known.clone();
        }
        let waiting = || {
            let agent = self.world.agent(agent)?;
            let other =
                agent.connections.iter().find(|connection| connection.call != *id && connection.is_up())?;
            Some(other.call.clone())
        };
        let parent = match (&about.parent_call, role) {
            (Some(parent), _) => Some(parent.clone()),
            (None, Role::Consult) => waiting(),
            _ => None,
        };
        let Some(parent) = parent.filter(|parent| parent != id) else { return known.unwrap_or(own) };
        let interaction = self
            .world
            .call(&parent)
            .map_or_else(|| InteractionId(parent.0.clone()), |call| call.interaction.clone());
        self.assign_call(id, &interaction, Some(Role::Consult));
        interaction
    }

    /// Ends the agent's connection to a call, if there is one.
    fn end_connection(&mut self, agent: &AgentId, id: &CallId) -> Option<Connection> {
        if let Some(call) = self.world.call(id)
            && call.agents.contains(agent)
        {
            let at = self.at;
            self.world.call_mut(id, at, self.undo).agents.retain(|known| known != agent);
        }
        self.world.agent(agent)?.connection(id)?;
        let known = self.agent_mut(agent);
        let connection = known.connections.remove(known.connection(id)?);
        known.leave_call(id);
        self.touch(agent).ended.push(connection.clone());
        Some(connection)
    }

    fn clear_call(&mut self, id: &CallId) {
        for agent in self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default() {
            self.end_connection(&agent, id);
        }
        self.world.forget_call(id, self.undo);
    }

    pub fn end_connections(&mut self, agent: &AgentId, ends: impl Fn(&Connection) -> bool) {
        let Some(known) = self.world.agent(agent) else { return };
        let ending: Vec<_> = known.connections.iter().filter(|c| ends(c)).map(|c| c.call.clone()).collect();
        for call in ending {
            self.end_connection(agent, &call);
        }
    }

    /// Ends a connection that has lasted longer than any call does.
    pub fn end_overlong_connections(mut self, agent: &AgentId) -> Vec<Touch> {
        self.touch(agent);
        let limit = self.at.minus(self.rules.longest_call);
        self.end_connections(agent, |connection| connection.since <= limit);
        self.touches
    }

    /// The voice recorder may be faster than the switch; then its event makes the connection. Its final event
    /// makes none: a transfer may have moved the agent on.
    fn update_voice(&mut self, now: Voice, call: &CallId, agent: &AgentId) {
        let is_known = self.world.agent(agent).is_some_and(|known| known.connection(call).is_some());
        if !is_known && now == Voice::Off {
            return;
        }
        if !is_known {
            self.update_connection(CallChange::Established, call, agent, &CallFields::default(), None);
        }
        let at = self.at;
        let known = self.agent_mut(agent);
        let Some(index) = known.connection(call) else { return };
        let connection = &mut known.connections[index];
        if now == Voice::Paused && connection.voice != Voice::Paused {
            connection.voice_paused = Some(at);
        }
        connection.voice = now;
        connection.is_doubtful = false;
        self.mark_changed(agent, index);
    }

    /// Writes the connection's JSON again, and lists its call as changed.
    fn mark_changed(&mut self, agent: &AgentId, index: usize) {
        let Some(connection) = self.agent_mut(agent).connections.get_mut(index) else { return };
        connection.json = facts::connection_json(connection);
        let call = connection.call.0.clone();
        let touch = self.touch(agent);
        if !touch.changed.contains(&call) {
            touch.changed.push(call);
        }
    }

    fn take_request(&mut self, agent: &AgentId, request: &Request) {
        let (at, limit) = (self.at, self.rules.pause_limit);
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

    /// Marks the connections that came from this feed: their end may be lost.
    pub fn doubt_connections(&mut self, feed: &FeedName) {
        let is_theirs = |connection: &Connection| connection.feed.as_ref() == Some(feed);
        let agents = self.world.agents();
        let concerned: Vec<_> =
            agents.iter().filter(|a| a.connections.iter().any(is_theirs)).map(|a| a.id.clone()).collect();
        for agent in concerned {
            self.agent_mut(&agent)
                .connections
                .iter_mut()
                .filter(|c| is_theirs(c))
                .for_each(|c| c.is_doubtful = true);
        }
    }
}

impl CallDetails {
    /// Returns whether the fields contain nothing new. Mostly so: each event of a call repeats them.
    fn contains(&self, fields: &CallFields) -> bool {
        let is_known = |known: &Option<Box<str>>, new: &Option<Box<str>>| new.is_none() || known == new;
        is_known(&self.device, &fields.device)
            && is_known(&self.direction, &fields.direction)
            && is_known(&self.call_type, &fields.call_type)
            && is_known(&self.attached, &fields.attached)
    }

    fn add(&mut self, fields: &CallFields) {
        let update = |known: &mut Option<Box<str>>, new: &Option<Box<str>>| {
            if new.is_some() {
                known.clone_from(new);
            }
        };
        update(&mut self.device, &fields.device);
        update(&mut self.direction, &fields.direction);
        update(&mut self.call_type, &fields.call_type);
        update(&mut self.attached, &fields.attached);
    }
}

/// The state of a connection after a change other than its end.
fn state_after(change: CallChange) -> ConnectionState {
    match change {
        CallChange::Delivered => ConnectionState::Ringing,
        CallChange::Held => ConnectionState::Held,
        _ => ConnectionState::Up,
    }
}

/// Returns whether these attached data pause the capture; `None` if they lack the key.
fn pauses_by_attached_data(rules: &PolicyRules, attached: Option<&str>) -> Option<bool> {
    let (key, value) = rules.pause_attached.as_ref()?;
    let attached: serde_json::Value = serde_json::from_str(attached?).ok()?;
    match attached.get(key)? {
        serde_json::Value::String(text) => Some(text == value),
        other => {
            let text = other.to_string();
            Some(text == *value)
        }
    }
}
