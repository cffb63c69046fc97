//! The samples on a timeline of ours, and how they become fragments.

use std::ops::Range;

use super::tables::{Sample, Samples};
use super::{LONGEST_NS, MOST_IN_PIECE, Unfit};
use crate::{SampleInfo, VideoConfig, fragment_header};

const SECOND: i128 = 1_000_000_000;
/// Of bytes between two samples, so many at most are read with them rather than left out.
const GAP: u64 = 1 << 20;

/// A field of 32 bits has room for six and a half hours of our ticks, with a sign.
const LONGEST_FRAME: i128 = 6 * 3600 * SECOND;

/// The video of a file. Frames are shown when the file says, and decoded no later than that: a file may say so of frames that it
/// reorders, and readers of fragments do not agree on what it means.
#[derive(Debug)]
pub struct Footage {
    pub config: VideoConfig,
    /// The tracks that are not taken, as in `audio (mp4a)`.
    pub left_out: Vec<String>,
    /// Where the file's own time zero lies, in nanoseconds of media time: later than media time zero where something is shown or
    /// decoded before.
    pub zero_ns: u64,
    samples: Vec<Sample>,
    /// When the last one ends, in ticks.
    end: u64,
    timescale: u32,
    /// Ticks that are added to each time of decoding, and to each of presentation.
    later: (i128, i128),
    delay_ns: u64,
}

/// What one fragment is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub samples: Range<usize>,
}

impl Footage {
    pub(super) fn new(
        config: VideoConfig,
        left_out: Vec<String>,
        samples: Samples,
        timescale: u32,
        (trimmed, delay_ns): (i64, u64),
    ) -> Result<Footage, Unfit> {
        let first = *samples.all.first().ok_or(Unfit::Empty)?;
        if !first.keyframe {
            return Err(Unfit::NoKeyframe);
        }
        let trimmed = i128::from(trimmed);
        let most_negative = samples.all.iter().map(|sample| sample.shown_after).min().unwrap_or(0).min(0);
        let later = (i128::from(most_negative) - trimmed, -trimmed);
        let (end, samples) = (samples.end, samples.all);
        let mut footage = Footage { config, left_out, zero_ns: 0, samples, end, timescale, later, delay_ns };
        let earliest = footage.samples.iter().map(|sample| footage.shown(sample)).min().unwrap_or(0);
        let latest = footage.samples.iter().map(|sample| footage.shown(sample)).max().unwrap_or(0);
        let zero = (-earliest.min(footage.decoded(first.dts))).max(0);
        let mut ends = footage.samples.iter().skip(1).map(|sample| sample.dts).chain([end]);
        let is_long = |sample: &Sample| {
            let begins = footage.decoded(sample.dts);
            let ends = ends.next().map_or(begins, |end| footage.decoded(end));
            (ends - begins).max((footage.shown(sample) - begins).abs()) > LONGEST_FRAME
        };
        if footage.samples.iter().any(is_long) {
            return Err(Unfit::LongFrame);
        }
        let end = footage.decoded(end).max(latest) + zero;
        if end > i128::from(LONGEST_NS) {
            return Err(Unfit::TooLong);
        }
        footage.zero_ns = u64::try_from(zero).map_err(|_| Unfit::TooLong)?;
        Ok(footage)
    }

    pub fn frames(&self) -> usize {
        self.samples.len()
    }

    /// Nanoseconds from the file's time zero to when a tick is decoded. Each time is converted by itself, so nothing drifts.
    fn decoded(&self, tick: u64) -> i128 {
        self.ns(i128::from(tick) + self.later.0)
    }

    fn shown(&self, sample: &Sample) -> i128 {
        self.ns(i128::from(sample.dts) + i128::from(sample.shown_after) + self.later.1)
    }

    fn ns(&self, ticks: i128) -> i128 {
        (ticks * SECOND).div_euclid(self.timescale.into()) + i128::from(self.delay_ns)
    }

    /// In media time.
    fn time(&self, ns: i128) -> u64 {
        // From zero to a day, since `new` has seen all of them.
        u64::try_from(ns + i128::from(self.zero_ns)).unwrap_or(0)
    }

    /// From keyframe to keyframe, but for keyframes less than half a second apart; split where a second is over, and before it would
    /// have more than `most` bytes.
    pub fn pieces(&self, most: u64) -> Result<Vec<Piece>, Unfit> {
        const HALF: i128 = SECOND / 2;
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut begun, mut bytes, mut behind) = (0, 0, 0);
        for (number, sample) in self.samples.iter().enumerate() {
            let size = u64::from(sample.size);
            if size > most {
                return Err(Unfit::LargeFrame { size, most });
            }
            let at = self.decoded(sample.dts);
            // With what lies between, which is read with it.
            let cost = size + sample.offset.abs_diff(behind).min(GAP);
            let old = at - begun;
            match pieces.last_mut() {
                Some(piece)
                    if old < SECOND
                        && !(sample.keyframe && old >= HALF)
                        && bytes + cost <= most
                        && piece.samples.len() < MOST_IN_PIECE =>
                {
                    piece.samples.end = number + 1;
                    bytes += cost;
                }
                _ => {
                    pieces.push(Piece { samples: number..number + 1 });
                    (begun, bytes) = (at, size);
                }
            }
            behind = sample.offset + size;
        }
        Ok(pieces)
    }

    /// Where the samples of a piece lie in the file, in order.
    pub fn places(&self, piece: &Piece) -> Vec<Range<u64>> {
        let samples = self.samples.get(piece.samples.clone()).unwrap_or_default();
        samples.iter().map(|sample| sample.offset..sample.offset + u64::from(sample.size)).collect()
    }

    /// On the timeline of the recording. Each lasts until the next is decoded, in this piece or the next.
    pub fn infos(&self, piece: &Piece) -> Vec<SampleInfo> {
        let samples = self.samples.get(piece.samples.clone()).unwrap_or_default();
        let info = |(index, sample): (usize, &Sample)| {
            let next = self.samples.get(piece.samples.start + index + 1).map_or(self.end, |next| next.dts);
            let dts_ns = self.time(self.decoded(sample.dts));
            SampleInfo {
                pts_ns: self.time(self.shown(sample)),
                dts_ns,
                duration_ns: self.time(self.decoded(next)).saturating_sub(dts_ns),
                keyframe: sample.keyframe,
                size: sample.size as usize,
            }
        };
        samples.iter().enumerate().map(info).collect()
    }

    /// All of a fragment but the samples' bytes, which complete it in the order of [`Footage::places`].
    pub fn head(&self, number: u32, piece: &Piece) -> Result<Vec<u8>, crate::Error> {
        fragment_header(number, &self.infos(piece))
    }
}
