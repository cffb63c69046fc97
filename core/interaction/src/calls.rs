//! Folds an event into what is known of calls and agents.
//!
//! - A doubled event changes nothing: it says what is known.
//! - A lost event is made up for by a later one: who holds a call was connected to it; who logs in elsewhere has left.
//! - A connection whose end may be lost (the feed has said that it lost something) ends when its agent shows up
//!   elsewhere: in another call, or in another state.
//! - An id that a transfer or a conference gives to a call goes to everybody who stays in it. The interaction stays
//!   that of the call with which it began; a consultation belongs to the interaction of the call that waits for it.

mod joined;

use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::{ConnectionState, Role, Voice};
use deskreel_model::event::{CallChange, CallFields, Event, Kind, Request};
use deskreel_model::{AgentId, CallId, FeedName, InteractionId, Place, Utc};

use crate::agent::{About, Agent, Connection, Digital, Medium, Presence};
use crate::facts;
use crate::wishes::{Hold, soon};
use crate::world::{Undo, World};
use deskreel_model::PolicyRules;

/// Who logs in again within this time may still be in the call: a PC restarts.
const RETURN: Duration = Duration::from_secs(15 * 60);

/// One agent whom an event concerns.
#[derive(Debug)]
pub(crate) struct Touch {
    pub agent: AgentId,
    /// Calls and interactions that are new or other than before.
    pub changed: Vec<Arc<str>>,
    pub ended: Vec<Connection>,
    /// A mark on the footage that was asked for.
    pub tag: Option<(Box<str>, Box<str>)>,
}

impl Touch {
    pub fn new(agent: &AgentId) -> Touch {
        Touch { agent: agent.clone(), changed: Vec::new(), ended: Vec::new(), tag: None }
    }
}

pub(crate) struct Fold<'w> {
    pub world: &'w mut World,
    pub rules: &'w PolicyRules,
    pub at: Utc,
    pub undo: &'w mut Undo,
    touches: Vec<Touch>,
}

impl<'w> Fold<'w> {
    pub fn new(world: &'w mut World, rules: &'w PolicyRules, at: Utc, undo: &'w mut Undo) -> Self {
        Fold { world, rules, at, undo, touches: Vec::new() }
    }

    /// Gives the agents whom it concerns, in an order that the event alone decides.
    pub fn apply(mut self, event: &Event) -> Vec<Touch> {
        for agent in event.kind.agents() {
            self.touch(agent);
        }
        match &event.kind {
            Kind::LoggedIn { agent, seat } => {
                if let Presence::Out { since } = self.agent(agent).presence
                    && self.at.saturating_since(since) > RETURN
                {
                    self.end_all(agent, |_| true);
                }
                if let Some(place) = &seat.place {
                    self.world.sits_at(agent, place);
                }
                let known = self.agent(agent);
                known.presence = Presence::In(seat.place.clone());
                known.json = facts::agent(known, seat);
                // Policies that want footage of a call say so when it changes: for this PC it is new.
                let calls: Vec<_> =
                    known.connections.iter().map(|connection| connection.call.0.clone()).collect();
                let digital: Vec<_> =
                    known.digital.iter().map(|digital| digital.interaction.0.clone()).collect();
                self.touch(agent).changed.extend(calls.into_iter().chain(digital));
            }
            Kind::LoggedOut { agent } => {
                let at = self.at;
                let known = self.agent(agent);
                if !known.is_out() {
                    known.presence = Presence::Out { since: at };
                }
            }
            Kind::State { agent, media, state, work_mode, reason } => {
                if &**media == "voice" {
                    self.end_all(agent, |connection| connection.is_doubtful);
                }
                let json = facts::medium(state, work_mode.as_deref(), reason.as_deref(), self.at);
                let known = self.agent(agent);
                let known = Arc::make_mut(&mut known.media);
                match known.iter_mut().find(|known| *known.media == **media) {
                    Some(medium) => medium.json = json,
                    None => known.push(Medium { media: (**media).into(), json }),
                }
                known.sort_by(|a, b| a.media.cmp(&b.media));
            }
            Kind::Call { change: CallChange::Cleared, call, agent: None, .. } => self.everybody_left(call),
            Kind::Call { change, call, agent: Some(agent), about } => {
                self.call(*change, call, agent, about, event.feed.as_ref());
            }
            Kind::Call { .. } => {}
            Kind::Joined(joined) => self.joined(joined),
            Kind::Voice { change, call, agent } => self.voice(change.now(), call, agent),
            Kind::Accepted { interaction, agent, media } => {
                let json = facts::digital(interaction, media, self.at);
                let known = self.agent(agent);
                if !known.digital.iter().any(|digital| digital.interaction == *interaction) {
                    known.digital.push(Digital { interaction: interaction.clone(), json });
                    self.touch(agent).changed.push(interaction.0.clone());
                }
            }
            Kind::Completed { interaction, agent } => {
                let known = self.agent(agent);
                known.digital.retain(|digital| digital.interaction != *interaction);
                known.end_mappings(|mapping| mapping.call.is_none() && mapping.interaction == *interaction);
            }
            Kind::Request { agent, request } => self.request(agent, request),
            Kind::Recorder { place, online } => self.recorder(place, *online),
            Kind::FeedGap { feed } => self.doubt(feed),
            Kind::FeedClock { .. } | Kind::Other { .. } => {}
        }
        self.touches
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

    fn agent(&mut self, id: &AgentId) -> &mut Agent {
        self.world.agent_mut(id, self.undo)
    }

    fn call(
        &mut self,
        change: CallChange,
        id: &CallId,
        agent: &AgentId,
        about: &CallFields,
        feed: Option<&FeedName>,
    ) {
        if change == CallChange::Cleared {
            self.left(agent, id);
            return;
        }
        if matches!(change, CallChange::Delivered | CallChange::Established) {
            self.end_all(agent, |connection| connection.is_doubtful && connection.call != *id);
        }
        let role = self.role(id, agent, about);
        let interaction = self.interaction(id, agent, about, role);
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        call.invited.retain(|invited| invited != agent);
        if !call.agents.contains(agent) {
            call.agents.push(agent.clone());
        }
        let state = match change {
            CallChange::Delivered => ConnectionState::Ringing,
            CallChange::Held => ConnectionState::Held,
            _ => ConnectionState::Up,
        };
        let hidden = hides(self.rules, about.attached.as_deref());
        let known = self.agent(agent);
        let index = match known.connection(id) {
            Some(index) => index,
            None => {
                known.connections.push(Connection {
                    call: id.clone(),
                    interaction: interaction.clone(),
                    role,
                    state,
                    since: at,
                    voice: Voice::Off,
                    voice_paused: None,
                    hidden: None,
                    about: Arc::default(),
                    feed: feed.cloned(),
                    is_doubtful: false,
                    json: "".into(),
                });
                known.connections.len() - 1
            }
        };
        let connection = &mut known.connections[index];
        match (change, connection.state) {
            (
                CallChange::Established | CallChange::Held | CallChange::Retrieved,
                ConnectionState::Ringing,
            ) => {
                connection.state = state;
                connection.since = at;
            }
            // Answered and then on hold: a doubled or late "answered" does not take it back.
            (CallChange::Delivered | CallChange::Established, _) => {}
            _ => connection.state = state,
        }
        connection.is_doubtful = false;
        let is_amended = (connection.role, &connection.interaction) != (role, &interaction);
        connection.role = role;
        connection.interaction = interaction.clone();
        if !connection.about.has(about) {
            Arc::make_mut(&mut connection.about).add(about);
        }
        if let Some(hides) = hidden {
            connection.hidden = hides.then(|| connection.hidden.unwrap_or(at));
        }
        if is_amended {
            known.amend(id, &interaction, role);
        }
        self.changed(agent, index);
    }

    /// Why the agent is in this call. What is known already stays.
    fn role(&mut self, id: &CallId, agent: &AgentId, about: &CallFields) -> Role {
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

    /// What the call belongs to; where a consultation's own events come before we know of whom it is, they are
    /// corrected.
    fn interaction(&mut self, id: &CallId, agent: &AgentId, about: &CallFields, role: Role) -> InteractionId {
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
        self.belongs(id, &interaction, Some(Role::Consult));
        interaction
    }

    /// Ends the agent's connection to a call, if there is one.
    fn left(&mut self, agent: &AgentId, id: &CallId) -> Option<Connection> {
        if let Some(call) = self.world.call(id)
            && call.agents.contains(agent)
        {
            let at = self.at;
            self.world.call_mut(id, at, self.undo).agents.retain(|known| known != agent);
        }
        self.world.agent(agent)?.connection(id)?;
        let known = self.agent(agent);
        let connection = known.connections.remove(known.connection(id)?);
        known.left(id);
        self.touch(agent).ended.push(connection.clone());
        Some(connection)
    }

    fn everybody_left(&mut self, id: &CallId) {
        for agent in self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default() {
            self.left(&agent, id);
        }
        self.world.forget_call(id, self.undo);
    }

    pub fn end_all(&mut self, agent: &AgentId, ends: impl Fn(&Connection) -> bool) {
        let Some(known) = self.world.agent(agent) else { return };
        let ending: Vec<_> = known.connections.iter().filter(|c| ends(c)).map(|c| c.call.clone()).collect();
        for call in ending {
            self.left(agent, &call);
        }
    }

    /// Ends a connection that has lasted longer than any call does.
    pub fn too_long(mut self, agent: &AgentId) -> Vec<Touch> {
        self.touch(agent);
        let limit = self.at.minus(self.rules.longest_call);
        self.end_all(agent, |connection| connection.since <= limit);
        self.touches
    }

    /// The voice recorder may be quicker than the switch: then its word makes the connection. Its last word, when a
    /// transfer has moved the agent on, makes none.
    fn voice(&mut self, now: Voice, call: &CallId, agent: &AgentId) {
        let is_known = self.world.agent(agent).is_some_and(|known| known.connection(call).is_some());
        if !is_known && now == Voice::Off {
            return;
        }
        if !is_known {
            self.call(CallChange::Established, call, agent, &CallFields::default(), None);
        }
        let at = self.at;
        let known = self.agent(agent);
        let Some(index) = known.connection(call) else { return };
        let connection = &mut known.connections[index];
        if now == Voice::Paused && connection.voice != Voice::Paused {
            connection.voice_paused = Some(at);
        }
        connection.voice = now;
        connection.is_doubtful = false;
        self.changed(agent, index);
    }

    fn changed(&mut self, agent: &AgentId, index: usize) {
        let Some(connection) = self.agent(agent).connections.get_mut(index) else { return };
        connection.json = facts::connection(connection);
        let call = connection.call.0.clone();
        let touch = self.touch(agent);
        if !touch.changed.contains(&call) {
            touch.changed.push(call);
        }
    }

    fn request(&mut self, agent: &AgentId, request: &Request) {
        let (at, limit) = (self.at, self.rules.pause_limit);
        let hold = |capture, limit_ms: &Option<u64>| {
            let asked = limit_ms.map(Duration::from_millis);
            let limit = [asked, limit].into_iter().flatten().min();
            Some(Hold {
                capture,
                why: "asked by the agent desktop".into(),
                until: limit.map(|limit| soon(at, limit)),
            })
        };
        let requested = &mut self.agent(agent).requested;
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

    fn recorder(&mut self, place: &Place, online: bool) {
        if self.world.is_online(Some(place)) == online {
            return;
        }
        self.world.set_online(place, online, self.undo);
        for agent in self.world.agents_at(place) {
            self.agent(&agent);
            self.touch(&agent);
        }
    }

    pub fn doubt(&mut self, feed: &FeedName) {
        let is_theirs = |connection: &Connection| connection.feed.as_ref() == Some(feed);
        let agents = self.world.agents();
        let concerned: Vec<_> =
            agents.iter().filter(|a| a.connections.iter().any(is_theirs)).map(|a| a.id.clone()).collect();
        for agent in concerned {
            self.agent(&agent)
                .connections
                .iter_mut()
                .filter(|c| is_theirs(c))
                .for_each(|c| c.is_doubtful = true);
        }
    }
}

impl About {
    /// Whether the fields say nothing new, as most do: each event of a call says them all.
    fn has(&self, fields: &CallFields) -> bool {
        let is_known = |known: &Option<Box<str>>, new: &Option<Box<str>>| new.is_none() || known == new;
        is_known(&self.device, &fields.device)
            && is_known(&self.direction, &fields.direction)
            && is_known(&self.call_type, &fields.call_type)
            && is_known(&self.attached, &fields.attached)
    }

    fn add(&mut self, fields: &CallFields) {
        let said = |known: &mut Option<Box<str>>, new: &Option<Box<str>>| {
            if new.is_some() {
                known.clone_from(new);
            }
        };
        said(&mut self.device, &fields.device);
        said(&mut self.direction, &fields.direction);
        said(&mut self.call_type, &fields.call_type);
        said(&mut self.attached, &fields.attached);
    }
}

/// Whether these attached data pause; `None` where they say nothing about it.
fn hides(rules: &PolicyRules, attached: Option<&str>) -> Option<bool> {
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
