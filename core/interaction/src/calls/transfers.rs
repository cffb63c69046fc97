//! Transfers and conferences: two calls become one, or a call continues with another agent.

use std::sync::Arc;

use deskreel_contract::{ConnectionState, Role};
use deskreel_model::event::CallJoin;
use deskreel_model::{AgentId, CallId, InteractionId};

use super::EventFold;
use crate::agent::Connection;
use crate::call::{Call, Ending, EndingKind, Rename};

impl EventFold<'_> {
    /// Sets the interaction of a call and, if given, the role of everyone in it who serves the customer.
    pub(super) fn assign_call(&mut self, id: &CallId, interaction: &InteractionId, role: Option<Role>) {
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        call.interaction = interaction.clone();
        for agent in call.agents.clone() {
            let known = self.agent_mut(&agent);
            let Some(index) = known.connection(id) else { continue };
            let connection = known.connection_mut(index);
            let role = role.filter(|_| !connection.role.is_of_supervisor()).unwrap_or(connection.role);
            if (connection.role, &connection.interaction) == (role, interaction) {
                continue;
            }
            connection.role = role;
            connection.interaction = interaction.clone();
            known.correct_mappings(id, interaction, role);
            self.mark_changed(&agent, index);
        }
    }

    /// Applies a transfer or a conference. The agents of the secondary call, who were asked for advice, move
    /// to the customer's call, even if that has the consultation's id from now on. If the primary call is a
    /// consultation itself, they are consulted in it.
    pub(super) fn join_calls(&mut self, join: &CallJoin) {
        let CallJoin { conference, primary, secondary, resulting, from, to } = join;
        let at = self.at;
        let primary = &self.current_id(primary, from);
        let secondary = secondary.as_ref().map(|secondary| self.current_id(secondary, from));
        let secondary = secondary.as_ref().filter(|secondary| *secondary != primary);
        let resulting = if join.primary == *resulting { primary } else { resulting };
        let before = self.world.call_mut(primary, at, self.undo).clone();
        let moved = secondary.map(|secondary| self.end_consultation(secondary, from)).unwrap_or_default();
        if !conference {
            self.end_connection(from, primary, EndingKind::Waiting);
        }
        if resulting != primary {
            self.rename_call(primary, resulting, &before);
        }
        let was_moved = !moved.is_empty();
        let role = match (*conference, &before.history.parent) {
            (true, _) => Role::Conference,
            (false, Some(_)) => Role::Consult,
            (false, None) => Role::Primary,
        };
        for (agent, connection) in moved {
            let role = if connection.role.is_of_supervisor() { connection.role } else { role };
            let interaction = before.interaction.clone();
            self.move_into(resulting, agent, Connection { role, interaction, ..connection });
        }
        self.trust_connections(resulting);
        if *conference && let Some(index) = self.agent_mut(from).connection(resulting) {
            self.agent_mut(from).connection_mut(index).resume();
            self.mark_changed(from, index);
        }
        // In a single step, `to` is connected to the call already, or will be.
        if let Some(to) = to.as_ref().filter(|to| *conference && !was_moved && *to != from) {
            match self.agent_mut(to).connection(resulting) {
                Some(index) => {
                    let known = self.agent_mut(to);
                    known.connection_mut(index).role = Role::Conference;
                    known.correct_mappings(resulting, &before.interaction, Role::Conference);
                    self.mark_changed(to, index);
                }
                None => self.world.call_mut(resulting, at, self.undo).history_mut().invited.push(to.clone()),
            }
        }
        // A party on hold is now connected with the agent it was handed to.
        let call = self.world.call_mut(resulting, at, self.undo);
        call.note_hold(false, at);
        if call.agents.is_empty() && call.ending.is_none() {
            call.ending = Some(Ending { at, kind: EndingKind::Waiting });
        }
    }

    /// Ends the consultation. Returns its agents other than `from`, with their connections, voice recording
    /// included.
    fn end_consultation(&mut self, id: &CallId, from: &AgentId) -> Vec<(AgentId, Connection)> {
        let mut moved = Vec::new();
        for agent in self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default() {
            if let Some(connection) = self.end_connection(&agent, id, EndingKind::Over)
                && agent != *from
            {
                moved.push((agent, Arc::unwrap_or_clone(connection)));
            }
        }
        let at = self.at;
        self.world.call_mut(id, at, self.undo).end(at);
        moved
    }

    /// Renames a call to its new id: everyone in it stays, and the old id means the new one for a while.
    /// `before` is the call before the event.
    fn rename_call(&mut self, old: &CallId, new: &CallId, before: &Call) {
        let agents = self.world.call(old).map(|call| call.agents.clone()).unwrap_or_default();
        for agent in &agents {
            let known = self.agent_mut(agent);
            let Some(index) = known.connection(old) else { continue };
            let connection = Arc::unwrap_or_clone(known.connections.remove(index));
            known.drop_mappings(new);
            known.rename_call(old, new);
            let index = match known.connection(new) {
                // It was told under the new id before the event that gives it.
                Some(index) => {
                    let under_new_id = known.connection_mut(index);
                    under_new_id.since = under_new_id.since.min(connection.since);
                    under_new_id.role = connection.role;
                    index
                }
                None => {
                    let renamed = Connection { call: new.clone(), ..connection };
                    known.connections.insert(index, renamed.into());
                    index
                }
            };
            known.connection_mut(index).is_of_recorder = false;
            self.mark_changed(agent, index);
        }
        let at = self.at;
        let renamed = self.world.call_mut(old, at, self.undo);
        (renamed.agents, renamed.ending) = (Vec::new(), None);
        let history = renamed.history_mut();
        let departures = std::mem::take(&mut history.departures);
        history.invited = Vec::new();
        history.rename = Some(Rename { to: new.clone(), at });
        // The id may be that of an earlier call, or of the consultation.
        if self.world.call(new).is_some_and(|call| call.agents.is_empty()) {
            self.world.begin_call(new, at, self.undo);
        }
        let call = self.world.call_mut(new, at, self.undo);
        agents.iter().for_each(|agent| call.join(agent));
        let agents = call.agents.clone();
        let known = departures.into_iter().filter(|departure| !agents.contains(&departure.agent));
        call.history_mut().departures.extend(known);
        call.began = call.began.min(before.began);
        call.continue_history(&before.history);
        self.assign_call(new, &before.interaction, None);
    }

    /// Continues an agent's connection in another call, unless the agent is in that call already.
    fn move_into(&mut self, id: &CallId, agent: AgentId, connection: Connection) {
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        call.join(&agent);
        let known = self.agent_mut(&agent);
        if let Some(index) = known.connection(id) {
            let under_new_id = known.connection_mut(index);
            (under_new_id.role, under_new_id.is_of_recorder) = (connection.role, false);
            under_new_id.interaction = connection.interaction.clone();
            known.correct_mappings(id, &connection.interaction, connection.role);
            self.mark_changed(&agent, index);
            return;
        }
        let state = if connection.is_up() { ConnectionState::Up } else { ConnectionState::Ringing };
        let held = None;
        let moved = Connection { call: id.clone(), since: at, told: at, state, held, ..connection };
        known.connections.push(moved.into());
        let index = known.connections.len() - 1;
        self.mark_changed(&agent, index);
    }
}
