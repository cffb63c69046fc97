//! One file that any player takes: the header, an index of the runs (`sidx`, so that it can be sought in), the fragments.
//!
//! Parts go into one file where they have the same header, which is so after an encoder or a worker was replaced by the same.

use std::ops::Range;

use super::Reel;

/// Ticks per second in our headers and fragments.
const TIMESCALE: u32 = deskreel_fmp4::TIMESCALE;
/// Most references that an index has room for.
const MOST: usize = 0xffff;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movie {
    pieces: Vec<Piece>,
    pub size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Bytes(Vec<u8>),
    /// An object of the store, and its size.
    Object(String, u64),
}

impl Piece {
    fn size(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Object(_, size) => *size,
        }
    }
}

impl Movie {
    /// `Err`: its parts cannot be in one file, or there is nothing.
    pub fn new(reel: &Reel) -> Result<Movie, &'static str> {
        let Some(first) = reel.parts.first() else { return Err("There is no footage") };
        if reel.parts.iter().any(|part| part.header.sha256 != first.header.sha256) {
            return Err(
                "The parts of this recording have different headers, and are no one file; use its playlist",
            );
        }
        let mut pieces = vec![Piece::Object(first.header.sha256.clone(), first.header.size)];
        pieces.extend(sidx(reel).map(Piece::Bytes));
        for (held, _) in reel.runs().flat_map(|(_, run)| &run.fragments) {
            pieces.push(Piece::Object(held.sha256.clone(), held.size));
        }
        let size = pieces.iter().map(Piece::size).sum();
        Ok(Movie { pieces, size })
    }

    /// The pieces of a range of bytes, and what is wanted of each.
    pub fn pieces(&self, range: Range<u64>) -> Vec<(Piece, Range<u64>)> {
        let mut at = 0;
        let mut wanted = Vec::new();
        for piece in &self.pieces {
            let end = at + piece.size();
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                wanted.push((piece.clone(), from - at..to - at));
            }
            at = end;
        }
        wanted
    }
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
        let movie = Movie::new(&Reel::new(0, false, "video", fragments)).unwrap();
        let index = 8 + 32 + 2 * 12;
        assert_eq!(movie.size, 100 + index + 1001 + 1002 + 1003);
        for (from, to) in [(0, movie.size), (0, 1), (99, 101), (100 + index, 100 + index + 1), (1200, 2300)] {
            let total: u64 = movie.pieces(from..to).iter().map(|(_, range)| range.end - range.start).sum();
            assert_eq!(total, to - from);
        }
        let [(Piece::Object(one, first), two)] = &movie.pieces(2000..2001)[..] else { panic!("one piece") };
        assert_eq!((one.as_str(), *first), ("1-2", 1002));
        assert_eq!(two.start, 2000 - (100 + index + 1001));
    }

    #[test]
    fn parts_with_other_headers_are_no_one_file() {
        let fragments =
            vec![held(1, 0, 0, false), held(1, 1, 0, true), held(2, 0, 0, false), held(2, 1, 2, true)];
        assert!(Movie::new(&Reel::new(0, false, "video", fragments)).is_err());
        assert!(Movie::new(&Reel::new(0, false, "video", Vec::new())).is_err());
    }
}
