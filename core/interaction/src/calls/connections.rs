//! Connects agents to calls. A connection is an agent in a call, with the devices that take part: it may ring
//! at two of them, be answered at one, and move to another.

use std::sync::Arc;

use deskreel_contract::ConnectionState;
use deskreel_model::event::{CallChange, CallFields};
use deskreel_model::{AgentId, CallId, FeedName, PolicyRules};

use super::EventFold;
use crate::agent::{CallDetails, Connection, Device};
use crate::call::{EndingKind, IdMeaning};
use crate::names::is_same_device;

impl EventFold<'_> {
    /// Applies a call event to the agent's connection, and makes the connection if it does not exist.
    pub(super) fn update_connection(
        &mut self,
        change: CallChange,
        id: &CallId,
        agent: &AgentId,
        about: &CallFields,
        feed: Option<&FeedName>,
    ) {
        if change == CallChange::Cleared {
            self.clear_connection(id, agent, about.device.as_deref());
            return;
        }
        let Some(id) = &self.call_to_join(id, agent, about) else { return };
        if matches!(change, CallChange::Delivered | CallChange::Established) {
            self.end_doubtful(agent, id, about);
        }
        let role = self.role_in_call(id, agent, about);
        let interaction = self.resolve_interaction(change, id, agent, about, role);
        let (at, told) = (self.at, self.told);
        let call = self.world.call_mut(id, at, self.undo);
        call.join(agent);
        call.note_fields(about);
        if matches!(change, CallChange::Held | CallChange::Retrieved) {
            call.note_hold(change == CallChange::Held, at);
        }
        let hidden = pauses_by_attached_data(self.rules, about.attached.as_deref());
        let known = self.agent_mut(agent);
        let index = match known.connection(id) {
            Some(index) => index,
            None => {
                let feed = feed.cloned();
                let new =
                    Connection::new(id.clone(), interaction.clone(), role, state_after(change), at, feed);
                known.connections.push(new.into());
                known.connections.len() - 1
            }
        };
        let connection = known.connection_mut(index);
        // An event that is older than what is known of the connection only adds details.
        if told >= connection.told {
            connection.advance(change, at);
            connection.told = told;
        }
        connection.is_doubtful = false;
        connection.is_of_recorder = false;
        if let Some(device) = &about.device {
            connection.note_device(device, change != CallChange::Delivered);
        }
        let before = (connection.role, connection.interaction.clone());
        connection.role = role;
        connection.interaction = interaction.clone();
        if !connection.details.contains(about) {
            Arc::make_mut(&mut connection.details).add(about);
        }
        if let Some(is_hidden) = hidden {
            connection.hidden = is_hidden.then(|| connection.hidden.unwrap_or(at));
        }
        if before != (role, interaction.clone()) {
            match before.0.is_of_supervisor() && role.is_of_supervisor() {
                // From now on, the supervisor does something else.
                true => known.end_mappings(|mapping| {
                    mapping.call.as_ref() == Some(id)
                        && mapping.role != deskreel_contract::Role::AfterCallWork
                }),
                false => known.correct_mappings(id, &interaction, role),
            }
        }
        self.mark_changed(agent, index);
    }

    /// The call that an event of an agent in it is about, begun if need be; `None` if the event is old.
    fn call_to_join(&mut self, id: &CallId, agent: &AgentId, about: &CallFields) -> Option<CallId> {
        let at = self.at;
        let meaning = |fold: &Self, id: &CallId| {
            let known = fold.world.call(id);
            let (times, longest) = ((at, fold.told), fold.rules.longest_call);
            known.map(|call| call.meaning(agent, about.attached.as_deref(), times, longest))
        };
        let current = self.current_id(id, agent);
        match meaning(self, &current) {
            Some(IdMeaning::Past) => None,
            Some(IdMeaning::Known) => Some(current),
            None => Some(current),
            Some(IdMeaning::Another) => {
                self.world.begin_call(id, at, self.undo);
                Some(id.clone())
            }
        }
    }

    /// The present id of a call: the one that it has got since, if the agent is in it under that one, or if
    /// it has only just got it.
    pub(super) fn current_id(&self, id: &CallId, agent: &AgentId) -> CallId {
        let mut current = id.clone();
        // A call that is renamed more often is not followed further.
        for _ in 0..4 {
            let Some(call) = self.world.call(&current) else { break };
            if call.agents.contains(agent) {
                break;
            }
            let Some(rename) = &call.history.rename else { break };
            let is_in_it = self.world.call(&rename.to).is_some_and(|call| call.agents.contains(agent));
            if !is_in_it && call.alias(self.told).is_none() {
                break;
            }
            current = rename.to.clone();
        }
        current
    }

    pub(super) fn connection_to(&self, id: &CallId, agent: &AgentId) -> Option<&Connection> {
        let agent = self.world.agent(agent)?;
        Some(&agent.connections[agent.connection(id)?])
    }

    /// An agent who shows up in another call has left the one that is in doubt, except to consult beside it.
    fn end_doubtful(&mut self, agent: &AgentId, id: &CallId, about: &CallFields) {
        if let Some(parent) = &about.parent_call {
            let parent = self.current_id(parent, agent);
            self.trust_connections(&parent);
        } else if is_consultation(about) {
            return;
        }
        self.end_connections(agent, |connection| connection.is_doubtful && connection.call != *id);
    }

    /// An event has proved that this call lasts.
    pub(super) fn trust_connections(&mut self, id: &CallId) {
        for agent in self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default() {
            let known = self.agent_mut(&agent);
            if let Some(index) = known.connection(id) {
                known.connection_mut(index).is_doubtful = false;
            }
        }
    }

    /// The agent has left the call, or with `device` that device has.
    fn clear_connection(&mut self, id: &CallId, agent: &AgentId, device: Option<&str>) {
        let id = &self.current_id(id, agent);
        let told = self.told;
        let Some(connection) = self.connection_to(id, agent) else {
            self.note_departure(id, agent);
            return;
        };
        if told < connection.told {
            return;
        }
        let kind = if connection.is_up() { EndingKind::Left } else { EndingKind::Waiting };
        if let Some(device) = device.filter(|_| !connection.devices.is_empty()) {
            let known = self.agent_mut(agent);
            let Some(index) = known.connection(id) else { return };
            let connection = known.connection_mut(index);
            match connection.remove_device(device) {
                DeviceEnd::Last => {}
                DeviceEnd::Other => return,
                DeviceEnd::Unknown => {
                    connection.is_doubtful = true;
                    return;
                }
            }
        }
        self.end_connection(agent, id, kind);
    }

    /// A device has left the call; the event does not say whose it is.
    pub(super) fn clear_device(&mut self, id: &CallId, device: &str) {
        let agents = self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default();
        let has_device = |agent: &AgentId| {
            let connection = self.connection_to(id, agent);
            connection.is_some_and(|connection| {
                connection.devices.iter().any(|known| is_same_device(&known.name, device))
            })
        };
        let agent = agents.iter().find(|agent| has_device(agent)).cloned();
        match agent.or_else(|| self.agent_with(device)) {
            Some(agent) => {
                self.touch(&agent);
                self.clear_connection(id, &agent, Some(device));
            }
            None => {
                self.is_unresolved = true;
                for agent in agents {
                    let known = self.agent_mut(&agent);
                    if let Some(index) = known.connection(id) {
                        known.connection_mut(index).is_doubtful = true;
                    }
                }
            }
        }
    }

    /// An agent who was not known to be in the call has left it. So an event that comes later and says that
    /// the agent is in it is old.
    fn note_departure(&mut self, id: &CallId, agent: &AgentId) {
        let (at, told) = (self.at, self.told);
        self.world.call_mut(id, at, self.undo).depart(agent, told, EndingKind::Left);
    }

    /// Ends the agent's connection to a call, if there is one.
    pub(super) fn end_connection(
        &mut self,
        agent: &AgentId,
        id: &CallId,
        kind: EndingKind,
    ) -> Option<Arc<Connection>> {
        let at = self.at;
        if self.world.call(id).is_some_and(|call| call.agents.contains(agent)) {
            let call = self.world.call_mut(id, at, self.undo);
            call.depart(agent, at, kind);
            call.note_hold(false, at);
        }
        self.world.agent(agent)?.connection(id)?;
        let known = self.agent_mut(agent);
        let connection = known.connections.remove(known.connection(id)?);
        known.leave_call(id);
        self.touch(agent).ended.push(connection.clone());
        Some(connection)
    }

    /// The call is over for everyone.
    pub(super) fn clear_call(&mut self, id: &CallId) {
        let (at, told) = (self.at, self.told);
        let id = &match self.world.call(id).and_then(|call| call.history.rename.as_ref()) {
            Some(rename) => rename.to.clone(),
            None => id.clone(),
        };
        // Too late, and the call has begun since.
        if self.world.call(id).is_some_and(|call| told < call.began && told < at) {
            return;
        }
        for agent in self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default() {
            self.end_connection(&agent, id, EndingKind::Over);
        }
        self.world.call_mut(id, at, self.undo).end(at);
    }

    pub fn end_connections(&mut self, agent: &AgentId, ends: impl Fn(&Connection) -> bool) {
        let Some(known) = self.world.agent(agent) else { return };
        let ending: Vec<_> = known.connections.iter().filter(|c| ends(c)).map(|c| c.call.clone()).collect();
        for call in ending {
            self.end_connection(agent, &call, EndingKind::Left);
        }
    }
}

/// The consequence of a device's end for its connection.
enum DeviceEnd {
    Last,
    /// Another device goes on.
    Other,
    /// It was not known to take part.
    Unknown,
}

impl Connection {
    /// Applies an event other than an end.
    fn advance(&mut self, change: CallChange, at: deskreel_model::Utc) {
        match (change, self.state) {
            (
                CallChange::Established | CallChange::Held | CallChange::Retrieved,
                ConnectionState::Ringing,
            ) => {
                self.state = state_after(change);
                self.since = at;
            }
            // A duplicate or late "established" does not take a held call off hold.
            (CallChange::Delivered | CallChange::Established, _) => {}
            _ => self.state = state_after(change),
        }
        self.was_rung |= change == CallChange::Delivered;
        self.held = match self.state {
            ConnectionState::Held => Some(self.held.unwrap_or(at)),
            _ => None,
        };
    }

    /// The agent talks again.
    pub(super) fn resume(&mut self) {
        (self.state, self.held) = (ConnectionState::Up, None);
    }

    fn note_device(&mut self, name: &str, is_up: bool) {
        let known = self.devices.iter().position(|device| is_same_device(&device.name, name));
        if known.is_some_and(|known| self.devices[known].is_up || !is_up) {
            return;
        }
        let mut devices = self.devices.to_vec();
        match known {
            Some(known) => devices[known].is_up = true,
            None => devices.push(Device { name: name.into(), is_up }),
        }
        self.devices = devices.into();
    }

    fn remove_device(&mut self, name: &str) -> DeviceEnd {
        let Some(known) = self.devices.iter().position(|device| is_same_device(&device.name, name)) else {
            return DeviceEnd::Unknown;
        };
        let mut devices = self.devices.to_vec();
        let removed = devices.remove(known);
        self.devices = devices.into();
        let goes_on = match self.is_up() {
            // It is up at a device of which no event has told.
            true if !removed.is_up => true,
            true => self.devices.iter().any(|device| device.is_up),
            false => !self.devices.is_empty(),
        };
        if goes_on { DeviceEnd::Other } else { DeviceEnd::Last }
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

/// Returns whether these fields make the call a consultation, whatever else is known.
pub(super) fn is_consultation(about: &CallFields) -> bool {
    about.call_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("consult"))
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
