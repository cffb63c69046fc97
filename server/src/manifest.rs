//! A recording's manifest and what was said about it, as far as the server needs them.
//!
//! Read leniently: other recorders may write less than ours, and newer ones more.

use std::collections::BTreeMap;

use deskreel_model::Utc;
use serde::{Deserialize, Serialize};

use crate::db::recordings::Name;
use crate::time;

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Manifest {
    pub recording: String,
    #[serde(default)]
    pub anchors: Vec<Anchor>,
    #[serde(default)]
    pub agent: Option<String>,
    #[serde(default)]
    pub place: Option<String>,
    pub tracks: Vec<Track>,
    #[serde(default)]
    pub withheld: Vec<Withheld>,
    /// Of a recording that this server has cut from one file.
    #[serde(default)]
    pub file: Option<Whole>,
}

/// The file that a recording was cut from, and is not kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Whole {
    /// Bytes.
    pub size: u64,
    pub sha256: String,
    /// Its other tracks, as in `audio (mp4a)`.
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Anchor {
    /// Nanoseconds, as all media times here.
    pub media: u64,
    pub utc: Utc,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Track {
    pub name: String,
    pub parts: Vec<Part>,
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Part {
    pub number: u32,
    #[serde(default)]
    pub codec: Option<String>,
    #[serde(default)]
    pub width: Option<u32>,
    #[serde(default)]
    pub height: Option<u32>,
    pub init: File,
    pub fragments: Vec<Fragment>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct File {
    pub sha256: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Fragment {
    pub number: u32,
    #[serde(flatten)]
    pub file: File,
    #[serde(default)]
    pub start: u64,
    #[serde(default)]
    pub duration_ns: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Gap {
    pub from: u64,
    pub to: u64,
    pub cause: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Withheld {
    pub capture: String,
    pub from: u64,
    pub to: Option<u64>,
    #[serde(default)]
    pub why: String,
}

impl Manifest {
    /// Every header and fragment, with its hash.
    pub fn named(&self) -> impl Iterator<Item = (Name, &str)> {
        self.tracks.iter().flat_map(|track| {
            track.parts.iter().flat_map(move |part| {
                let name = |number| Name { track: track.name.clone(), part: part.number, number };
                let init = (name(0), part.init.sha256.as_str());
                let fragments = part.fragments.iter();
                std::iter::once(init)
                    .chain(fragments.map(move |one| (name(one.number), one.file.sha256.as_str())))
            })
        })
    }

    /// Where media time zero lies in the world, by the first anchor.
    pub fn zero_ms(&self) -> Option<i64> {
        let anchor = self.anchors.first()?;
        Some(time::to_ms(anchor.utc) - i64::try_from(anchor.media / 1_000_000).ok()?)
    }

    /// Nanoseconds from media time zero to the end of the last frame.
    pub fn end_ns(&self) -> u64 {
        let fragments = self.tracks.iter().flat_map(|track| &track.parts).flat_map(|part| &part.fragments);
        fragments.map(|fragment| fragment.start.saturating_add(fragment.duration_ns)).max().unwrap_or(0)
    }
}

/// docs/server-api.md: whose recording it is. Unknown fields are kept in the text, and not looked at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    pub agent: Option<String>,
    pub place: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub calls: Vec<String>,
    pub interactions: Vec<String>,
    pub tags: BTreeMap<String, String>,
}
