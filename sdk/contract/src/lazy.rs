//! Parts of a fact that are parsed only when a policy looks into them.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Deref;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// A `T` that is parsed on first use: most policies look into few parts of a fact, and a replay asks them
/// about hundreds of thousands a second. The host writes it as the contract says; if it ever did not, the
/// value would be empty.
#[derive(Clone)]
pub struct Lazy<'a, T> {
    text: &'a str,
    read: OnceCell<T>,
}

impl<'a, T: Deserialize<'a> + Default> Deref for Lazy<'a, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.read.get_or_init(|| serde_json::from_str(self.text).unwrap_or_default())
    }
}

impl<T> Default for Lazy<'_, T> {
    fn default() -> Self {
        Lazy { text: "{}", read: OnceCell::new() }
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for Lazy<'a, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Lazy { text: <&RawValue>::deserialize(deserializer)?.get(), read: OnceCell::new() })
    }
}

impl<'a, T: Serialize + Deserialize<'a> + Default> Serialize for Lazy<'a, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'a, T: fmt::Debug + Deserialize<'a> + Default> fmt::Debug for Lazy<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<'a, T: PartialEq + Deserialize<'a> + Default> PartialEq for Lazy<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentFacts, Media};

    #[test]
    fn unused_parts_are_not_parsed() {
        let read = |json| serde_json::from_str::<Lazy<'_, AgentFacts<'_>>>(json).unwrap_or_default();
        let agent = read(r#"{"id": "ann", "groups": ["a\n"]}"#);
        assert!(agent.read.get().is_none());
        assert_eq!((&*agent.id, &*agent.groups), ("ann", &["a\n".into()][..]));
        assert!(agent.read.get().is_some());
        assert_eq!(*read(r#"{"id": 7}"#), AgentFacts::default());
    }

    #[test]
    fn media_are_in_the_order_of_their_names() {
        let json = r#"{"voice": {"since": "b"}, "chat": {"since": "a", "state": "ready"}}"#;
        let media: Lazy<'_, Media<'_>> = serde_json::from_str(json).unwrap_or_default();
        assert_eq!(media.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["chat", "voice"]);
        assert_eq!(media.get("chat").map(|chat| &*chat.state), Some("ready"));
        assert!(media.get("mail").is_none());
    }
}
