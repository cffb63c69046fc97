//! Transfers and conferences: two calls become one, or a call goes on with another agent.

use deskreel_contract::{ConnectionState, Role};
use deskreel_model::event::Joined;
use deskreel_model::{CallId, InteractionId};

use super::Fold;
use crate::agent::Connection;

impl Fold<'_> {
    /// Says of a call, and of everybody in it, what it belongs to.
    pub(super) fn belongs(&mut self, id: &CallId, interaction: &InteractionId, role: Option<Role>) {
        let at = self.at;
        let call = self.world.call_mut(id, at, self.undo);
        call.interaction = interaction.clone();
        for agent in call.agents.clone() {
            let known = self.agent(&agent);
            let Some(index) = known.connection(id) else { continue };
            let connection = &mut known.connections[index];
            let role = role.unwrap_or(connection.role);
            if (connection.role, &connection.interaction) == (role, interaction) {
                continue;
            }
            connection.role = role;
            connection.interaction = interaction.clone();
            known.amend(id, interaction, role);
            self.changed(&agent, index);
        }
    }

    pub(super) fn joined(&mut self, joined: &Joined) {
        let Joined { conference, primary, secondary, resulting, from, to } = joined;
        let at = self.at;
        let role = if *conference { Role::Conference } else { Role::Primary };
        let before = self.world.call_mut(primary, at, self.undo).clone();
        // Whoever was asked for advice is now in the customer's call, even where that has the consultation's id from now
        // on. A voice recording goes along.
        let mut moved = Vec::new();
        if let Some(secondary) = secondary.as_ref().filter(|secondary| *secondary != primary) {
            for agent in self.world.call(secondary).map(|call| call.agents.clone()).unwrap_or_default() {
                if let Some(connection) = self.left(&agent, secondary)
                    && agent != *from
                {
                    moved.push((agent, connection));
                }
            }
            self.world.forget_call(secondary, self.undo);
        }
        if !conference {
            self.left(from, primary);
        }
        // The others stay, under the call's new name.
        if resulting != primary {
            let agents = self.world.call(primary).map(|call| call.agents.clone()).unwrap_or_default();
            for agent in &agents {
                let known = self.agent(agent);
                let Some(index) = known.connection(primary) else { continue };
                if known.connection(resulting).is_some() {
                    self.left(agent, primary);
                    continue;
                }
                known.connections[index].call = resulting.clone();
                known.rename(primary, resulting);
                self.changed(agent, index);
            }
            self.world.forget_call(primary, self.undo);
            let call = self.world.call_mut(resulting, at, self.undo);
            let fresh: Vec<_> = agents.into_iter().filter(|agent| !call.agents.contains(agent)).collect();
            call.agents.extend(fresh);
            call.invited.extend(before.invited);
            self.belongs(resulting, &before.interaction, None);
        }
        let was_moved = !moved.is_empty();
        for (agent, connection) in moved {
            let call = self.world.call_mut(resulting, at, self.undo);
            if call.agents.contains(&agent) {
                continue;
            }
            call.agents.push(agent.clone());
            let known = self.agent(&agent);
            known.connections.push(Connection {
                call: resulting.clone(),
                interaction: before.interaction.clone(),
                role,
                since: at,
                state: if connection.is_up() { ConnectionState::Up } else { ConnectionState::Ringing },
                ..connection
            });
            let index = known.connections.len() - 1;
            self.changed(&agent, index);
        }
        if *conference && let Some(index) = self.agent(from).connection(resulting) {
            self.agent(from).connections[index].state = ConnectionState::Up;
            self.changed(from, index);
        }
        // In one step: the other one will be, or is already, connected to it.
        if let Some(to) = to.as_ref().filter(|to| !was_moved && *to != from) {
            let interaction = before.interaction;
            match self.agent(to).connection(resulting) {
                Some(index) if *conference => {
                    let known = self.agent(to);
                    known.connections[index].role = Role::Conference;
                    known.amend(resulting, &interaction, Role::Conference);
                    self.changed(to, index);
                }
                Some(_) => {}
                None if *conference => self.world.call_mut(resulting, at, self.undo).invited.push(to.clone()),
                None => {}
            }
        }
    }
}
