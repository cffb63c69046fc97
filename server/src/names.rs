//! Ids that only this server has, and checks of names that come from outside.

use std::fmt;

use deskreel_model::RecordingId;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($($(#[$about:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                $name(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+ };
}

name! {
    /// A recorder; assigned when it is enrolled.
    RecorderId,
    /// A user, or a program with a token.
    PersonName,
}

/// The id of a recording that the index already has. `None` never happens: any text is one.
pub fn known_recording(text: &str) -> Option<RecordingId> {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    RecordingId::deserialize(text).ok()
}

/// The id of a recording as a client wrote it.
pub fn parse_recording(text: &str) -> Option<RecordingId> {
    if is_recording_name(text) { known_recording(text) } else { None }
}

/// Returns whether a text can name a recording. It becomes the name of a folder.
pub fn is_recording_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('.')
}

/// Returns whether a string in this JSON text contains a NUL, which PostgreSQL cannot store. In JSON it is
/// always escaped.
pub fn has_nul(json: &str) -> bool {
    let escaped = |at: usize| json[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0;
    json.match_indices("\\u0000").any(|(at, _)| escaped(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_nul_is_found_and_an_escaped_backslash_is_not_taken_for_one() {
        for (json, has) in [
            (r#"{"a":"\u0000"}"#, true),
            (r#"["\\\u0000"]"#, true),
            (r#"["\\u0000"]"#, false),
            (r#"["u0000", "\u0001"]"#, false),
        ] {
            assert_eq!(has_nul(json), has, "{json}");
        }
    }

    #[test]
    fn the_name_of_a_recording_leads_to_no_other_folder() {
        for name in ["20261123T071002Z-4f2a91", "r-1", "a.b"] {
            assert_eq!(parse_recording(name).as_ref().map(RecordingId::as_str), Some(name));
        }
        for name in ["", ".", "..", ".incoming", "a/b", "a\\b", "é", &"a".repeat(101)] {
            assert_eq!(parse_recording(name), None, "{name}");
        }
    }
}
