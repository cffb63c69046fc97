//! Finds the agents that an event means: by another form of their name, by an alias, or by their device.

use std::borrow::Cow;

use deskreel_model::AgentId;
use deskreel_model::event::{CallChange, Kind};

use super::EventFold;

impl EventFold<'_> {
    /// The event with the agents that it means; `None` if it does not say whose it is.
    pub(super) fn resolve<'e>(&mut self, kind: &'e Kind) -> Option<Cow<'e, Kind>> {
        if let Kind::Call { change, agent: None, about, .. } = kind
            && (*change != CallChange::Cleared || about.device.is_none())
        {
            let Some(device) = &about.device else { return Some(Cow::Borrowed(kind)) };
            return self.resolve_device(kind, device);
        }
        if let Kind::Voice { agent: None, device, .. } = kind {
            return self.resolve_device(kind, device.as_deref().unwrap_or_default());
        }
        if kind.agents().all(|agent| self.world.agent(agent).is_some()) {
            return Some(Cow::Borrowed(kind));
        }
        let mut resolved = kind.clone();
        for agent in resolved.agents_mut() {
            match self.agent_meant(agent) {
                Some(meant) => *agent = meant,
                None => self.is_unresolved |= !self.world.identities().is_empty(),
            }
        }
        Some(Cow::Owned(resolved))
    }

    fn resolve_device<'e>(&mut self, kind: &'e Kind, device: &str) -> Option<Cow<'e, Kind>> {
        let meant = self.agent_with(device)?;
        let mut resolved = kind.clone();
        if let Kind::Call { agent, .. } | Kind::Voice { agent, .. } = &mut resolved {
            *agent = Some(meant);
        }
        Some(Cow::Owned(resolved))
    }

    pub(super) fn agent_meant(&self, name: &AgentId) -> Option<AgentId> {
        let name = name.as_str();
        let identities = self.world.identities();
        let of_directory = || identities.agent(name).or_else(|| identities.device(name));
        self.world.agent_named(name).or_else(of_directory).cloned()
    }

    pub(super) fn agent_with(&self, device: &str) -> Option<AgentId> {
        self.world.agent_with(device).or_else(|| self.world.identities().device(device)).cloned()
    }
}
