//! Writes the fact that a policy receives: the JSON of a [`deskreel_contract::Fact`]. It is assembled from
//! pieces that are written when they change, since most of a fact stays the same from event to event.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use deskreel_contract::{AgentFacts, MediaFacts};
use deskreel_model::{InteractionId, Utc};
use serde::Serialize;

use crate::agent::{Agent, Connection};
use crate::calls::Touch;

/// Writes a fact up to the policy's own state, which comes last.
pub(crate) fn write_fact(into: &mut String, at: Utc, event: &str, agent: &Agent, touch: &Touch) {
    into.clear();
    let _ = write!(into, "{{\"at\":\"{at}\",\"event\":{event},\"agent\":{},\"media\":{{", agent.json);
    write_list(into, agent.media.iter(), |into, medium| {
        write_quoted(into, &medium.media);
        into.push(':');
        into.push_str(&medium.json);
    });
    into.push_str("},\"calls\":[");
    write_list(into, agent.connections.iter(), |into, connection| into.push_str(&connection.json));
    into.push_str("],\"ended\":[");
    write_list(into, touch.ended.iter(), |into, connection| into.push_str(&connection.json));
    into.push_str("],\"interactions\":[");
    write_list(into, agent.digital.iter(), |into, digital| into.push_str(&digital.json));
    into.push_str("],\"changed\":[");
    write_list(into, touch.changed.iter(), |into, id| write_quoted(into, id));
    into.push_str("],\"recording\":");
    match agent.open.first() {
        Some(open) => {
            let (since, capture) = (open.footage.from, open.capture.name());
            let _ = write!(into, r#"{{"since":"{since}","capture":"{capture}"}}"#);
        }
        None => into.push_str("null"),
    }
    into.push_str(",\"state\":");
}

/// The event that a policy gets when its wake is due.
pub(crate) fn timer_json(at: Utc, name: &str) -> String {
    let mut text = format!("{{\"type\":\"timer\",\"at\":\"{at}\",\"name\":");
    write_quoted(&mut text, name);
    text.push('}');
    text
}

/// An event that no feed sent but that the engine concluded.
pub(crate) fn event_json(kind: &str, at: Utc, agent: &deskreel_model::AgentId) -> String {
    let mut text = format!("{{\"type\":\"{kind}\",\"at\":\"{at}\",\"agent\":");
    write_quoted(&mut text, agent.as_str());
    text.push('}');
    text
}

pub(crate) fn agent_json(agent: &Agent) -> Arc<str> {
    fn texts(list: &[Box<str>]) -> Vec<Cow<'_, str>> {
        list.iter().map(|text| (&**text).into()).collect()
    }
    to_json(&AgentFacts {
        id: agent.id.as_str().into(),
        place: agent.place().map(|place| place.as_str().into()),
        devices: texts(&agent.profile.seat.devices),
        groups: texts(&agent.profile.seat.groups),
        skills: texts(&agent.profile.seat.skills),
    })
}

pub(crate) fn medium_json(
    state: &str,
    work_mode: Option<&str>,
    reason: Option<&str>,
    since: Utc,
) -> Arc<str> {
    to_json(&MediaFacts {
        state: state.into(),
        work_mode: work_mode.map(Into::into),
        reason: reason.map(Into::into),
        since: since.to_string().into(),
    })
}

/// [`deskreel_contract::CallFacts`], written by hand: one changes with almost every event, and its attached
/// data are JSON already.
pub(crate) fn connection_json(connection: &Connection) -> Arc<str> {
    let mut into = String::with_capacity(256);
    into.push_str("{\"call\":");
    write_quoted(&mut into, connection.call.as_str());
    into.push_str(",\"interaction\":");
    write_quoted(&mut into, connection.interaction.as_str());
    let (role, since) = (connection.role.name(), connection.since);
    let (state, voice) = (connection.state.name(), connection.voice.name());
    let _ = write!(into, r#","role":"{role}","since":"{since}","state":"{state}","voice":"{voice}""#);
    let details = &connection.details;
    let texts =
        [("device", &details.device), ("direction", &details.direction), ("call_type", &details.call_type)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))) {
        let _ = write!(into, ",\"{name}\":");
        write_quoted(&mut into, text);
    }
    if let Some(attached) = &details.attached {
        let _ = write!(into, ",\"attached\":{attached}");
    }
    into.push('}');
    into.into()
}

pub(crate) fn digital_interaction_json(interaction: &InteractionId, media: &str, since: Utc) -> Arc<str> {
    to_json(&deskreel_contract::InteractionFacts {
        interaction: interaction.as_str().into(),
        media: media.into(),
        since: since.to_string().into(),
    })
}

fn write_list<T>(into: &mut String, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            into.push(',');
        }
        write(into, item);
    }
}

fn write_quoted(into: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        into.push('"');
        into.push_str(text);
        into.push('"');
    } else {
        into.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

/// Cannot fail: texts, numbers and plain structs can always be written as JSON.
fn to_json(value: &impl Serialize) -> Arc<str> {
    serde_json::to_string(value).unwrap_or_default().into()
}
