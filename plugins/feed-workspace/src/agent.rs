//! Makes events of the API's reports about one agent. Pure: time comes with each message.
//!
//! The API reports the current state, so each message is compared with the known state. The current session,
//! which is requested after a gap, is treated like messages: changes missed in between become events then.

mod calls;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use deskreel_sdk::prelude::*;
use serde_json::Value;

use crate::login;

use calls::KnownCall;

/// The name of an agent that events carry.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum AgentName {
    #[default]
    #[serde(rename = "user_name")]
    User,
    #[serde(rename = "employee_id")]
    Employee,
    #[serde(rename = "agent_login")]
    Login,
}

/// The agent at each device, according to the sessions of this feed.
#[derive(Debug, Default, Clone)]
pub struct Devices(Arc<Mutex<HashMap<String, String>>>);

impl Devices {
    fn agent_at(&self, device: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(device).cloned()
    }

    fn set(&self, device: &str, agent: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(device.to_owned(), agent.to_owned());
    }
}

#[derive(Debug)]
pub struct Agent {
    id: String,
    name: AgentName,
    place: Option<String>,
    devices: Devices,
    device: Option<Device>,
    /// State, work mode and reason of each medium.
    states: BTreeMap<String, [Option<String>; 3]>,
    calls: BTreeMap<String, KnownCall>,
    /// Interactions that were accepted and are not completed, with their medium.
    interactions: BTreeMap<String, String>,
    workspace: Workspace,
}

#[derive(Debug)]
struct Device {
    number: String,
    is_registered: bool,
    is_logged_in: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Workspace {
    Making,
    Ready,
    Failed,
}

impl Agent {
    pub fn new(user: &str, name: AgentName, devices: Devices) -> Agent {
        Agent {
            id: user.to_owned(),
            name,
            place: None,
            devices,
            device: None,
            states: BTreeMap::new(),
            calls: BTreeMap::new(),
            interactions: BTreeMap::new(),
            workspace: Workspace::Making,
        }
    }

    /// The agent's name in events. Until the workspace reports it, the name with which we log in.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Notes a new session. The agent's known state is kept.
    pub fn log_in(&mut self) {
        self.workspace = Workspace::Making;
    }

    pub fn is_ready(&self) -> bool {
        self.workspace == Workspace::Ready
    }

    pub fn failure(&self) -> Option<String> {
        (self.workspace == Workspace::Failed).then(|| "the API could not make the workspace".to_owned())
    }

    /// The events of one message.
    pub fn take(&mut self, data: &Value, at: &str) -> Vec<Event> {
        let mut out = Vec::new();
        match data["messageType"].as_str().unwrap_or_default() {
            "WorkspaceInitializationComplete" => {
                self.learn(&data["data"]["user"]);
                self.workspace = if data["state"] == "Failed" { Workspace::Failed } else { Workspace::Ready };
            }
            "DnStateChanged" => self.device(&data["dn"], at, &mut out),
            "CallStateChanged" => self.call(&data["call"], at, &mut out),
            "ChannelStateChanged" => {
                for channel in data["media"]["channels"].as_array().into_iter().flatten() {
                    if let Some(media) = text(channel, "name") {
                        self.state(media, channel, "state", at, &mut out);
                    }
                }
            }
            "InteractionStateChanged" => self.interaction(&data["interaction"], at, &mut out),
            "EventError" => {
                let message = data["error"]["errorMessage"].as_str().unwrap_or("no message");
                tracing::warn!(agent = self.id, "the API reports an error: {message}");
            }
            other => tracing::debug!(agent = self.id, "ignoring a message of type `{other}`"),
        }
        out
    }

    /// The events since the last message, from the current session, after messages may have been missed.
    pub fn catch_up(&mut self, user: &Value, at: &str) -> Vec<Event> {
        self.learn(user);
        let mut out = Vec::new();
        let active = &user["activeSession"];
        let ids = |list: &Value| -> Vec<String> {
            list.as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| text(one, "id"))
                .map(str::to_owned)
                .collect()
        };
        let calls = ids(&active["calls"]);
        let over: Vec<String> = self.calls.keys().filter(|id| !calls.contains(id)).cloned().collect();
        over.iter().for_each(|id| self.end_call(id, at, &mut out));
        let channels = active["media"]["channels"].as_array().into_iter().flatten();
        let interactions: Vec<String> = channels.flat_map(|channel| ids(&channel["interactions"])).collect();
        let over: Vec<String> =
            self.interactions.keys().filter(|id| !interactions.contains(id)).cloned().collect();
        over.iter().for_each(|id| self.complete(id, at, &mut out));
        for data in login::as_messages(user) {
            out.extend(self.take(&data, at));
        }
        out
    }

    fn learn(&mut self, user: &Value) {
        let name = match self.name {
            AgentName::User => "userName",
            AgentName::Employee => "employeeId",
            AgentName::Login => "agentLogin",
        };
        if let Some(agent) = text(user, name) {
            self.id = agent.to_owned();
        }
        if let Some(place) = text(user, "defaultPlace") {
            self.place = Some(place.to_owned());
        }
    }

    fn event(&self, kind: &str, at: &str) -> Event {
        Event::new(kind, at).with("agent", self.id.as_str())
    }

    fn device(&mut self, dn: &Value, at: &str, out: &mut Vec<Event>) {
        let Some(number) = text(dn, "number") else { return };
        let state = text(dn, "agentState").unwrap_or_default();
        let is_registered = state != "OutOfService";
        let is_logged_in = !["", "LoggedOut", "OutOfService", "Unknown"].contains(&state);
        let old = self.device.take().filter(|device| device.number == number);
        if old.as_ref().is_none_or(|old| old.is_registered != is_registered) {
            let state = if is_registered { "registered" } else { "lost" };
            out.push(self.event("feed.state", at).with("state", state).with("device", number));
        }
        let was_logged_in = old.as_ref().is_some_and(|old| old.is_logged_in);
        self.devices.set(number, &self.id);
        // A device out of service says nothing about its agent.
        let is_logged_in = is_logged_in || (was_logged_in && !is_registered);
        self.device = Some(Device { number: number.to_owned(), is_registered, is_logged_in });
        if is_logged_in && !was_logged_in {
            let event = self.event("agent.logged_in", at).with("devices", vec![number]);
            out.push(match &self.place {
                Some(place) => event.with("place", place.as_str()),
                None => event,
            });
        }
        if is_registered && is_logged_in {
            self.state("voice", dn, "agentState", at, out);
        }
        if was_logged_in && !is_logged_in {
            self.states.remove("voice");
            out.push(self.event("agent.logged_out", at));
        }
    }

    /// The agent's state in voice, which is a device's, or in another medium.
    fn state(&mut self, media: &str, about: &Value, key: &str, at: &str, out: &mut Vec<Event>) {
        let words = |key| text(about, key).filter(|word| *word != "Unknown").map(snake_case);
        let reasons = about["reasons"].as_array().into_iter().flatten();
        let reason = reasons.filter_map(|reason| text(reason, "value")).next().map(str::to_owned);
        let now = [words(key), words("agentWorkMode"), reason];
        if now[0].is_none() || self.states.get(media) == Some(&now) {
            return;
        }
        let mut event = self.event("agent.state", at).with("media", media);
        for (field, value) in ["state", "work_mode", "reason"].into_iter().zip(&now) {
            if let Some(value) = value {
                event = event.with(field, value.as_str());
            }
        }
        out.push(event);
        self.states.insert(media.to_owned(), now);
    }

    fn interaction(&mut self, about: &Value, at: &str, out: &mut Vec<Event>) {
        let Some(id) = text(about, "id") else { return };
        let media = text(about, "mediatype").or_else(|| text(about, "mediaType")).unwrap_or("other");
        match text(about, "state").unwrap_or_default() {
            "Processing" | "Composing" if !self.interactions.contains_key(id) => {
                self.interactions.insert(id.to_owned(), media.to_owned());
                let event = self.event("interaction.accepted", at);
                out.push(event.with("interaction", id).with("media", media));
            }
            "Sent" | "Canceled" | "Completed" => self.complete(id, at, out),
            _ => {}
        }
    }

    fn complete(&mut self, id: &str, at: &str, out: &mut Vec<Event>) {
        if let Some(media) = self.interactions.remove(id) {
            let event = self.event("interaction.completed", at);
            out.push(event.with("interaction", id).with("media", media));
        }
    }
}

fn text<'a>(about: &'a Value, key: &str) -> Option<&'a str> {
    about[key].as_str().filter(|text| !text.is_empty())
}

/// `AfterCallWork` to `after_call_work`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for (index, char) in name.chars().enumerate() {
        if char.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.extend(char.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests;
