//! The table of event types, and the JSON Schema that is published from it.

use serde_json::{Map, Value, json};

/// One type of event, with the fields that it has besides those of every event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventType {
    pub name: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub takes: Takes,
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Text,
    Texts,
    /// Whole, from 0.
    Number,
    /// Whole, with a sign.
    Offset,
    /// Keys and values.
    Object,
}

const fn need(name: &'static str) -> Field {
    Field { name, takes: Takes::Text, required: true }
}

const fn may(name: &'static str) -> Field {
    Field { name, takes: Takes::Text, required: false }
}

const fn of(takes: Takes, field: Field) -> Field {
    Field { takes, ..field }
}

/// What every event has, besides `type` and `at`.
pub const COMMON: &[Field] = &[may("feed"), of(Takes::Number, may("seq"))];

const SEAT: &[Field] = &[
    need("agent"),
    may("place"),
    of(Takes::Texts, may("devices")),
    of(Takes::Texts, may("groups")),
    of(Takes::Texts, may("skills")),
];
const CALL: &[Field] = &[
    need("call"),
    need("agent"),
    may("device"),
    may("direction"),
    may("call_type"),
    may("parent_call"),
    of(Takes::Object, may("attached")),
];
const CLEARED: &[Field] = &[need("call"), may("agent"), may("device")];
const JOINED: &[Field] = &[
    need("primary_call"),
    may("secondary_call"),
    may("resulting_call"),
    need("from_agent"),
    may("to_agent"),
];
const VOICE: &[Field] = &[need("call"), need("agent"), may("voice_recording")];
const REQUEST: &[Field] = &[need("agent"), may("reason")];
const REQUEST_WITH_LIMIT: &[Field] = &[need("agent"), may("reason"), of(Takes::Number, may("limit_ms"))];

const fn event(name: &'static str, fields: &'static [Field], about: &'static str) -> EventType {
    EventType { name, about, fields }
}

/// In the order of the documentation.
#[rustfmt::skip]
pub const TYPES: &[EventType] = &[
    event("agent.logged_in", SEAT, "The agent has logged in at a place, with these devices."),
    event("agent.logged_out", &[need("agent"), may("place")], "The agent has logged out: nothing of the screen is the agent's any more."),
    event("agent.state", &[need("agent"), may("media"), may("state"), may("work_mode"), may("reason")], "The agent's state in one medium (`voice` where none is said); `work_mode` is `after_call_work` during wrap-up."),
    event("call.delivered", CALL, "The call rings at the agent."),
    event("call.established", CALL, "The agent is in the call. `parent_call`, or `call_type` `consult`, makes it a consultation."),
    event("call.held", CALL, "The agent has put the call on hold."),
    event("call.retrieved", CALL, "The agent has taken it back."),
    event("call.cleared", CLEARED, "The agent has left the call; without `agent`, everybody has."),
    event("call.transferred", JOINED, "`from_agent` has given the primary call to `to_agent`, who was consulted in the secondary call, if there is one. It goes on as `resulting_call`."),
    event("call.conferenced", JOINED, "`from_agent` has added `to_agent` to the primary call, and stays."),
    event("recording.started", VOICE, "The voice recorder records this agent in this call."),
    event("recording.paused", VOICE, "It has paused: card numbers and the like."),
    event("recording.resumed", VOICE, "It goes on."),
    event("recording.stopped", VOICE, "It has ended."),
    event("interaction.accepted", &[need("interaction"), need("agent"), may("media")], "The agent has accepted a chat, a mail or the like."),
    event("interaction.completed", &[need("interaction"), need("agent"), may("media")], "The agent is done with it."),
    event("screen.start_requested", REQUEST, "The agent desktop asks for footage, apart from any call."),
    event("screen.stop_requested", REQUEST, "It no longer does."),
    event("screen.pause_requested", REQUEST_WITH_LIMIT, "The agent desktop asks that nothing be captured, for `limit_ms` at most."),
    event("screen.mask_requested", REQUEST_WITH_LIMIT, "The same, with a slate in place of the screen."),
    event("screen.resume_requested", REQUEST, "Capture goes on."),
    event("screen.tag_requested", &[need("agent"), need("name"), may("value")], "The agent desktop marks the footage."),
    event("recorder.connected", &[need("place")], "From the host: the recorder at this place can be commanded."),
    event("recorder.disconnected", &[need("place")], "From the host: it cannot; what it does, it goes on doing."),
    event("feed.gap", &[need("feed"), may("reason")], "Events of this feed were lost: what is known of its calls is in doubt."),
    event("feed.state", &[need("feed"), need("state"), may("device"), may("agent"), may("reason")], "What this feed can tell from here on: `live`, `catching_up` (what comes is older), or `lost`. With `agent`, of that agent's session; with `device`, of that one: `registered`, or `lost`."),
    event("feed.clock", &[need("feed"), of(Takes::Offset, need("offset_ms"))], "From the host: the clock of this feed is behind by so much, or ahead where negative."),
];

impl Takes {
    fn schema(self) -> Value {
        match self {
            Takes::Text => json!({ "type": "string" }),
            Takes::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            Takes::Number => json!({ "type": "integer", "minimum": 0 }),
            Takes::Offset => json!({ "type": "integer" }),
            Takes::Object => json!({ "type": "object" }),
        }
    }
}

/// JSON Schema of one event: a line of a log. A type that is not in the table may have any fields.
pub fn json_schema() -> Value {
    let known: Vec<_> = TYPES.iter().map(|event| event.name).collect();
    let branch = |event: &EventType| {
        let required: Vec<_> =
            event.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        json!({
            "if": { "properties": { "type": { "const": event.name } } },
            "then": { "description": event.about, "required": required, "properties": properties(event.fields) },
        })
    };
    let mut common = properties(COMMON);
    common.insert("type".into(), json!({ "type": "string", "examples": known }));
    common.insert("at".into(), json!({ "type": "string", "format": "date-time" }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Deskreel interaction event",
        "type": "object",
        "required": ["type", "at"],
        "properties": common,
        "allOf": TYPES.iter().map(branch).collect::<Vec<_>>(),
    })
}

fn properties(fields: &[Field]) -> Map<String, Value> {
    fields.iter().map(|field| (field.name.to_owned(), field.takes.schema())).collect()
}
