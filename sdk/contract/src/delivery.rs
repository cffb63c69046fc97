//! What the host hands to a sink, and how the sink answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A part's header or a fragment, complete on disk. The same one may be delivered again: sinks are idempotent by its
/// id. A part's header comes before its fragments, and those in their order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FragmentDelivery {
    /// `<recording>/<track>/<part>/<number>`.
    pub id: String,
    pub path: PathBuf,
    /// Lower-case hexadecimal.
    pub sha256: String,
    #[serde(default)]
    pub recording: String,
    #[serde(default)]
    pub track: String,
    /// From 1 within the track.
    #[serde(default)]
    pub part: u32,
    /// From 1 within the part; 0 is the part's header.
    #[serde(default)]
    pub number: u32,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
}

/// A sealed recording.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FinishedRecording {
    pub id: String,
    /// The recording's folder, which holds `manifest.json` and everything that it names.
    pub directory: PathBuf,
    #[serde(default)]
    pub about: RecordingAbout,
}

/// Whose recording it is and what it belongs to, as far as the recorder knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingAbout {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// RFC 3339, UTC, with milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Of its segments, each once, in the order in which they began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interactions: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The far end holds it, and its hash agrees.
    Acknowledged {
        /// Where it went, for people and logs.
        place: String,
    },
    /// Not now; ask again.
    RetryAfter { seconds: u32, reason: String },
    /// Never: asking again will not help.
    Refused { reason: String },
}
