//! How things stand, as a policy is told: JSON of [`deskreel_contract::Fact`], put together from pieces that are
//! written when they change, since most of it stays the same from event to event.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use deskreel_contract::{AgentFacts, MediaFacts};
use deskreel_model::event::Seat;
use deskreel_model::{InteractionId, Utc};
use serde::Serialize;

use crate::agent::{Agent, Connection};
use crate::calls::Touch;

/// A fact up to the policy's own state, which comes last.
pub(crate) fn write(into: &mut String, at: Utc, event: &str, agent: &Agent, touch: &Touch) {
    into.clear();
    let _ = write!(into, "{{\"at\":\"{at}\",\"event\":{event},\"agent\":{},\"media\":{{", agent.json);
    list(into, agent.media.iter(), |into, medium| {
        quoted(into, &medium.media);
        into.push(':');
        into.push_str(&medium.json);
    });
    into.push_str("},\"calls\":[");
    list(into, agent.connections.iter(), |into, connection| into.push_str(&connection.json));
    into.push_str("],\"ended\":[");
    list(into, touch.ended.iter(), |into, connection| into.push_str(&connection.json));
    into.push_str("],\"interactions\":[");
    list(into, agent.digital.iter(), |into, digital| into.push_str(&digital.json));
    into.push_str("],\"changed\":[");
    list(into, touch.changed.iter(), |into, id| quoted(into, id));
    into.push_str("],\"recording\":");
    match &agent.open {
        Some(open) => {
            let (since, capture) = (open.footage.from, open.capture.name());
            let _ = write!(into, r#"{{"since":"{since}","capture":"{capture}"}}"#);
        }
        None => into.push_str("null"),
    }
    into.push_str(",\"state\":");
}

/// The event that a policy gets when its time has come.
pub(crate) fn timer(at: Utc, name: &str) -> String {
    let mut text = format!("{{\"type\":\"timer\",\"at\":\"{at}\",\"name\":");
    quoted(&mut text, name);
    text.push('}');
    text
}

/// An event that nobody sent: what we concluded.
pub(crate) fn event(kind: &str, at: Utc, agent: &deskreel_model::AgentId) -> String {
    let mut text = format!("{{\"type\":\"{kind}\",\"at\":\"{at}\",\"agent\":");
    quoted(&mut text, agent.as_str());
    text.push('}');
    text
}

pub(crate) fn agent(agent: &Agent, seat: &Seat) -> Arc<str> {
    fn texts(list: &[Box<str>]) -> Vec<Cow<'_, str>> {
        list.iter().map(|text| (&**text).into()).collect()
    }
    text(&AgentFacts {
        id: agent.id.as_str().into(),
        place: seat.place.as_ref().map(|place| place.as_str().into()),
        devices: texts(&seat.devices),
        groups: texts(&seat.groups),
        skills: texts(&seat.skills),
    })
}

pub(crate) fn medium(state: &str, work_mode: Option<&str>, reason: Option<&str>, since: Utc) -> Arc<str> {
    text(&MediaFacts {
        state: state.into(),
        work_mode: work_mode.map(Into::into),
        reason: reason.map(Into::into),
        since: since.to_string().into(),
    })
}

/// [`deskreel_contract::CallFacts`], written by hand: one changes with almost every event, and its attached data are JSON
/// already.
pub(crate) fn connection(connection: &Connection) -> Arc<str> {
    let mut into = String::with_capacity(256);
    into.push_str("{\"call\":");
    quoted(&mut into, connection.call.as_str());
    into.push_str(",\"interaction\":");
    quoted(&mut into, connection.interaction.as_str());
    let (role, since) = (connection.role.name(), connection.since);
    let (state, voice) = (connection.state.name(), connection.voice.name());
    let _ = write!(into, r#","role":"{role}","since":"{since}","state":"{state}","voice":"{voice}""#);
    let about = &connection.about;
    let texts = [("device", &about.device), ("direction", &about.direction), ("call_type", &about.call_type)];
    for (name, text) in texts.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))) {
        let _ = write!(into, ",\"{name}\":");
        quoted(&mut into, text);
    }
    if let Some(attached) = &about.attached {
        let _ = write!(into, ",\"attached\":{attached}");
    }
    into.push('}');
    into.into()
}

pub(crate) fn digital(interaction: &InteractionId, media: &str, since: Utc) -> Arc<str> {
    text(&deskreel_contract::InteractionFacts {
        interaction: interaction.as_str().into(),
        media: media.into(),
        since: since.to_string().into(),
    })
}

fn list<T>(into: &mut String, items: impl Iterator<Item = T>, write: impl Fn(&mut String, T)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            into.push(',');
        }
        write(into, item);
    }
}

fn quoted(into: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        into.push('"');
        into.push_str(text);
        into.push('"');
    } else {
        json(into, text);
    }
}

/// Texts, numbers and plain structs always are JSON.
fn json(into: &mut String, value: &(impl Serialize + ?Sized)) {
    into.push_str(&serde_json::to_string(value).unwrap_or_default());
}

fn text(value: &impl Serialize) -> Arc<str> {
    serde_json::to_string(value).unwrap_or_default().into()
}
