//! Transfers and conferences: two calls become one, or a call continues with another agent.

use deskreel_contract::{ConnectionState, Role};
use deskreel_model::event::CallJoin;
use deskreel_model::{AgentId, CallId, InteractionId};

use super::EventFold;
use crate::agent::Connection;
use crate::world::Call;

impl EventFold<'_> {
    /// Sets the interaction of a call and, if given, the role of everyone in it.
    pub(super) fn assign_call(&mut self, id: &CallId, interaction: &InteractionId, role: Option<Role>) {
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        call.interaction = interaction.clone();
        for agent in call.agents.clone() {
            let known = self.agent_mut(&agent);
            let Some(index) = known.connection(id) else { continue };
            let connection = &mut known.connections[index];
            let role = role.unwrap_or(connection.role);
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
    /// to the customer's call, even if that has the consultation's id from now on.
    pub(super) fn join_calls(&mut self, join: &CallJoin) {
        let CallJoin { conference, primary, secondary, resulting, from, to } = join;
        let at = self.at;
        let before = self.world.call_mut(primary, at, self.undo).clone();
        let secondary = secondary.as_ref().filter(|secondary| *secondary != primary);
        let moved = secondary.map(|secondary| self.end_consultation(secondary, from)).unwrap_or_default();
        if !conference {
            self.end_connection(from, primary);
        }
        if resulting != primary {
            self.rename_call(primary, resulting, &before);
        }
        let was_moved = !moved.is_empty();
        let role = if *conference { Role::Conference } else { Role::Primary };
        for (agent, connection) in moved {
            self.move_into(
                resulting,
                agent,
                Connection { role, interaction: before.interaction.clone(), ..connection },
            );
        }
        if *conference && let Some(index) = self.agent_mut(from).connection(resulting) {
            self.agent_mut(from).connections[index].state = ConnectionState::Up;
            self.mark_changed(from, index);
        }
        // In a single step, `to` is connected to the call already, or will be.
        if let Some(to) = to.as_ref().filter(|to| !was_moved && *to != from) {
            match self.agent_mut(to).connection(resulting) {
                Some(index) if *conference => {
                    let known = self.agent_mut(to);
                    known.connections[index].role = Role::Conference;
                    known.correct_mappings(resulting, &before.interaction, Role::Conference);
                    self.mark_changed(to, index);
                }
                Some(_) => {}
                None if *conference => self.world.call_mut(resulting, at, self.undo).invited.push(to.clone()),
                None => {}
            }
        }
    }

    /// Ends the consultation. Returns its agents other than `from`, with their connections, voice recording
    /// included.
    fn end_consultation(&mut self, id: &CallId, from: &AgentId) -> Vec<(AgentId, Connection)> {
        let mut moved = Vec::new();
        for agent in self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default() {
            if let Some(connection) = self.end_connection(&agent, id)
                && agent != *from
            {
                moved.push((agent, connection));
            }
        }
        self.world.forget_call(id, self.undo);
        moved
    }

    /// Renames a call to its new id: everyone in it stays. `before` is the call before the event.
    fn rename_call(&mut self, old: &CallId, new: &CallId, before: &Call) {
        let agents = self.world.call(old).map(|call| call.agents.clone()).unwrap_or_default();
        for agent in &agents {
            let known = self.agent_mut(agent);
            let Some(index) = known.connection(old) else { continue };
            if known.connection(new).is_some() {
                self.end_connection(agent, old);
                continue;
            }
            known.connections[index].call = new.clone();
            known.rename_call(old, new);
            self.mark_changed(agent, index);
        }
        self.world.forget_call(old, self.undo);
        let at = self.at;
        let call = self.world.call_mut(new, at, self.undo);
        let fresh: Vec<_> = agents.into_iter().filter(|agent| !call.agents.contains(agent)).collect();
        call.agents.extend(fresh);
        call.invited.extend(before.invited.iter().cloned());
        self.assign_call(new, &before.interaction, None);
    }

    /// Continues an agent's connection in another call, unless the agent is in that call already.
    fn move_into(&mut self, id: &CallId, agent: AgentId, connection: Connection) {
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        if call.agents.contains(&agent) {
            return;
        }
        call.agents.push(agent.clone());
        let known = self.agent_mut(&agent);
        let state = if connection.is_up() { ConnectionState::Up } else { ConnectionState::Ringing };
        known.connections.push(Connection { call: id.clone(), since: at, state, ..connection });
        let index = known.connections.len() - 1;
        self.mark_changed(&agent, index);
    }
}
