//! Calls of one agent.
//!
//! A call is identified by its connection id. When a consultation is completed, the API reports to the
//! consulted agent that the consultation now has the main call's id, and names the previous one
//! (`previousConnId`).

use deskreel_sdk::prelude::*;
use serde_json::{Map, Value};

use super::{Agent, snake_case, text};

/// The state of a call as last reported by the API.
#[derive(Debug, Default)]
pub struct KnownCall {
    pub(super) state: CallState,
    voice: Voice,
    /// Fields that each event of the call carries.
    fields: Map<String, Value>,
}

impl KnownCall {
    /// The agent is the supervisor of somebody else's call.
    pub(super) fn is_supervised(&self) -> bool {
        self.fields.contains_key("role")
    }
}

/// The agent's connection to the call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// Not connected yet: dialing, or unknown.
    #[default]
    None,
    Ringing,
    Established,
    Held,
}

/// The voice recorder's state in the call.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Voice {
    #[default]
    Off,
    On,
    Paused,
}

/// A message about one call.
struct Message<'a> {
    id: &'a str,
    about: &'a Value,
    /// The fields of events, from `about`.
    fields: Map<String, Value>,
    at: &'a str,
}

impl Agent {
    pub(super) fn call(&mut self, about: &Value, at: &str, out: &mut Vec<Event>) {
        let Some(id) = text(about, "id").or_else(|| text(about, "connId")) else { return };
        let before = text(about, "previousConnId").filter(|before| *before != id);
        let moved = before.and_then(|before| Some((before.to_owned(), self.calls.remove(before)?)));
        let Some(state) = state_of(about) else {
            if let Some((before, call)) = moved {
                self.calls.insert(before.clone(), call);
                self.end_call(&before, at, out);
            }
            return self.end_call(id, at, out);
        };
        let known_role = self.calls.get(id).and_then(|call| call.fields.get("role").cloned());
        let role = self.supervision(about).map(Value::from).or(known_role);
        let mut fields = fields(about);
        if let Some(role) = role {
            fields.insert("role".to_owned(), role);
        }
        let message = Message { id, about, fields, at };
        match moved {
            Some((before, call)) => self.move_call(&before, call, &message, out),
            None => drop(self.calls.entry(id.to_owned()).or_default()),
        }
        let kind = {
            let Some(call) = self.calls.get_mut(id) else { return };
            let is_new = |field: &str| call.fields.get(field) != message.fields.get(field);
            let has_new_data = is_new("attached") || is_new("role");
            call.fields = message.fields;
            let old = std::mem::replace(&mut call.state, state);
            match (old, state) {
                (_, CallState::None) => None,
                (CallState::Held, CallState::Established) => Some("call.retrieved"),
                (old, new) if old == new && !has_new_data => None,
                (_, CallState::Ringing) => Some("call.delivered"),
                (_, CallState::Established) => Some("call.established"),
                (_, CallState::Held) => Some("call.held"),
            }
        };
        if let Some(kind) = kind {
            out.push(self.call_event(kind, id, at));
        }
        self.voice(id, voice(about), at, out);
        let call = self.calls.get(id);
        let is_connected =
            call.is_some_and(|call| matches!(call.state, CallState::Established | CallState::Held));
        // A supervisor sees the supervised agent as a new party.
        if is_connected && call.is_some_and(|call| !call.is_supervised()) {
            self.report_conference(id, about, at, out);
        }
    }

    /// Takes a call of the current session. With `again`, what has not changed is reported as well.
    pub(super) fn call_again(&mut self, about: &Value, again: bool, at: &str, out: &mut Vec<Event>) {
        let mut events = Vec::new();
        self.call(about, at, &mut events);
        let id = text(about, "id").or_else(|| text(about, "connId")).unwrap_or_default();
        if let Some((state, voice)) =
            self.calls.get(id).filter(|_| again).map(|call| (call.state, call.voice))
        {
            let has = |events: &[Event], prefix: &str| {
                events.iter().any(|event| event.kind.starts_with(prefix) && event.text("call") == Some(id))
            };
            let kind = match state {
                CallState::None => None,
                CallState::Ringing => Some("call.delivered"),
                CallState::Established => Some("call.established"),
                CallState::Held => Some("call.held"),
            };
            if let Some(kind) = kind.filter(|_| !has(&events, "call.")) {
                events.insert(0, self.call_event(kind, id, at));
            }
            let kind = match voice {
                Voice::Off => None,
                Voice::On => Some("recording.started"),
                Voice::Paused => Some("recording.paused"),
            };
            if let Some(kind) = kind.filter(|_| !has(&events, "recording.")) {
                events.push(self.voice_event(kind, id, at));
            }
        }
        out.append(&mut events);
    }

    /// The call for whose sake this consultation is held.
    pub(super) fn parent_of(&self, consultation: &str) -> Option<&str> {
        self.calls.get(consultation)?.fields.get("parent_call")?.as_str()
    }

    /// The consultation `before` continues as another call: conferenced if the agent who consulted is still
    /// there, else transferred.
    fn move_call(&mut self, before: &str, call: KnownCall, message: &Message<'_>, out: &mut Vec<Event>) {
        let Message { id, about, ref fields, at } = *message;
        let own = self.device.as_ref().map(|device| device.number.clone());
        let participants = about["participants"].as_array().into_iter().flatten();
        let numbers: Vec<&str> = participants
            .filter_map(|one| text(one, "number"))
            .filter(|one| Some(*one) != own.as_deref())
            .collect();
        let others = numbers.iter().filter_map(|number| self.devices.agent_at(number));
        let colleague = others.into_iter().find(|other| *other != self.id).filter(|_| numbers.len() > 1);
        let known = self.calls.entry(id.to_owned()).or_default();
        known.fields = fields.clone();
        match colleague {
            Some(colleague) => {
                self.devices.add_to_conference(id, &self.id);
                // The call continues: it neither ends nor begins.
                (known.state, known.voice) = (call.state, call.voice);
                let event = Event::new("call.conferenced", at).with("primary_call", id);
                let event = event.with("secondary_call", before).with("resulting_call", id);
                out.push(event.with("from_agent", colleague).with("to_agent", self.id.as_str()));
            }
            None => {
                // This precedes the old call's end, so that the agent is in a call throughout.
                known.state = CallState::Established;
                out.push(self.call_event("call.established", id, at));
                self.calls.insert(before.to_owned(), call);
                self.end_call(before, at, out);
            }
        }
    }

    pub(super) fn end_call(&mut self, id: &str, at: &str, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get(id) else { return };
        let was_reported = call.state != CallState::None;
        self.voice(id, Voice::Off, at, out);
        if was_reported {
            let event = self.event("call.cleared", at).with("call", id);
            out.push(match &self.device {
                Some(device) => event.with("device", device.number.as_str()),
                None => event,
            });
        }
        self.calls.remove(id);
        self.devices.leave_conference(id, &self.id);
    }

    fn call_event(&self, kind: &str, id: &str, at: &str) -> Event {
        let mut event = self.event(kind, at).with("call", id);
        if let Some(device) = &self.device {
            event = event.with("device", device.number.as_str());
        }
        if let Some(call) = self.calls.get(id) {
            event.fields.extend(call.fields.clone());
        }
        event
    }

    /// The voice recorder's state in this call.
    fn voice(&mut self, id: &str, now: Voice, at: &str, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let kind = match (std::mem::replace(&mut call.voice, now), now) {
            (old, new) if old == new => return,
            (Voice::Paused, Voice::On) => "recording.resumed",
            (_, Voice::On) => "recording.started",
            (_, Voice::Paused) => "recording.paused",
            (_, Voice::Off) => "recording.stopped",
        };
        out.push(self.voice_event(kind, id, at));
    }

    fn voice_event(&self, kind: &str, id: &str, at: &str) -> Event {
        let event = self.event(kind, at).with("call", id);
        match self.calls.get(id).and_then(|call| call.fields.get("call_uuid")) {
            Some(recording) => event.with("voice_recording", recording.clone()),
            None => event,
        }
    }
}

/// The state of a call in a message; `None` if the call is over.
pub fn state_of(about: &Value) -> Option<CallState> {
    match text(about, "state").unwrap_or_default() {
        "Ringing" => Some(CallState::Ringing),
        "Established" => Some(CallState::Established),
        "Held" => Some(CallState::Held),
        "Released" | "Completed" => None,
        _ => Some(CallState::None),
    }
}

fn voice(about: &Value) -> Voice {
    match text(about, "recordingState").unwrap_or_default() {
        "Recording" => Voice::On,
        "Paused" => Voice::Paused,
        _ => Voice::Off,
    }
}

fn fields(about: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(key.to_owned(), value);
        }
    };
    let kind = text(about, "callType").map(snake_case);
    let direction = kind.clone().filter(|kind| kind == "inbound" || kind == "outbound");
    set("direction", direction.map(Value::from));
    set("call_type", kind.map(Value::from));
    set("parent_call", text(about, "parentConnId").map(Value::from));
    set("call_uuid", text(about, "callUuid").map(Value::from));
    set("ani", text(about, "ani").map(Value::from));
    set("dnis", text(about, "dnis").map(Value::from));
    set("attached", about["userData"].as_array().map(|pairs| Value::Object(pairs_of(pairs))));
    fields
}

/// Makes an object of `[{ "key": .., "type": .., "value": .. }]`, which may be nested.
fn pairs_of(pairs: &[Value]) -> Map<String, Value> {
    let pair = |pair: &Value| {
        let value = match &pair["value"] {
            Value::Array(inner) => Value::Object(pairs_of(inner)),
            other => other.clone(),
        };
        Some((text(pair, "key")?.to_owned(), value))
    };
    pairs.iter().filter_map(pair).collect()
}
