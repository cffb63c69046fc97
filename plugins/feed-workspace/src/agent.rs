//! Makes events of the API's reports about one agent. Pure: time comes with each message.
//!
//! The API reports the current state, so each message is compared with the known state. The current session,
//! which is requested after a gap, is treated like messages: changes missed in between become events then. So
//! does all that has not changed, since the gap has put it in doubt.
//!
//! The agent is logged in from the first medium's log-in until the current session has none, nor a device.
//! Logging out of voice ends voice alone. The default place comes with the first `agent.logged_in`: it is a
//! matter of configuration and does not say where the agent sits.

mod calls;
mod roles;
mod snapshot;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deskreel_sdk::prelude::*;
use serde_json::Value;

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

/// Facts that the sessions of this feed share.
#[derive(Debug, Default, Clone)]
pub struct Devices(Arc<Mutex<Shared>>);

#[derive(Debug, Default, Clone)]
struct Shared {
    /// The agent at each device.
    agents: HashMap<String, String>,
    /// Call and agent of each conference that was reported.
    conferences: HashSet<(String, String)>,
}

impl Devices {
    fn agent_at(&self, device: &str) -> Option<String> {
        self.lock().agents.get(device).cloned()
    }

    fn set(&self, device: &str, agent: &str) {
        self.lock().agents.insert(device.to_owned(), agent.to_owned());
    }

    /// Notes that `agent` was added to the call; returns whether this is new.
    fn add_to_conference(&self, call: &str, agent: &str) -> bool {
        self.lock().conferences.insert((call.to_owned(), agent.to_owned()))
    }

    fn leave_conference(&self, call: &str, agent: &str) {
        self.lock().conferences.remove(&(call.to_owned(), agent.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Agent {
    id: String,
    name: AgentName,
    /// The number with which the agent logs in to voice; in many sites it is the device's.
    login: Option<String>,
    place: Option<String>,
    devices: Devices,
    device: Option<Device>,
    log_in: Option<LogIn>,
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
}

/// An `agent.logged_in` that was reported, with its device.
#[derive(Debug)]
struct LogIn {
    device: Option<String>,
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
            login: None,
            place: None,
            devices,
            device: None,
            log_in: None,
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
                        self.channel(media, channel, at, &mut out);
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

    fn learn(&mut self, user: &Value) {
        let name = match self.name {
            AgentName::User => "userName",
            AgentName::Employee => "employeeId",
            AgentName::Login => "agentLogin",
        };
        if let Some(agent) = text(user, name) {
            self.id = agent.to_owned();
        }
        if let Some(login) = text(user, "agentLogin") {
            self.login = Some(login.to_owned());
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
        let old = self.device.take().filter(|device| device.number == number);
        if old.as_ref().is_none_or(|old| old.is_registered != is_registered) {
            let state = if is_registered { "registered" } else { "lost" };
            out.push(self.event("feed.state", at).with("state", state).with("device", number));
        }
        self.devices.set(number, &self.id);
        self.device = Some(Device { number: number.to_owned(), is_registered });
        // A device out of service says nothing about its agent.
        if is_registered && is_logged_in(state) {
            self.log_in_with(Some(number), at, out);
        }
        if is_registered {
            self.state("voice", dn, "agentState", at, out);
        }
    }

    fn channel(&mut self, media: &str, channel: &Value, at: &str, out: &mut Vec<Event>) {
        if is_logged_in(text(channel, "state").unwrap_or_default()) {
            self.log_in_with(None, at, out);
        }
        self.state(media, channel, "state", at, out);
    }

    /// Reports the log-in, and again if the device is another one.
    fn log_in_with(&mut self, device: Option<&str>, at: &str, out: &mut Vec<Event>) {
        let is_first = self.log_in.is_none();
        let log_in = self.log_in.get_or_insert(LogIn { device: None });
        let is_new_device = device.is_some() && log_in.device.as_deref() != device;
        if !is_first && !is_new_device {
            return;
        }
        log_in.device = device.map(str::to_owned);
        let mut event = self.event("agent.logged_in", at);
        if let Some(device) = device {
            event = event.with("devices", vec![device]);
        }
        if let Some(place) = self.place.as_deref().filter(|_| is_first) {
            event = event.with("place", place);
        }
        out.push(event);
    }

    /// The agent's state in voice, which is a device's, or in another medium.
    fn state(&mut self, media: &str, about: &Value, key: &str, at: &str, out: &mut Vec<Event>) {
        let words = |key| text(about, key).filter(|word| *word != "Unknown").map(snake_case);
        let reasons = about["reasons"].as_array().into_iter().flatten();
        let reason = reasons.filter_map(|reason| text(reason, "value")).next().map(str::to_owned);
        let state = words(key);
        // The API may repeat the work mode of before.
        let is_over = |mode: &String| state.as_deref() == Some("ready") && mode == "after_call_work";
        let work_mode = words("agentWorkMode").filter(|mode| !is_over(mode));
        let now = [state, work_mode, reason];
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

/// Whether a state of a device or a channel is one of a user who is logged in there.
fn is_logged_in(state: &str) -> bool {
    !["", "LoggedOut", "LoggedOff", "OutOfService", "Unknown"].contains(&state)
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
#[allow(clippy::unwrap_used)]
mod tests;
