//! What the host hands to a sink, and how the sink answers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A fragment that is complete on disk. The same one may be delivered again: sinks are idempotent by its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FragmentDelivery {
    /// `<recording>/<track>/<part>/<number>`.
    pub id: String,
    pub path: PathBuf,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// A sealed recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedRecording {
    pub id: String,
    /// The recording's folder, which holds `manifest.json` and everything that it names.
    pub directory: PathBuf,
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
