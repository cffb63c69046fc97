//! Events that feeds emit.

use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A normalized interaction event. docs/events.md lists the types and their fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// `call.established`, `agent.state`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// UTC, RFC 3339 with milliseconds.
    pub at: String,
    /// The fields of this type of event.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Event {
    pub fn new(kind: impl Into<String>, at: impl Into<String>) -> Self {
        Event { kind: kind.into(), at: at.into(), fields: Map::new() }
    }

    /// A `feed.state` event: from `at` on the feed is `live`, `catching_up` or `lost`.
    pub fn feed_state(state: &str, at: impl Into<String>, reason: Option<&str>) -> Self {
        let event = Event::new("feed.state", at).with("state", state);
        match reason {
            Some(reason) => event.with("reason", reason),
            None => event,
        }
    }

    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// The field of this name, if it is a text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }
}

/// Written by hand, because serde's `flatten` reads every event twice, and policies are asked about each one.
impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object with `type` and `at`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let (mut kind, mut at, mut fields) = (None, None, Map::new());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" => kind = Some(map.next_value()?),
                "at" => at = Some(map.next_value()?),
                _ => drop(fields.insert(key, map.next_value()?)),
            }
        }
        let kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
        Ok(Event { kind, at: at.ok_or_else(|| A::Error::missing_field("at"))?, fields })
    }
}
