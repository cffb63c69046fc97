//! Deliveries of the host to a sink, and the sink's answers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A part's header or a fragment, complete on disk. The same one may be delivered again: a sink must be
/// idempotent by `id`. A part's header comes before its fragments, and those come in order.
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
    /// Counts from 1 within the track.
    #[serde(default)]
    pub part: u32,
    /// Counts from 1 within the part; 0 is the part's header.
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
    /// The recording's folder, with `manifest.json` and every file that it names.
    pub directory: PathBuf,
    #[serde(default)]
    pub about: RecordingAbout,
}

/// The agent and the interactions that a recording belongs to, if the recorder knows them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordingAbout {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Time in RFC 3339, UTC, with milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The calls of its segments, each once, in the order in which they began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interactions: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A sink's answer to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The far end holds the bytes, and their hash agrees.
    Acknowledged {
        /// Their place, for people and logs.
        place: String,
    },
    /// Not now: deliver it again later.
    RetryAfter { seconds: u32, reason: String },
    /// Never: another try will not help.
    Refused { reason: String },
}
