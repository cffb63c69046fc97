//! Fragments in the index.

use serde::Serialize;
use utoipa::ToSchema;

/// Track, part and number; number 0 is the part's header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
pub struct FragmentName {
    pub track: String,
    #[schema(minimum = 1)]
    pub part: u32,
    pub number: u32,
}

impl FragmentName {
    /// Parses the name from a path.
    pub fn parse(track: &str, part: &str, number: &str) -> Option<FragmentName> {
        let is_track = (1..=100).contains(&track.chars().count())
            && !track.contains(|char: char| char.is_control() || char == '/');
        let part = decimal(part).filter(|part| *part > 0)?;
        let number = decimal(number)?;
        is_track.then(|| FragmentName { track: track.to_owned(), part, number })
    }
}

/// A number without sign and leading zeros, so that each fragment has exactly one name.
fn decimal(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text && number <= i32::MAX as u32).then_some(number)
}

/// A fragment or header whose bytes are in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFragment {
    pub name: FragmentName,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// `None`: a header, or bytes that we cannot read as a fragment.
    pub times: Option<FragmentTimes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentTimes {
    pub start_ns: u64,
    pub duration_ns: u64,
    /// Set if the fragment begins with a keyframe.
    pub keyframe: bool,
}

impl FragmentTimes {
    pub fn end_ns(&self) -> u64 {
        self.start_ns.saturating_add(self.duration_ns)
    }
}

/// The track that our recorders name by default, and into which a finished file is cut.
pub const TRACK: &str = "video";

/// The tracks of a recording as players show them: `video` first, others by their names.
pub fn shown_order(mut tracks: Vec<String>) -> Vec<String> {
    tracks.sort_by(|one, other| (one != TRACK, one).cmp(&(other != TRACK, other)));
    tracks.dedup();
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_are_shown_by_name_after_video() {
        let order = |names: &[&str]| shown_order(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(order(&["right", "left"]), ["left", "right"]);
        assert_eq!(order(&["camera", "video", "video"]), ["video", "camera"]);
    }
}
