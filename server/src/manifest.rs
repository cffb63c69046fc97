//! The parts of a recording's manifest and of its `about` that the server needs.
//!
//! Read leniently: other recorders may write less than ours, and newer ones more.

use std::collections::BTreeMap;

use deskreel_model::{AgentId, CallId, InteractionId, Place, RecordingId, Utc};
use serde::{Deserialize, Serialize};

use crate::fragments::FragmentName;
use crate::time;

#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    pub recording: RecordingId,
    #[serde(default)]
    pub anchors: Vec<ManifestAnchor>,
    #[serde(default)]
    pub agent: Option<AgentId>,
    #[serde(default)]
    pub place: Option<Place>,
    pub tracks: Vec<ManifestTrack>,
    #[serde(default)]
    pub withheld: Vec<ManifestWithheld>,
    /// Present if this server cut the recording from a finished file.
    #[serde(default)]
    pub file: Option<SourceFile>,
}

/// The finished file that a recording was cut from. It is not kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceFile {
    /// Bytes.
    pub size: u64,
    pub sha256: String,
    /// Tracks that were left out, such as `audio (mp4a)`.
    pub left_out: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestAnchor {
    /// Nanoseconds, like all media times here.
    pub media: u64,
    pub utc: Utc,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestTrack {
    pub name: String,
    pub parts: Vec<ManifestPart>,
    #[serde(default)]
    pub gaps: Vec<ManifestGap>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestPart {
    pub number: u32,
    #[serde(default)]
    pub codec: Option<String>,
    #[serde(default)]
    pub width: Option<u32>,
    #[serde(default)]
    pub height: Option<u32>,
    pub init: ManifestFile,
    pub fragments: Vec<ManifestFragment>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestFile {
    pub sha256: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestFragment {
    pub number: u32,
    #[serde(flatten)]
    pub file: ManifestFile,
    #[serde(default)]
    pub start: u64,
    #[serde(default)]
    pub duration_ns: u64,
    /// 0: unknown.
    #[serde(default)]
    pub frames: u32,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestGap {
    pub from: u64,
    pub to: u64,
    pub cause: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct ManifestWithheld {
    pub capture: String,
    pub from: u64,
    pub to: Option<u64>,
    #[serde(default)]
    pub why: String,
}

/// The cause of a gap in words; the page has the same ones (`web/src/format.ts`).
pub fn gap_reason(cause: &str) -> &str {
    match cause {
        "start" => "the recording started late",
        "worker_died" => "the recording process died",
        "worker_hung" => "the recording process hung",
        "worker_failed" => "the recording process failed",
        "encoder_failed" => "the encoder failed",
        "encoder_hung" => "the encoder hung",
        "source_changed" => "the screen size changed",
        "source_failed" => "the display was gone",
        "source_ended" => "the screen disappeared",
        "backlog" => "the encoder was too slow",
        "slept" => "the PC slept",
        "locked" => "the session was locked",
        "disk_full" => "the disk was full",
        other => other,
    }
}

/// A frame that lasts this long counts as a still screen. Players skip the same.
const STILL_NS: u64 = 1_500_000_000;

impl ManifestTrack {
    /// Stretches without movement, in nanoseconds: on a still screen a fragment has one frame, with another
    /// one now and then.
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
    /// Every header and fragment with its digest.
    pub fn named(&self) -> impl Iterator<Item = (FragmentName, &str)> {
        self.tracks.iter().flat_map(|track| {
            track.parts.iter().flat_map(move |part| {
                let name = |number| FragmentName { track: track.name.clone(), part: part.number, number };
                let init = (name(0), part.init.sha256.as_str());
                let fragments = part.fragments.iter();
                std::iter::once(init)
                    .chain(fragments.map(move |one| (name(one.number), one.file.sha256.as_str())))
            })
        })
    }

    /// Media time zero by the wall clock, from the first anchor.
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

/// A recorder's statements about a recording (docs/server-api.md). Unknown fields stay in the stored text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    pub agent: Option<AgentId>,
    pub place: Option<Place>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub calls: Vec<CallId>,
    pub interactions: Vec<InteractionId>,
    pub tags: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_still_while_one_frame_lasts() {
        const SECOND: u64 = 1_000_000_000;
        let fragment = |start: u64, seconds: u64, frames: u32| ManifestFragment {
            number: 1,
            file: ManifestFile { sha256: String::new() },
            start: start * SECOND,
            duration_ns: seconds * SECOND,
            frames,
        };
        let part = |fragments| ManifestPart {
            number: 1,
            codec: None,
            width: None,
            height: None,
            init: ManifestFile { sha256: String::new() },
            fragments,
        };
        // Ten frames in a second, then one; then still, with a frame now and then; movement; still; an
        // unknown number of frames.
        let first = vec![
            fragment(0, 1, 10),
            fragment(1, 1, 1),
            fragment(2, 30, 1),
            fragment(32, 30, 1),
            fragment(62, 1, 9),
        ];
        let second = vec![fragment(70, 5, 1), fragment(80, 5, 0), fragment(85, 5, 20)];
        let track = ManifestTrack {
            name: "video".to_owned(),
            parts: vec![part(first), part(second)],
            gaps: Vec::new(),
        };
        assert_eq!(track.still(), [(2 * SECOND, 62 * SECOND), (70 * SECOND, 75 * SECOND)]);
    }
}
