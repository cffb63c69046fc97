//! Reports of a source to the host while it captures.

use serde::{Deserialize, Serialize};

/// A source's notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Notice {
    /// The picture now has another size or layout: the host asks for a new recipe and begins a new part.
    #[serde(rename = "source.changed")]
    SourceChanged {
        /// Text for people and the manifest: `monitor DP-1 is now 2560x1440`.
        detail: String,
    },
}
