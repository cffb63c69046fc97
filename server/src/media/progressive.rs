//! A recording as one file that any player accepts and that costs nothing to make: the header, an index of
//! the runs (`sidx`, which makes it seekable), and the unchanged fragments.
//!
//! All parts must have the same header, which they do if a worker or an encoder was replaced by the same
//! kind. Others need a [`ClipBuilder`](super::ClipBuilder).

use std::sync::Arc;

use axum::body::Bytes;
use deskreel_model::RecordingId;

use super::{FilePiece, Reel, ServedFile};

/// Ticks per second in our headers and fragments.
const TIMESCALE: u32 = deskreel_fmp4::TIMESCALE;
/// Most references that an index can have.
const MOST: usize = 0xffff;

/// `None`: the parts have different headers, or there is no part.
pub fn progressive(recording: &Arc<RecordingId>, reel: &Reel) -> Option<ServedFile> {
    let first = reel.parts.first()?;
    if reel.parts.iter().any(|part| part.header.sha256 != first.header.sha256) {
        return None;
    }
    let mut file = ServedFile::default();
    file.push(FilePiece::whole(recording, &first.header));
    if let Some(sidx) = sidx(reel) {
        file.push(FilePiece::Bytes(Bytes::from(sidx)));
    }
    for (fragment, _) in reel.runs().flat_map(|(_, run)| &run.fragments) {
        file.push(FilePiece::whole(recording, fragment));
    }
    Some(file)
}

/// `None`: too many or too large runs for one index. The file can still be played from its start.
fn sidx(reel: &Reel) -> Option<Vec<u8>> {
    let runs: Vec<_> = reel.runs().map(|(_, run)| run).collect();
    let first = runs.first()?;
    let count = u16::try_from(runs.len().min(MOST + 1)).ok()?;
    let start = deskreel_fmp4::ticks(first.start_ns());
    let mut body = Vec::with_capacity(32 + 12 * runs.len());
    body.extend([1, 0, 0, 0]);
    body.extend(1u32.to_be_bytes());
    body.extend(TIMESCALE.to_be_bytes());
    body.extend(start.to_be_bytes());
    body.extend(0u64.to_be_bytes());
    body.extend(0u16.to_be_bytes());
    body.extend(count.to_be_bytes());
    for (index, run) in runs.iter().enumerate() {
        // A run lasts until the next one: in a gap, its last frame stays on.
        let end = runs.get(index + 1).map_or(run.end_ns(), |next| next.start_ns());
        let duration = deskreel_fmp4::ticks(end).saturating_sub(deskreel_fmp4::ticks(run.start_ns()));
        let size = u32::try_from(run.size()).ok().filter(|size| *size < 1 << 31)?;
        body.extend(size.to_be_bytes());
        body.extend(u32::try_from(duration).ok()?.to_be_bytes());
        // Begins with a keyframe that can be decoded by itself.
        body.extend(0x9000_0000u32.to_be_bytes());
    }
    let mut bytes = Vec::with_capacity(body.len() + 8);
    bytes.extend(u32::try_from(body.len() + 8).ok()?.to_be_bytes());
    bytes.extend(b"sidx");
    bytes.extend(body);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{fragment, recording};
    use super::*;

    #[test]
    fn any_range_equals_that_part_of_the_whole_file() {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 0, true),
            fragment(1, 2, 1, false),
            fragment(1, 3, 2, true),
        ];
        let file = progressive(&recording("r-1"), &Reel::new(0, false, "video", fragments)).unwrap();
        let index = 8 + 32 + 2 * 12;
        assert_eq!(file.size, 100 + index + 1001 + 1002 + 1003);
        for (from, to) in [(0, file.size), (0, 1), (99, 101), (100 + index, 100 + index + 1), (1200, 2300)] {
            let total: u64 = file.range(from..to).iter().map(FilePiece::size).sum();
            assert_eq!(total, to - from);
        }
        let [FilePiece::Object { sha256, bytes, .. }] = &file.range(2000..2001)[..] else {
            panic!("one piece")
        };
        let at = 2000 - (100 + index + 1001);
        assert_eq!((sha256.as_str(), bytes), ("1-2", &(at..at + 1)));
    }

    #[test]
    fn parts_with_different_headers_do_not_make_one_file() {
        let fragments = vec![
            fragment(1, 0, 0, false),
            fragment(1, 1, 0, true),
            fragment(2, 0, 0, false),
            fragment(2, 1, 2, true),
        ];
        let file = |fragments| progressive(&recording("r-1"), &Reel::new(0, false, "video", fragments));
        assert!(file(fragments).is_none() && file(Vec::new()).is_none());
    }
}
