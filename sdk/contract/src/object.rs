//! JSON objects of which only the requested keys are parsed.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// The text of a JSON object. A replay asks a policy about hundreds of thousands of events a second, and the
/// policy looks into few of their fields: for the others, only their end is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.trim_start_matches('{').trim_start().starts_with('}')
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.find(key)
    }

    /// The value of a key, if it is a text.
    pub fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.find::<Text<'a>>(key).map(|text| text.0)
    }

    pub fn contains_key(&self, key: &str) -> bool {
        self.find::<IgnoredAny>(key).is_some()
    }

    /// The whole object as a type of the caller's: a map, or an [`Event`](crate::Event).
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.0)
    }

    fn find<T: Deserialize<'a>>(&self, key: &str) -> Option<T> {
        Find { key, found: None }.deserialize(&mut serde_json::Deserializer::from_str(self.0)).ok().flatten()
    }
}

impl Default for Object<'_> {
    fn default() -> Self {
        Object("{}")
    }
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if !text.starts_with('{') {
            return Err(serde::de::Error::custom(format!("`{text}` is not an object")));
        }
        Ok(Object(text))
    }
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value: Value = self.read().map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

/// Looks for one key. If it occurs twice the last one counts, as everywhere in serde_json.
struct Find<'k, T> {
    key: &'k str,
    found: Option<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Find<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Find<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Option<T>, A::Error> {
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if key.0 == self.key {
                self.found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(self.found)
    }
}

/// A text that is borrowed if nothing in it is escaped; serde's own `Cow` never borrows inside another type.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Reads a list of texts, each as [`Text`] does.
pub(crate) fn texts<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Cow<'a, str>>, D::Error> {
    struct Texts;

    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<Cow<'de, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut texts = Vec::new();
            while let Some(Text(text)) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }

    deserializer.deserialize_seq(Texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: &str) -> Object<'_> {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn values_are_found_by_key() {
        let object = object(r#"{"a": "x", "deep": {"a": "other"}, "b\n": "\"y", "n": 7, "a": "z"}"#);
        assert_eq!(object.text("a").as_deref(), Some("z"), "the last one");
        assert_eq!(object.text("b\n").as_deref(), Some("\"y"));
        assert_eq!((object.get("n"), object.text("n")), (Some(7.into()), None));
        assert!(object.contains_key("deep") && !object.contains_key("x"));
        assert!(!object.is_empty());
    }

    #[test]
    fn an_empty_object_is_recognized_without_parsing() {
        assert!(object(" { } ").is_empty() && Object::default().is_empty());
        assert!(!object("{\"\": 1}").is_empty());
    }

    #[test]
    fn only_an_object_is_accepted() {
        assert!(serde_json::from_str::<Object<'_>>("[1]").is_err());
    }
}
