//! A policy's answer, parsed without copying: policies answer almost every event, mostly with the same
//! decisions as before.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use deskreel_model::Utc;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::policy::PolicyError;

/// [`deskreel_contract::PolicyAnswer`], borrowed from its JSON.
#[derive(Deserialize)]
pub(crate) struct Answer<'a> {
    #[serde(borrow)]
    pub state: &'a RawValue,
    #[serde(borrow, default)]
    pub decisions: Vec<Decision<'a>>,
}

impl Answer<'_> {
    pub fn read(json: &str) -> Result<Answer<'_>, PolicyError> {
        serde_json::from_str(json).map_err(|error| format!("its answer is not valid: {error}"))
    }
}

/// [`deskreel_contract::Decision`], borrowed from its JSON. A field is read by name and type; a wrong type is
/// the policy's mistake.
pub(crate) struct Decision<'a> {
    pub action: Cow<'a, str>,
    pub why: Cow<'a, str>,
    fields: Vec<(Cow<'a, str>, FieldValue<'a>)>,
}

/// The value of a decision's field.
#[derive(PartialEq)]
enum FieldValue<'a> {
    Text(Cow<'a, str>),
    Integer(u64),
    Bool(bool),
    Other,
}

impl Decision<'_> {
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            FieldValue::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn required_text(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("`{}` needs the field `{name}`", self.action))
    }

    pub fn is_true(&self, name: &str) -> bool {
        self.field(name) == Some(&FieldValue::Bool(true))
    }

    pub fn time(&self, name: &str) -> Result<Option<Utc>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let time = Utc::parse(text);
        time.map(Some).ok_or_else(|| format!("`{name}` of `{}` is not a time: `{text}`", self.action))
    }

    pub fn milliseconds(&self, name: &str) -> Result<Option<Duration>, String> {
        match self.field(name) {
            None => Ok(None),
            Some(FieldValue::Integer(ms)) => Ok(Some(Duration::from_millis(*ms))),
            Some(_) => Err(format!("`{name}` of `{}` is not a whole number", self.action)),
        }
    }

    /// If a name occurs twice, the last one counts, as everywhere in serde_json.
    fn field(&self, name: &str) -> Option<&FieldValue<'_>> {
        self.fields.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Decision<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DecisionVisitor)
    }
}

struct DecisionVisitor;

impl<'de> Visitor<'de> for DecisionVisitor {
    type Value = Decision<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decision: an object with `action` and `why`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // `map` has the most fields: five.
        let (mut action, mut why, mut fields) = (None, None, Vec::with_capacity(5));
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "action" => action = Some(map.next_value::<Text<'de>>()?.0),
                "why" => why = Some(map.next_value::<Text<'de>>()?.0),
                _ => fields.push((name, map.next_value()?)),
            }
        }
        let action = action.ok_or_else(|| A::Error::missing_field("action"))?;
        Ok(Decision { action, why: why.ok_or_else(|| A::Error::missing_field("why"))?, fields })
    }
}

/// A text that is borrowed if nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for FieldValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldValueVisitor)
    }
}

struct FieldValueVisitor;

impl<'de> Visitor<'de> for FieldValueVisitor {
    type Value = FieldValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(FieldValue::Text(text.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(FieldValue::Text(text.to_owned().into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(FieldValue::Integer(number))
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Self::Value, E> {
        Ok(FieldValue::Bool(is))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(FieldValue::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(FieldValue::Other)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(FieldValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(FieldValue::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(FieldValue::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_type_and_value() {
        let json = r#"{"state": {"a": [1]}, "decisions": [{
            "why": "a \"reason\"", "call": "7", "action": "stop", "after_ms": 500, "first": true, "name": "x\n", "half": 0.5,
            "below": -1, "none": null, "list": [1, [2]], "map": {"a": {"b": 1}}, "call": "8", "at": "2026-01-05T09:00:00.000Z"
        }]}"#;
        let answer: Answer<'_> = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(answer.state.get(), r#"{"a": [1]}"#);
        let decision = &answer.decisions[0];
        assert_eq!((&*decision.action, &*decision.why), ("stop", "a \"reason\""));
        assert_eq!(decision.text("call"), Some("8"), "the last one");
        assert_eq!(decision.text("name"), Some("x\n"));
        assert_eq!(decision.milliseconds("after_ms"), Ok(Some(Duration::from_millis(500))));
        assert_eq!(decision.milliseconds("nothing"), Ok(None));
        assert!(decision.is_true("first") && !decision.is_true("after_ms"));
        assert_eq!(
            decision.time("at").map(|at| at.map(|at| at.to_string())),
            Ok(Some("2026-01-05T09:00:00.000Z".into()))
        );
        for other in ["half", "below", "none", "list", "map", "name"] {
            let refused = format!("`{other}` of `stop` is not a whole number");
            assert_eq!((decision.is_true(other), decision.milliseconds(other)), (false, Err(refused)));
        }
        assert_eq!(decision.required_text("list"), Err("`stop` needs the field `list`".into()));
        assert_eq!(decision.time("name"), Err("`name` of `stop` is not a time: `x\n`".into()));
    }

    #[test]
    fn a_decision_needs_an_action_and_a_reason() {
        for json in [r#"{"why": ""}"#, r#"{"action": "stop"}"#, r#"{"action": 1, "why": ""}"#, "[]"] {
            assert!(serde_json::from_str::<Decision<'_>>(json).is_err(), "{json}");
        }
    }
}
