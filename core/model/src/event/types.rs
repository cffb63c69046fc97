//! The table of event types, and the JSON Schema that is published from it.

use serde_json::{Map, Value, json};

/// One type of event, with its fields besides those that every event has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventType {
    pub name: &'static str,
    pub about: &'static str,
    pub fields: &'static [Field],
    /// Fields of which it needs at least one.
    pub one_of: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub kind: FieldKind,
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    /// A list of texts.
    Texts,
    /// An integer from 0.
    Number,
    /// An integer with a sign.
    Offset,
    /// Keys and values.
    Object,
}

const fn required(name: &'static str) -> Field {
    Field { name, kind: FieldKind::Text, required: true }
}

const fn optional(name: &'static str) -> Field {
    Field { name, kind: FieldKind::Text, required: false }
}

const fn typed(kind: FieldKind, field: Field) -> Field {
    Field { kind, ..field }
}

/// Fields of every event besides `type` and `at`.
pub const COMMON: &[Field] = &[optional("feed"), typed(FieldKind::Number, optional("seq"))];

const SEAT: &[Field] = &[
    required("agent"),
    optional("place"),
    typed(FieldKind::Texts, optional("devices")),
    typed(FieldKind::Texts, optional("groups")),
    typed(FieldKind::Texts, optional("skills")),
];
const CALL: &[Field] = &[
    required("call"),
    optional("agent"),
    optional("device"),
    optional("direction"),
    optional("call_type"),
    optional("parent_call"),
    optional("role"),
    typed(FieldKind::Object, optional("attached")),
];
const CLEARED: &[Field] = &[required("call"), optional("agent"), optional("device")];
const JOINED: &[Field] = &[
    required("primary_call"),
    optional("secondary_call"),
    optional("resulting_call"),
    required("from_agent"),
    optional("to_agent"),
];
const VOICE: &[Field] =
    &[required("call"), optional("agent"), optional("device"), optional("voice_recording")];
const REQUEST: &[Field] = &[required("agent"), optional("reason")];
const REQUEST_WITH_LIMIT: &[Field] =
    &[required("agent"), optional("reason"), typed(FieldKind::Number, optional("limit_ms"))];

const fn event(name: &'static str, fields: &'static [Field], about: &'static str) -> EventType {
    EventType { name, about, fields, one_of: &[] }
}

/// An event of one agent's call. The device says whose it is if the agent is not given.
const fn of_connection(name: &'static str, fields: &'static [Field], about: &'static str) -> EventType {
    EventType { name, about, fields, one_of: &["agent", "device"] }
}

const LOGGED_OUT: &[Field] = &[required("agent"), optional("place")];
const STATE: &[Field] =
    &[required("agent"), optional("media"), optional("state"), optional("work_mode"), optional("reason")];
const INTERACTION: &[Field] = &[required("interaction"), required("agent"), optional("media")];
const TAG: &[Field] = &[required("agent"), required("name"), optional("value")];
const RECORDER: &[Field] = &[required("place")];
const STARTED: &[Field] = &[];
const GAP: &[Field] = &[required("feed"), optional("agent"), optional("reason")];
const FEED_STATE: &[Field] =
    &[required("feed"), required("state"), optional("device"), optional("agent"), optional("reason")];
const CLOCK: &[Field] = &[required("feed"), typed(FieldKind::Offset, required("offset_ms"))];

/// All event types, in the order of the documentation.
pub const TYPES: &[EventType] = &[
    event(
        "agent.logged_in",
        SEAT,
        "The agent has logged in at a place, with these devices. Without `place`, it moves nobody.",
    ),
    event(
        "agent.logged_out",
        LOGGED_OUT,
        "The agent has logged out at this place, or everywhere: from now on, nothing on the screen there is the \
         agent's.",
    ),
    event(
        "agent.state",
        STATE,
        "The agent's state in one medium (`voice` if none is given); `work_mode` is `after_call_work` during \
         wrap-up.",
    ),
    of_connection("call.delivered", CALL, "The call rings at the agent."),
    of_connection(
        "call.established",
        CALL,
        "The agent is in the call. `parent_call`, or `call_type` `consult`, makes it a consultation; `role` is \
         `monitor`, `coach` or `barge` for a supervisor.",
    ),
    of_connection("call.held", CALL, "The agent has put the call on hold."),
    of_connection("call.retrieved", CALL, "The agent has taken the call off hold."),
    event(
        "call.cleared",
        CLEARED,
        "The agent has left the call; with `device`, that device has. Without either, everyone has.",
    ),
    event(
        "call.transferred",
        JOINED,
        "`from_agent` has transferred the primary call to `to_agent`, who was consulted in the secondary call, \
         if there is one. It continues as `resulting_call`.",
    ),
    event(
        "call.conferenced",
        JOINED,
        "`from_agent` has added `to_agent` to the primary call, and stays in it.",
    ),
    of_connection("recording.started", VOICE, "The voice recorder records this agent in this call."),
    of_connection(
        "recording.paused",
        VOICE,
        "The voice recording has paused, for example for a card number.",
    ),
    of_connection("recording.resumed", VOICE, "The voice recording continues."),
    of_connection("recording.stopped", VOICE, "The voice recording has ended."),
    event("interaction.accepted", INTERACTION, "The agent has accepted a chat, a mail or the like."),
    event("interaction.completed", INTERACTION, "The agent has finished it."),
    event(
        "screen.start_requested",
        REQUEST,
        "The agent desktop requests footage, independently of any call.",
    ),
    event("screen.stop_requested", REQUEST, "The agent desktop no longer requests footage."),
    event(
        "screen.pause_requested",
        REQUEST_WITH_LIMIT,
        "The agent desktop requests that nothing be captured, for at most `limit_ms`.",
    ),
    event("screen.mask_requested", REQUEST_WITH_LIMIT, "The same, with a slate in place of the screen."),
    event("screen.resume_requested", REQUEST, "The agent desktop requests that capture go on."),
    event("screen.tag_requested", TAG, "The agent desktop tags the footage."),
    event("recorder.connected", RECORDER, "From the host: the recorder at this place can be commanded."),
    event(
        "recorder.disconnected",
        RECORDER,
        "From the host: the recorder at this place cannot be commanded; it continues what it is doing.",
    ),
    event(
        "host.started",
        STARTED,
        "From the host: it has started again. Events of its absence follow, each late by as much.",
    ),
    event(
        "feed.gap",
        GAP,
        "Events of this feed were lost, with `agent` only that agent's: the known state of these calls is in doubt.",
    ),
    event(
        "feed.state",
        FEED_STATE,
        "What this feed can report from now on: `live`, `catching_up` (its events are older), or \
         `lost`. With `agent`, the state of that agent's session; with `device`, that of the device: `registered` \
         or `lost`.",
    ),
    event(
        "feed.clock",
        CLOCK,
        "From the host: the milliseconds by which the clock of this feed is behind; negative if it is ahead.",
    ),
];

impl FieldKind {
    fn schema(self) -> Value {
        match self {
            FieldKind::Text => json!({ "type": "string" }),
            FieldKind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
            FieldKind::Number => json!({ "type": "integer", "minimum": 0 }),
            FieldKind::Offset => json!({ "type": "integer" }),
            FieldKind::Object => json!({ "type": "object" }),
        }
    }
}

/// The JSON Schema of one event, which is a line of a log. A type that is not in the table may have any
/// fields.
pub fn json_schema() -> Value {
    let known: Vec<_> = TYPES.iter().map(|event| event.name).collect();
    let branch = |event: &EventType| {
        let required: Vec<_> =
            event.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        let mut then = json!({ "description": event.about, "required": required, "properties": properties(event.fields) });
        if !event.one_of.is_empty() {
            then["anyOf"] = event.one_of.iter().map(|field| json!({ "required": [field] })).collect();
        }
        json!({
            "if": { "properties": { "type": { "const": event.name } } },
            "then": then,
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
    fields.iter().map(|field| (field.name.to_owned(), field.kind.schema())).collect()
}
