//! The samples on our timeline, and how they become fragments.

use std::ops::Range;

use super::tables::{TableSample, TrackSamples};
use super::{LONGEST_NS, MOST_IN_FRAGMENT, Unfit};
use crate::{SampleInfo, VideoConfig, fragment_header};

const SECOND: i128 = 1_000_000_000;
/// Most bytes between two samples that are read along with them rather than skipped.
const READ_THROUGH: u64 = 1 << 20;

/// Longest frame: a signed field of 32 bits has room for six and a half hours of our ticks.
const LONGEST_FRAME: i128 = 6 * 3600 * SECOND;

/// The video of a file. Frames are shown when the file says, and decoded no later than that: a file with
/// reordered frames may say otherwise, and readers of fragments disagree on what that means.
#[derive(Debug)]
pub struct Footage {
    pub config: VideoConfig,
    /// The tracks that are left out, such as `audio (mp4a)`.
    pub left_out: Vec<String>,
    /// The file's own time zero in media time: later than media time zero if something is shown or decoded
    /// before it.
    pub zero_ns: u64,
    samples: Vec<TableSample>,
    /// When the last sample ends, in ticks.
    end: u64,
    timescale: u32,
    /// Ticks that are added to each decoding time, and to each presentation time.
    shift: (i128, i128),
    delay_ns: u64,
}

/// The samples of one fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentSamples {
    pub samples: Range<usize>,
}

impl Footage {
    pub(super) fn new(
        config: VideoConfig,
        left_out: Vec<String>,
        samples: TrackSamples,
        timescale: u32,
        (trimmed, delay_ns): (i64, u64),
    ) -> Result<Footage, Unfit> {
        let first = *samples.all.first().ok_or(Unfit::Empty)?;
        if !first.keyframe {
            return Err(Unfit::NoKeyframe);
        }
        let trimmed = i128::from(trimmed);
        let most_negative = samples.all.iter().map(|sample| sample.shown_after).min().unwrap_or(0).min(0);
        let shift = (i128::from(most_negative) - trimmed, -trimmed);
        let (end, samples) = (samples.end, samples.all);
        let mut footage = Footage { config, left_out, zero_ns: 0, samples, end, timescale, shift, delay_ns };
        let earliest = footage.samples.iter().map(|sample| footage.shown(sample)).min().unwrap_or(0);
        let latest = footage.samples.iter().map(|sample| footage.shown(sample)).max().unwrap_or(0);
        let zero = (-earliest.min(footage.decoded(first.dts))).max(0);
        let mut ends = footage.samples.iter().skip(1).map(|sample| sample.dts).chain([end]);
        let is_long = |sample: &TableSample| {
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

    /// Nanoseconds from the file's time zero to the decoding at this tick. Each time is converted by itself,
    /// so nothing drifts.
    fn decoded(&self, tick: u64) -> i128 {
        self.ns(i128::from(tick) + self.shift.0)
    }

    fn shown(&self, sample: &TableSample) -> i128 {
        self.ns(i128::from(sample.dts) + i128::from(sample.shown_after) + self.shift.1)
    }

    fn ns(&self, ticks: i128) -> i128 {
        (ticks * SECOND).div_euclid(self.timescale.into()) + i128::from(self.delay_ns)
    }

    /// Converts nanoseconds since the file's time zero to media time.
    fn time(&self, ns: i128) -> u64 {
        // Between zero and a day, since `new` has checked all of them.
        u64::try_from(ns + i128::from(self.zero_ns)).unwrap_or(0)
    }

    /// Fragments from keyframe to keyframe, except for keyframes less than half a second apart; split after a
    /// second, and before a fragment would have more than `most` bytes.
    pub fn fragments(&self, most: u64) -> Result<Vec<FragmentSamples>, Unfit> {
        const HALF: i128 = SECOND / 2;
        let mut fragments: Vec<FragmentSamples> = Vec::new();
        let (mut begun, mut bytes, mut read_until) = (0, 0, 0);
        for (number, sample) in self.samples.iter().enumerate() {
            let size = u64::from(sample.size);
            if size > most {
                return Err(Unfit::LargeFrame { size, most });
            }
            let at = self.decoded(sample.dts);
            // Including the bytes in between, which are read along.
            let cost = size + sample.offset.abs_diff(read_until).min(READ_THROUGH);
            let old = at - begun;
            match fragments.last_mut() {
                Some(fragment)
                    if old < SECOND
                        && !(sample.keyframe && old >= HALF)
                        && bytes + cost <= most
                        && fragment.samples.len() < MOST_IN_FRAGMENT =>
                {
                    fragment.samples.end = number + 1;
                    bytes += cost;
                }
                _ => {
                    fragments.push(FragmentSamples { samples: number..number + 1 });
                    (begun, bytes) = (at, size);
                }
            }
            read_until = sample.offset + size;
        }
        Ok(fragments)
    }

    /// Byte ranges of the fragment's samples in the file, in order.
    pub fn byte_ranges(&self, fragment: &FragmentSamples) -> Vec<Range<u64>> {
        let samples = self.samples.get(fragment.samples.clone()).unwrap_or_default();
        samples.iter().map(|sample| sample.offset..sample.offset + u64::from(sample.size)).collect()
    }

    /// The fragment's samples on the recording's timeline. Each lasts until the next is decoded, in this
    /// fragment or the next.
    pub fn sample_infos(&self, fragment: &FragmentSamples) -> Vec<SampleInfo> {
        let samples = self.samples.get(fragment.samples.clone()).unwrap_or_default();
        let info = |(index, sample): (usize, &TableSample)| {
            let next = self.samples.get(fragment.samples.start + index + 1).map_or(self.end, |next| next.dts);
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

    /// All of a fragment except the samples' bytes, which complete it in the order of
    /// [`Footage::byte_ranges`].
    pub fn fragment_head(&self, number: u32, fragment: &FragmentSamples) -> Result<Vec<u8>, crate::Error> {
        fragment_header(number, &self.sample_infos(fragment))
    }
}
