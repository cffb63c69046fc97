//! Footage as players take it, made of the fragments as they are: an HLS playlist, or one MP4 with byte ranges.
//!
//! Players want pieces that begin with a keyframe, and keyframes are seconds apart on a screen: a *run* is the fragments from one
//! keyframe to the next. Pure: what is there comes in, what a player reads comes out.

mod film;
mod movie;
mod playlist;
mod turns;

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Bytes;

pub use film::{Film, Frames, Take};
pub use movie::movie;
pub use playlist::playlist;
pub use turns::{Span, Turn, turns};

use crate::db::recordings::{Held, Name, Times};

/// A track of a recording, as far as it is here and can be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reel {
    /// Media time zero, in milliseconds since 1970.
    pub zero_ms: i64,
    /// Something may still come.
    pub live: bool,
    /// In order; each has at least one run.
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub header: Held,
    pub runs: Vec<Run>,
}

/// What is answered, made of stored objects and of what is written around them; whole, or a range of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    pub pieces: Vec<Piece>,
    /// Bytes.
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Bytes(Bytes),
    /// Some of an object of the store.
    Object {
        recording: Arc<str>,
        sha256: String,
        bytes: Range<u64>,
    },
}

impl File {
    fn push(&mut self, piece: Piece) {
        self.size += piece.size();
        self.pieces.push(piece);
    }

    /// The pieces of a range of bytes, each cut to what is wanted of it.
    pub fn range(&self, range: Range<u64>) -> Vec<Piece> {
        let mut at = 0;
        let mut wanted = Vec::new();
        for piece in &self.pieces {
            let end = at + piece.size();
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                wanted.push(piece.cut(from - at..to - at));
            }
            at = end;
        }
        wanted
    }
}

impl Piece {
    /// All of a stored file.
    pub fn whole(recording: &Arc<str>, held: &Held) -> Piece {
        Piece::Object { recording: recording.clone(), sha256: held.sha256.clone(), bytes: 0..held.size }
    }

    fn size(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Object { bytes, .. } => bytes.end - bytes.start,
        }
    }

    /// `range` lies within.
    fn cut(&self, range: Range<u64>) -> Piece {
        match self {
            Piece::Bytes(bytes) => Piece::Bytes(bytes.slice(range.start as usize..range.end as usize)),
            Piece::Object { recording, sha256, bytes } => Piece::Object {
                recording: recording.clone(),
                sha256: sha256.clone(),
                bytes: bytes.start + range.start..bytes.start + range.end,
            },
        }
    }
}

/// Fragments of one part; the first begins with a keyframe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub fragments: Vec<(Held, Times)>,
}

impl Run {
    pub fn start_ns(&self) -> u64 {
        self.fragments.first().map_or(0, |(_, times)| times.start_ns)
    }

    pub fn end_ns(&self) -> u64 {
        self.fragments.last().map_or(0, |(_, times)| times.start_ns + times.duration_ns)
    }

    pub fn size(&self) -> u64 {
        self.fragments.iter().map(|(held, _)| held.size).sum()
    }

    fn first(&self) -> u32 {
        self.fragments.first().map_or(0, |(held, _)| held.name.number)
    }

    fn last(&self) -> u32 {
        self.fragments.last().map_or(0, |(held, _)| held.name.number)
    }
}

impl Reel {
    /// `held` is in order. Of what still comes, only what follows without a hole is shown, since a player that has gone on does
    /// not come back.
    pub fn new(zero_ms: i64, live: bool, track: &str, held: Vec<Held>) -> Reel {
        let mut parts: Vec<Part> = Vec::new();
        for held in held.into_iter().filter(|held| held.name.track == track) {
            let Name { part, number, .. } = held.name;
            if number == 0 {
                parts.push(Part { number: part, header: held, runs: Vec::new() });
                continue;
            }
            let Some(into) = parts.last_mut().filter(|into| into.number == part) else { continue };
            let Some(times) = held.times else { continue };
            let follows = number == into.runs.last().map_or(0, Run::last) + 1;
            match into.runs.last_mut() {
                _ if live && !follows => {}
                None if !times.keyframe => {}
                Some(run) if !times.keyframe && follows => run.fragments.push((held, times)),
                // Without the one before, nothing can be decoded until the next keyframe.
                Some(_) if !times.keyframe => {}
                _ => into.runs.push(Run { fragments: vec![(held, times)] }),
            }
        }
        parts.retain(|part| !part.runs.is_empty());
        Reel { zero_ms, live, parts }
    }

    pub fn runs(&self) -> impl Iterator<Item = (&Part, &Run)> {
        self.parts.iter().flat_map(|part| part.runs.iter().map(move |run| (part, run)))
    }

    /// The runs that show something of a stretch of media time.
    pub fn cut(mut self, from_ns: u64, to_ns: u64) -> Reel {
        for part in &mut self.parts {
            part.runs.retain(|run| run.end_ns() > from_ns && run.start_ns() < to_ns);
        }
        self.parts.retain(|part| !part.runs.is_empty());
        self
    }
}

/// As it stands in a path.
pub fn encoded(text: &str) -> String {
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

    /// A fragment of a second, `keyframe` or not.
    pub fn held(part: u32, number: u32, second: u64, keyframe: bool) -> Held {
        let times = Times { start_ns: second * 1_000_000_000, duration_ns: 1_000_000_000, keyframe };
        Held {
            name: Name { track: "video".to_owned(), part, number },
            size: if number == 0 { 100 } else { 1000 + u64::from(number) },
            sha256: format!("{part}-{number}"),
            times: (number > 0).then_some(times),
        }
    }

    fn numbers(reel: &Reel) -> Vec<(u32, Vec<u32>)> {
        let numbers = |run: &Run| run.fragments.iter().map(|(held, _)| held.name.number).collect();
        reel.runs().map(|(part, run)| (part.number, numbers(run))).collect()
    }

    #[test]
    fn a_run_goes_from_keyframe_to_keyframe_and_ends_with_its_part() {
        let fragments = vec![
            held(1, 0, 0, false),
            held(1, 1, 0, true),
            held(1, 2, 1, false),
            held(1, 3, 2, true),
            held(2, 0, 0, false),
            held(2, 1, 3, true),
        ];
        let reel = Reel::new(0, false, "video", fragments);
        assert_eq!(numbers(&reel), [(1, vec![1, 2]), (1, vec![3]), (2, vec![1])]);
    }

    #[test]
    fn what_runs_is_shown_up_to_the_first_hole() {
        let fragments =
            vec![held(1, 0, 0, false), held(1, 1, 0, true), held(1, 3, 2, true), held(1, 4, 3, false)];
        assert_eq!(numbers(&Reel::new(0, true, "video", fragments.clone())), [(1, vec![1])]);
        assert_eq!(numbers(&Reel::new(0, false, "video", fragments)), [(1, vec![1]), (1, vec![3, 4])]);
    }

    #[test]
    fn what_no_header_or_keyframe_precedes_is_not_shown() {
        let fragments =
            vec![held(1, 1, 0, true), held(2, 0, 0, false), held(2, 1, 1, false), held(2, 2, 2, true)];
        assert_eq!(numbers(&Reel::new(0, false, "video", fragments)), [(2, vec![2])]);
    }
}
