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
    /// 0: not said.
    #[serde(default)]
    pub frames: u32,
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

/// The track that players show, and that a finished file becomes.
pub const TRACK: &str = "video";

/// One frame that is shown for so long stands still. As long as what players skip.
const STILL_NS: u64 = 1_500_000_000;

impl Track {
    /// Where nothing moved, in nanoseconds: a still screen is a fragment of one frame, and another one now and then.
    pub fn still(&self) -> Vec<(u64, u64)> {
        let mut still: Vec<(u64, u64)> = Vec::new();
        let fragments = self.parts.iter().flat_map(|part| &part.fragments);
        for one in fragments.filter(|one| one.frames == 1 && one.duration_ns >= STILL_NS) {
            let end = one.start.saturating_add(one.duration_ns);
            match still.last_mut() {
                // Times are rounded to ticks of 11 us.
                Some(last) if one.start.saturating_sub(last.1) < 100_000 => last.1 = end,
                _ => still.push((one.start, end)),
            }
        }
        still
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_stands_still_where_one_frame_lasts() {
        const SECOND: u64 = 1_000_000_000;
        let fragment = |start: u64, seconds: u64, frames: u32| Fragment {
            number: 1,
            file: File { sha256: String::new() },
            start: start * SECOND,
            duration_ns: seconds * SECOND,
            frames,
        };
        let part = |fragments| Part {
            number: 1,
            codec: None,
            width: None,
            height: None,
            init: File { sha256: String::new() },
            fragments,
        };
        // A second of ten frames, one of one; then it stands, with a frame now and then; moves; stands; and is not said to.
        let first = vec![
            fragment(0, 1, 10),
            fragment(1, 1, 1),
            fragment(2, 30, 1),
            fragment(32, 30, 1),
            fragment(62, 1, 9),
        ];
        let second = vec![fragment(70, 5, 1), fragment(80, 5, 0), fragment(85, 5, 20)];
        let track =
            Track { name: "video".to_owned(), parts: vec![part(first), part(second)], gaps: Vec::new() };
        assert_eq!(track.still(), [(2 * SECOND, 62 * SECOND), (70 * SECOND, 75 * SECOND)]);
    }
}
