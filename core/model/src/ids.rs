//! Ids, as types of their own.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Utc;

/// Id of a recording, and the name of its folder: `20261123T071002Z-4f2a91`. Sorts by start time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordingId(String);

impl RecordingId {
    /// `salt` distinguishes recordings that start in the same second on the same machine.
    pub fn new(started: Utc, salt: u32) -> Self {
        let started = started.0.strftime("%Y%m%dT%H%M%S");
        RecordingId(format!("{started}Z-{:06x}", salt & 0xff_ffff))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Defines a name that comes from outside. It is cheap to clone, since every event and every segment carries
/// some.
macro_rules! name {
    ($($(#[$about:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                $name(name.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
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
    /// A person who serves customers, by the name in the telephony system.
    AgentId,
    /// A call, by its name in the telephony system. A transfer or a conference may give the same call another
    /// id.
    CallId,
    /// One customer contact: the id of its first call, or of a chat or mail.
    InteractionId,
    /// A seat with a PC.
    Place,
    /// A feed of the pipeline file.
    FeedName,
    /// A sink of the pipeline file.
    SinkName,
}

impl FeedName {
    /// The feed of an agent desktop's events: `desktop` on its PC, `desktop-` and the recorder's id on a
    /// server.
    pub fn is_desktop(&self) -> bool {
        self.0.strip_prefix("desktop").is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

/// Number of a part of a track, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartNumber(pub u32);

impl PartNumber {
    pub const FIRST: PartNumber = PartNumber(1);

    pub fn next(self) -> Self {
        PartNumber(self.0 + 1)
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}
