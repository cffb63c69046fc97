//! Calls of one agent.
//!
//! A call is known by its connection id. When a consultation is completed, the API tells the agent who was consulted that the
//! consultation has another id from now on, the main call's, and names the one before (`previousConnId`).

use deskreel_sdk::prelude::*;
use serde_json::{Map, Value};

use super::{Seat, snake_case, text};

/// What was told of a call.
#[derive(Debug, Default)]
pub struct Call {
    state: State,
    voice: Voice,
    /// What every event of it carries.
    fields: Map<String, Value>,
}

/// How an agent is connected.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not yet: it is dialed, or unknown.
    #[default]
    None,
    Ringing,
    Established,
    Held,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Voice {
    #[default]
    Off,
    On,
    Paused,
}

impl Seat {
    pub(super) fn call(&mut self, about: &Value, at: &str, out: &mut Vec<Event>) {
        let Some(id) = text(about, "id").or_else(|| text(about, "connId")) else { return };
        let before = text(about, "previousConnId").filter(|before| *before != id);
        let moved = before.and_then(|before| Some((before.to_owned(), self.calls.remove(before)?)));
        let state = match text(about, "state").unwrap_or_default() {
            "Ringing" => State::Ringing,
            "Established" => State::Established,
            "Held" => State::Held,
            "Released" | "Completed" => {
                if let Some((before, call)) = moved {
                    self.calls.insert(before.clone(), call);
                    self.end_call(&before, at, out);
                }
                return self.end_call(id, at, out);
            }
            _ => State::None,
        };
        let fields = fields(about);
        let voice = voice(about);
        match moved {
            Some((before, call)) => self.move_call(&before, call, id, &fields, about, at, out),
            None => drop(self.calls.entry(id.to_owned()).or_default()),
        }
        let kind = {
            let Some(call) = self.calls.get_mut(id) else { return };
            let has_new_data = call.fields.get("attached") != fields.get("attached");
            call.fields = fields;
            let old = std::mem::replace(&mut call.state, state);
            match (old, state) {
                (_, State::None) => None,
                (State::Held, State::Established) => Some("call.retrieved"),
                (old, new) if old == new && !has_new_data => None,
                (_, State::Ringing) => Some("call.delivered"),
                (_, State::Established) => Some("call.established"),
                (_, State::Held) => Some("call.held"),
            }
        };
        if let Some(kind) = kind {
            out.push(self.call_event(kind, id, at));
        }
        self.voice(id, voice, at, out);
    }

    /// The consultation goes on as another call: it was conferenced, if whoever consulted is still there, else transferred.
    #[expect(clippy::too_many_arguments, reason = "what is known of one message")]
    fn move_call(
        &mut self,
        before: &str,
        call: Call,
        id: &str,
        fields: &Map<String, Value>,
        about: &Value,
        at: &str,
        out: &mut Vec<Event>,
    ) {
        let own = self.device.as_ref().map(|device| device.number.clone());
        let participants = about["participants"].as_array().into_iter().flatten();
        let numbers: Vec<&str> = participants
            .filter_map(|one| text(one, "number"))
            .filter(|one| Some(*one) != own.as_deref())
            .collect();
        let others = numbers.iter().filter_map(|number| self.devices.agent_at(number));
        let colleague = others.into_iter().find(|other| *other != self.agent).filter(|_| numbers.len() > 1);
        let known = self.calls.entry(id.to_owned()).or_default();
        known.fields = fields.clone();
        match colleague {
            Some(colleague) => {
                // It goes on: neither ends nor begins.
                (known.state, known.voice) = (call.state, call.voice);
                let event = Event::new("call.conferenced", at).with("primary_call", id);
                let event = event.with("secondary_call", before).with("resulting_call", id);
                out.push(event.with("from_agent", colleague).with("to_agent", self.agent.as_str()));
            }
            None => {
                // First, so that the agent is in a call throughout.
                known.state = State::Established;
                out.push(self.call_event("call.established", id, at));
                self.calls.insert(before.to_owned(), call);
                self.end_call(before, at, out);
            }
        }
    }

    pub(super) fn end_call(&mut self, id: &str, at: &str, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get(id) else { return };
        let was_told = call.state != State::None;
        self.voice(id, Voice::Off, at, out);
        if was_told {
            let event = self.event("call.cleared", at).with("call", id);
            out.push(match &self.device {
                Some(device) => event.with("device", device.number.as_str()),
                None => event,
            });
        }
        self.calls.remove(id);
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
        let recording = call.fields.get("call_uuid").cloned();
        let event = self.event(kind, at).with("call", id);
        out.push(match recording {
            Some(recording) => event.with("voice_recording", recording),
            None => event,
        });
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

/// `[{ "key": .., "type": .., "value": .. }]`, which may be nested, to an object.
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
