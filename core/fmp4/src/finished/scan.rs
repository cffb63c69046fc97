//! Finds the tables of a file that arrives in pieces of any size. The footage between them is skipped.

use std::ops::Range;

use super::boxes::box_name;
use super::{LARGEST_TABLE, MOST_FRAGMENTS, Unfit};

/// Boxes that a file may begin with: `ftyp`, and those that old or unusual programs put first.
const FIRST: [&[u8; 4]; 8] = [b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pdin"];

/// The places of a file's tables, in bytes from its start, including their heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    pub moov: Range<u64>,
    /// The fragments' tables, in the order of the file.
    pub moofs: Vec<Range<u64>>,
}

#[derive(Debug)]
pub struct Scan {
    /// Length of the whole file, in bytes.
    length: u64,
    /// Position of the next byte.
    at: u64,
    /// End of the box that is being skipped.
    end: u64,
    /// The part of the next box's head that has arrived: size, kind, and a size of 64 bits if there is one.
    head: Vec<u8>,
    moov: Option<Range<u64>>,
    moofs: Vec<Range<u64>>,
}

impl Scan {
    pub fn new(length: u64) -> Scan {
        Scan { length, at: 0, end: 0, head: Vec::with_capacity(16), moov: None, moofs: Vec::new() }
    }

    /// Takes the next bytes.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Unfit> {
        while !bytes.is_empty() {
            let over = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
            let count = match over {
                0 => self.missing().min(bytes.len()),
                over => over.min(bytes.len()),
            };
            let (some, rest) = bytes.split_at(count);
            bytes = rest;
            self.at += count as u64;
            if over == 0 {
                self.head.extend_from_slice(some);
                if self.missing() == 0 {
                    self.enter()?;
                }
            }
        }
        Ok(())
    }

    /// Bytes of the head that have not arrived yet.
    fn missing(&self) -> usize {
        let whole = if self.head.starts_with(&[0, 0, 0, 1]) { 16 } else { 8 };
        whole - self.head.len()
    }

    /// Begins the box whose head has arrived.
    fn enter(&mut self) -> Result<(), Unfit> {
        let begin = self.at - self.head.len() as u64;
        let number =
            |range: Range<usize>| self.head[range].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mut kind = [0; 4];
        kind.copy_from_slice(&self.head[4..8]);
        let size = match number(0..4) {
            0 => self.length - begin,
            1 => number(8..16),
            size => size,
        };
        if begin == 0 && !FIRST.contains(&&kind) {
            return Err(Unfit::NotMp4);
        }
        let end = begin.checked_add(size).filter(|end| (self.at..=self.length).contains(end));
        let end = end.ok_or_else(|| Unfit::Torn { name: box_name(kind) })?;
        self.head.clear();
        self.end = end;
        if kind == *b"moov" || kind == *b"moof" {
            self.table(kind, begin..end)?;
        }
        Ok(())
    }

    fn table(&mut self, kind: [u8; 4], place: Range<u64>) -> Result<(), Unfit> {
        if place.end - place.start > LARGEST_TABLE {
            return Err(Unfit::TooLarge("a box has more than 64 MiB of them"));
        }
        if kind == *b"moov" {
            return self.moov.replace(place).map_or(Ok(()), |_| Err(Unfit::SecondMoov));
        }
        if self.moov.is_none() {
            return Err(Unfit::MoofFirst);
        }
        if self.moofs.len() == MOST_FRAGMENTS {
            return Err(Unfit::TooLarge("it has more than 262,144 fragments"));
        }
        self.moofs.push(place);
        Ok(())
    }

    /// Ends the scan, after the file's last byte.
    pub fn finish(self) -> Result<Outline, Unfit> {
        if self.at == 0 {
            return Err(Unfit::NotMp4);
        }
        if self.at != self.length || self.end > self.at || !self.head.is_empty() {
            return Err(Unfit::CutOff);
        }
        Ok(Outline { moov: self.moov.ok_or(Unfit::Missing("moov"))?, moofs: self.moofs })
    }
}
