//! One file that any player takes and that costs nothing to make: the header, an index of the runs (`sidx`, so that it can be sought
//! in), the fragments as they are.
//!
//! Parts go into one file where they have the same header, which is so after an encoder or a worker was replaced by the same.
//! Others are a [`Film`](super::Film).

use std::sync::Arc;

use axum::body::Bytes;

use super::{File, Piece, Reel};

/// Ticks per second in our headers and fragments.
const TIMESCALE: u32 = deskreel_fmp4::TIMESCALE;
/// Most references that an index has room for.
const MOST: usize = 0xffff;

/// `None`: its parts have different headers, or there is none.
pub fn movie(recording: &Arc<str>, reel: &Reel) -> Option<File> {
    let first = reel.parts.first()?;
    if reel.parts.iter().any(|part| part.header.sha256 != first.header.sha256) {
        return None;
    }
    let mut file = File::default();
    file.push(Piece::whole(recording, &first.header));
    if let Some(sidx) = sidx(reel) {
        file.push(Piece::Bytes(Bytes::from(sidx)));
    }
    for (held, _) in reel.runs().flat_map(|(_, run)| &run.fragments) {
        file.push(Piece::whole(recording, held));
    }
    Some(file)
}

/// `None`: too much for one; the file is played from its start all the same.
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
        // Up to the next one: a gap is the last frame before it, standing.
        let end = runs.get(index + 1).map_or(run.end_ns(), |next| next.start_ns());
        let duration = deskreel_fmp4::ticks(end).saturating_sub(deskreel_fmp4::ticks(run.start_ns()));
        let size = u32::try_from(run.size()).ok().filter(|size| *size < 1 << 31)?;
        body.extend(size.to_be_bytes());
        body.extend(u32::try_from(duration).ok()?.to_be_bytes());
        // Begins with a keyframe that nothing before it is needed for.
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

    use super::super::tests::held;
    use super::*;

    #[test]
    fn any_range_of_a_movie_is_what_the_whole_has_there() {
        let fragments =
            vec![held(1, 0, 0, false), held(1, 1, 0, true), held(1, 2, 1, false), held(1, 3, 2, true)];
        let movie = movie(&"r-1".into(), &Reel::new(0, false, "video", fragments)).unwrap();
        let index = 8 + 32 + 2 * 12;
        assert_eq!(movie.size, 100 + index + 1001 + 1002 + 1003);
        for (from, to) in [(0, movie.size), (0, 1), (99, 101), (100 + index, 100 + index + 1), (1200, 2300)] {
            let total: u64 = movie.range(from..to).iter().map(Piece::size).sum();
            assert_eq!(total, to - from);
        }
        let [Piece::Object { sha256, bytes, .. }] = &movie.range(2000..2001)[..] else { panic!("one piece") };
        let at = 2000 - (100 + index + 1001);
        assert_eq!((sha256.as_str(), bytes), ("1-2", &(at..at + 1)));
    }

    #[test]
    fn parts_with_other_headers_are_no_one_file() {
        let fragments =
            vec![held(1, 0, 0, false), held(1, 1, 0, true), held(2, 0, 0, false), held(2, 1, 2, true)];
        let movie = |fragments| movie(&"r-1".into(), &Reel::new(0, false, "video", fragments));
        assert!(movie(fragments).is_none() && movie(Vec::new()).is_none());
    }
}
