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
    /// The source can capture no more, through no fault of an encoder: its display has ended, its cable is
    /// out. The host begins a new part as soon as the source can be opened again. Hosts before this notice
    /// ignore it.
    #[serde(rename = "source.failed")]
    SourceFailed {
        /// Text for people and the manifest: `the X server :0 has ended`.
        detail: String,
    },
}
