//! The role of an agent in a call, and the interaction that the call belongs to.
//!
//! A consultation belongs to the interaction of the call that waits for it: the one that an event names, else
//! the one that the consulting agent put on hold last. The consulting agent is the one at whom the
//! consultation did not ring.

use std::sync::Arc;

use deskreel_contract::{ConnectionState, Role};
use deskreel_model::event::{CallChange, CallFields};
use deskreel_model::{AgentId, CallId, InteractionId};

use super::EventFold;
use super::connections::is_consultation;
use crate::agent::Connection;
use crate::call::ParentCall;

impl EventFold<'_> {
    /// Returns the agent's role in this call. A known role stays, but a primary call may turn out to be a
    /// consultation.
    pub(super) fn role_in_call(&mut self, id: &CallId, agent: &AgentId, about: &CallFields) -> Role {
        if let Some(supervision) = about.role {
            return supervision.role();
        }
        let is_consult = is_consultation(about) || self.parent(id, about).is_some_and(|parent| parent.1);
        let known = self.connection_to(id, agent).map(|connection| connection.role);
        let call = self.world.call(id);
        match known {
            Some(Role::Primary) if is_consult => Role::Consult,
            Some(role) => role,
            None if is_consult || call.is_some_and(|call| call.history.parent.is_some()) => Role::Consult,
            None if call.is_some_and(|call| call.history.invited.contains(agent)) => Role::Conference,
            None => Role::Primary,
        }
    }

    /// The interaction that the call belongs to. If a consultation was taken for a call of its own until now,
    /// its connections are corrected.
    pub(super) fn resolve_interaction(
        &mut self,
        change: CallChange,
        id: &CallId,
        agent: &AgentId,
        about: &CallFields,
        role: Role,
    ) -> InteractionId {
        let known = self.world.call(id);
        let is_stated =
            known.is_some_and(|call| call.history.parent.as_ref().is_some_and(|parent| parent.is_stated));
        let known = known.map(|call| call.interaction.clone());
        let parent = match (self.parent(id, about), role) {
            (Some((parent, _)), _) => Some(ParentCall { id: parent, is_stated: true }),
            (None, Role::Consult) if !is_stated => {
                let waiting = self.waiting_call(id, agent, change, about);
                waiting.map(|id| ParentCall { id, is_stated: false })
            }
            _ => None,
        };
        let at = self.at;
        let Some(parent) = parent else {
            return known.unwrap_or_else(|| self.world.call_mut(id, at, self.undo).interaction.clone());
        };
        let interaction = self
            .world
            .call(&parent.id)
            .map_or_else(|| InteractionId(parent.id.0.clone()), |call| call.interaction.clone());
        if role == Role::Consult {
            self.world.call_mut(id, at, self.undo).history_mut().parent = Some(parent);
        }
        if known.as_ref() != Some(&interaction) {
            self.assign_call(id, &interaction, (role == Role::Consult).then_some(Role::Consult));
        }
        interaction
    }

    /// The call that an event names as this one's parent, and whether it waits for this one. Otherwise this
    /// call continues it: it was picked up, parked or put through, and has got another id.
    fn parent(&self, id: &CallId, about: &CallFields) -> Option<(CallId, bool)> {
        let parent = about.parent_call.as_ref()?;
        let mut parent = parent.clone();
        if let Some(rename) = self.world.call(&parent).and_then(|call| call.history.rename.as_ref()) {
            parent = rename.to.clone();
        }
        if parent == *id {
            return None;
        }
        let this = self.world.call(id);
        let is_consult = is_consultation(about) || this.is_some_and(|call| call.history.parent.is_some());
        let Some(call) = self.world.call(&parent) else { return Some((parent, true)) };
        // A call of its own interaction that has taken over another one's: it continues that one.
        let continues =
            this.is_some_and(|this| this.history.parent.is_none() && this.interaction == call.interaction);
        let waits = call.agents.iter().any(|other| {
            let connection = self.connection_to(&parent, other);
            connection.is_some_and(|connection| connection.is_up() && !connection.role.is_of_supervisor())
        });
        let is_unseen = call.agents.is_empty() && call.ending.is_none();
        Some((parent, is_consult || is_unseen || (waits && !continues)))
    }

    /// The call that waits for this consultation, by what its agents hold: the call that was put on hold
    /// last, by an agent at whom the consultation did not ring.
    fn waiting_call(
        &self,
        id: &CallId,
        agent: &AgentId,
        change: CallChange,
        about: &CallFields,
    ) -> Option<CallId> {
        let in_it = self.world.call(id).map(|call| call.agents.clone()).unwrap_or_default();
        let agents = in_it.iter().chain(Some(agent).filter(|agent| !in_it.contains(agent)));
        let was_rung = |other: &AgentId| {
            let is_told = other == agent && (change == CallChange::Delivered || is_inbound(&about.direction));
            let connection = self.connection_to(id, other);
            is_told
                || connection.is_some_and(|connection| {
                    connection.was_rung || is_inbound(&connection.details.direction)
                })
        };
        let others = agents.filter(|agent| !was_rung(agent)).flat_map(|agent| {
            let connections = self.world.agent(agent).map(|agent| &agent.connections);
            connections
                .into_iter()
                .flatten()
                .filter(|connection| connection.call != *id && connection.is_up())
        });
        let order = |connection: &&Arc<Connection>| {
            let is_held = connection.state == ConnectionState::Held;
            (is_held, connection.held.unwrap_or(connection.since), connection.call.clone())
        };
        others.max_by_key(order).map(|connection| connection.call.clone())
    }
}

fn is_inbound(direction: &Option<Box<str>>) -> bool {
    direction.as_deref().is_some_and(|direction| direction.eq_ignore_ascii_case("inbound"))
}
