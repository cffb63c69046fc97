//! What a source tells the host while it captures.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Notice {
    /// The picture has another size or layout from now on: the host asks for a new recipe and begins a new part.
    #[serde(rename = "source.changed")]
    SourceChanged {
        /// For people and the manifest: `monitor DP-1 is now 2560x1440`.
        detail: String,
    },
}
