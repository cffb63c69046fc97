//! Parts that an agent may have in a call besides the usual one.
//!
//! The API lists the participants of a call with the role of each. `RoleNewParty` was added to the call, so
//! it is a conference. `RoleObserver` is a supervisor.

use deskreel_sdk::prelude::*;
use serde_json::Value;

use super::{Agent, text};

impl Agent {
    /// `monitor`, `coach` or `barge` if this agent supervises the call. What the supervised agent hears of it
    /// (`supervisorListeningIn`) is no role of that agent.
    pub(super) fn supervision(&self, about: &Value) -> Option<&'static str> {
        let observes = participants(about)
            .any(|(number, role)| role == "RoleObserver" && number.is_some_and(|number| self.is_own(number)));
        if !observes && about["isMonitoredByMe"] != true {
            return None;
        }
        let mode = text(&about["monitoringInfo"], "monitorMode");
        let mode = mode.or_else(|| text(about, "supervisorMonitoringState")).unwrap_or_default();
        Some(match mode.to_lowercase().as_str() {
            _ if about["supervisorBargedIn"] == true => "barge",
            "connect" | "bargein" => "barge",
            "coach" => "coach",
            _ => "monitor",
        })
    }

    /// Reports agents of this feed who were added to the call, each once.
    pub(super) fn report_conference(&self, id: &str, about: &Value, at: &str, out: &mut Vec<Event>) {
        let agent_at = |number: Option<&str>| number.and_then(|number| self.agent_of(number));
        for (number, _) in participants(about).filter(|(_, role)| *role == "RoleNewParty") {
            let Some(added) = agent_at(number) else { continue };
            let from = if added == self.id {
                let others =
                    participants(about).filter(|(_, role)| !["RoleNewParty", "RoleObserver"].contains(role));
                others.filter_map(|(number, _)| agent_at(number)).find(|other| *other != added)
            } else {
                Some(self.id.clone())
            };
            let Some(from) = from else { continue };
            if !self.devices.add_to_conference(id, &added) {
                continue;
            }
            let mut event = Event::new("call.conferenced", at).with("primary_call", id);
            let is_consultation = |call: &str| self.parent_of(call) == Some(id);
            if let Some(consultation) = self.calls.keys().find(|call| is_consultation(call)) {
                event = event.with("secondary_call", consultation.as_str()).with("resulting_call", id);
            }
            out.push(event.with("from_agent", from).with("to_agent", added));
        }
    }

    fn agent_of(&self, number: &str) -> Option<String> {
        if self.is_own(number) { Some(self.id.clone()) } else { self.devices.agent_at(number) }
    }

    fn is_own(&self, number: &str) -> bool {
        let device = self.device.as_ref().map(|device| device.number.as_str());
        device == Some(number) || self.login.as_deref() == Some(number)
    }
}

/// Number and role of each participant.
fn participants(about: &Value) -> impl Iterator<Item = (Option<&str>, &str)> {
    let all = about["participants"].as_array().into_iter().flatten();
    all.map(|one| (text(one, "number"), text(one, "role").unwrap_or_default()))
}
