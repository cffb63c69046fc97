//! Footage in the forms that players accept, made of unchanged fragments: an HLS playlist, or one MP4 with
//! byte ranges.
//!
//! Players want pieces that begin with a keyframe, and keyframes of a screen are seconds apart: a *run* is
//! the fragments from one keyframe to the next. Pure: rows of the index come in, playlists and file layouts
//! come out.

mod clip;
mod holes;
mod playlist;
mod progressive;
mod turns;

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Bytes;

pub use clip::{ClipBuilder, Take, TakeFragment, TakeHole};
pub use holes::{Hole, holes};
pub use playlist::playlist;
pub use progressive::progressive;
pub use turns::{Span, Turn, turns};

use deskreel_model::RecordingId;

use crate::fragments::{FragmentName, FragmentTimes, StoredFragment};

/// The stored and playable part of a track of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reel {
    /// Media time zero, in milliseconds since 1970.
    pub zero_ms: i64,
    /// More may still arrive.
    pub live: bool,
    /// The parts in order, each with at least one run.
    pub parts: Vec<ReelPart>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReelPart {
    pub number: u32,
    pub header: StoredFragment,
    pub runs: Vec<Run>,
}

/// A file to be sent, as a whole or by range: stored objects, and the bytes that are generated around them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedFile {
    pub pieces: Vec<FilePiece>,
    /// Bytes.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilePiece {
    Bytes(Bytes),
    /// A range of an object in the store.
    Object {
        recording: Arc<RecordingId>,
        sha256: String,
        bytes: Range<u64>,
    },
}

impl ServedFile {
    fn push(&mut self, piece: FilePiece) {
        self.size += piece.size();
        self.pieces.push(piece);
    }

    /// The pieces of a byte range, each cut to the range.
    pub fn range(&self, range: Range<u64>) -> Vec<FilePiece> {
        let mut at = 0;
        let mut pieces = Vec::new();
        for piece in &self.pieces {
            let end = at + piece.size();
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                pieces.push(piece.cut(from - at..to - at));
            }
            at = end;
        }
        pieces
    }
}

impl FilePiece {
    /// A whole stored fragment.
    pub fn whole(recording: &Arc<RecordingId>, stored: &StoredFragment) -> FilePiece {
        FilePiece::Object {
            recording: recording.clone(),
            sha256: stored.sha256.clone(),
            bytes: 0..stored.size,
        }
    }

    fn size(&self) -> u64 {
        match self {
            FilePiece::Bytes(bytes) => bytes.len() as u64,
            FilePiece::Object { bytes, .. } => bytes.end - bytes.start,
        }
    }

    /// `range` must lie within the piece.
    fn cut(&self, range: Range<u64>) -> FilePiece {
        match self {
            FilePiece::Bytes(bytes) => {
                FilePiece::Bytes(bytes.slice(range.start as usize..range.end as usize))
            }
            FilePiece::Object { recording, sha256, bytes } => FilePiece::Object {
                recording: recording.clone(),
                sha256: sha256.clone(),
                bytes: bytes.start + range.start..bytes.start + range.end,
            },
        }
    }
}

/// Consecutive fragments of one part; the first begins with a keyframe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub fragments: Vec<(StoredFragment, FragmentTimes)>,
}

impl Run {
    pub fn start_ns(&self) -> u64 {
        self.fragments.first().map_or(0, |(_, times)| times.start_ns)
    }

    pub fn end_ns(&self) -> u64 {
        self.fragments.last().map_or(0, |(_, times)| times.start_ns + times.duration_ns)
    }

    pub fn size(&self) -> u64 {
        self.fragments.iter().map(|(fragment, _)| fragment.size).sum()
    }

    fn last(&self) -> u32 {
        self.fragments.last().map_or(0, |(fragment, _)| fragment.name.number)
    }
}

impl Reel {
    /// `fragments` are in order. Of a live recording, those after a gap are left out: a player that has
    /// passed the gap does not come back.
    pub fn new(zero_ms: i64, live: bool, track: &str, fragments: Vec<StoredFragment>) -> Reel {
        let mut parts: Vec<ReelPart> = Vec::new();
        for fragment in fragments.into_iter().filter(|fragment| fragment.name.track == track) {
            let FragmentName { part, number, .. } = fragment.name;
            if number == 0 {
                parts.push(ReelPart { number: part, header: fragment, runs: Vec::new() });
                continue;
            }
            let Some(into) = parts.last_mut().filter(|into| into.number == part) else { continue };
            let Some(times) = fragment.times else { continue };
            let follows = number == into.runs.last().map_or(0, Run::last) + 1;
            match into.runs.last_mut() {
                _ if live && !follows => {}
                None if !times.keyframe => {}
                Some(run) if !times.keyframe && follows => run.fragments.push((fragment, times)),
                // After a gap, nothing can be decoded until the next keyframe.
                Some(_) if !times.keyframe => {}
                _ => into.runs.push(Run { fragments: vec![(fragment, times)] }),
            }
        }
        parts.retain(|part| !part.runs.is_empty());
        Reel { zero_ms, live, parts }
    }

    pub fn runs(&self) -> impl Iterator<Item = (&ReelPart, &Run)> {
        self.parts.iter().flat_map(|part| part.runs.iter().map(move |run| (part, run)))
    }

    /// Keeps the runs that overlap a stretch of media time.
    pub fn cut(mut self, from_ns: u64, to_ns: u64) -> Reel {
        for part in &mut self.parts {
            part.runs.retain(|run| run.end_ns() > from_ns && run.start_ns() < to_ns);
        }
        self.parts.retain(|part| !part.runs.is_empty());
        self
    }
}

/// Percent-encodes text for a path.
pub fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            // Writing to a String does not fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub fn recording(name: &str) -> Arc<RecordingId> {
        Arc::new(crate::names::known_recording(name).unwrap())
    }

    /// A fragment of one second.
    pub fn fragment(part: u32, number: u32, second: u64, keyframe: bool) -> StoredFragment {
        let times = FragmentTimes { start_ns: second * 1_000_000_000, duration_ns: 1_000_000_000, keyframe };
        StoredFragment {
            name: FragmentName { track: "video".to_owned(), part, number },
            size: if number == 0 { 100 } else { 1000 + u64::from(number) },
            sha256: format!("{part}-{number}"),
            times: (number > 0).then_some(times),
        }
    }

    fn numbers(reel: &Reel) -> Vec<(u32, Vec<u32>)> {
        let numbers = |run: &Run| run.fragments.iter().map(|(fragment, _)| fragment.name.number).collect();
        reel.runs().map(|(part, run)| (part.number, numbers(run))).collect()
    }

    #[test]
    fn a_run_goes_from_keyframe_to_keyframe_and_ends_with_its_part() {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 0, true),
            fragment(1, 2, 1, false),
            fragment(1, 3, 2, true),
            fragment(2, 0, 0, false),
            fragment(2, 1, 3, true),
        ];
        let reel = Reel::new(0, false, "video", fragments);
        assert_eq!(numbers(&reel), [(1, vec![1, 2]), (1, vec![3]), (2, vec![1])]);
    }

    #[test]
    fn a_live_recording_is_shown_up_to_the_first_gap() {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 0, true),
            fragment(1, 3, 2, true),
            fragment(1, 4, 3, false),
        ];
        assert_eq!(numbers(&Reel::new(0, true, "video", fragments.clone())), [(1, vec![1])]);
        assert_eq!(numbers(&Reel::new(0, false, "video", fragments)), [(1, vec![1]), (1, vec![3, 4])]);
    }

    #[test]
    fn fragments_without_a_header_or_keyframe_before_them_are_not_shown() {
        let fragments = vec![
            fragment(1, 1, 0, true),
            fragment(2, 0, 0, false),
            fragment(2, 1, 1, false),
            fragment(2, 2, 2, true),
        ];
        assert_eq!(numbers(&Reel::new(0, false, "video", fragments)), [(2, vec![2])]);
    }
}
