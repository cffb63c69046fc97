//! The samples of a track in one `moof` (ISO/IEC 14496-12, 8.8).

use super::boxes::{Fields, boxes, child, needed};
use super::moov::Defaults;
use super::tables::{TableSample, TrackSamples};
use super::{MOST_SAMPLES, Unfit};
use crate::fragment::NON_SYNC;

/// Adds the samples of this track. `at` is the position of the `moof` in the file.
pub fn read(
    moof: &[u8],
    at: u64,
    track: u32,
    defaults: Defaults,
    samples: &mut TrackSamples,
) -> Result<(), Unfit> {
    // Start of the data of a `traf` without an explicit base.
    let mut base = at;
    for traf in boxes(moof) {
        let traf = traf?;
        if traf.kind != *b"traf" {
            continue;
        }
        let (head, own) = TrackFragmentHeader::read(needed(traf.body, "tfhd")?, defaults)?;
        let mut place = match head.base {
            DataOrigin::Given(place) => place,
            DataOrigin::Moof => at,
            DataOrigin::Previous => base,
        };
        let begin = place;
        if let Some(tfdt) = child(traf.body, b"tfdt")?.filter(|_| head.track == track) {
            let (mut fields, version, _) = Fields::full("tfdt", tfdt)?;
            samples.end = fields.by_version(version)?;
        }
        for trun in boxes(traf.body) {
            let trun = trun?;
            if trun.kind == *b"trun" {
                let run = TrackRun::read(trun.body, own)?;
                place = run
                    .offset
                    .map_or(Some(place), |offset| begin.checked_add_signed(offset.into()))
                    .ok_or(Unfit::Outside)?;
                place = if head.track == track { run.take(place, samples)? } else { run.pass(place)? };
            }
        }
        base = place;
    }
    Ok(())
}

enum DataOrigin {
    Given(u64),
    Moof,
    Previous,
}

/// `tfhd`.
struct TrackFragmentHeader {
    track: u32,
    base: DataOrigin,
}

impl TrackFragmentHeader {
    fn read(tfhd: &[u8], defaults: Defaults) -> Result<(TrackFragmentHeader, Defaults), Unfit> {
        let (mut fields, _, flags) = Fields::full("tfhd", tfhd)?;
        let track = fields.u32()?;
        let base = match flags {
            flags if flags & 1 != 0 => DataOrigin::Given(fields.u64()?),
            flags if flags & 0x2_0000 != 0 => DataOrigin::Moof,
            _ => DataOrigin::Previous,
        };
        let mut optional =
            |flag: u32, otherwise: u32| if flags & flag != 0 { fields.u32() } else { Ok(otherwise) };
        if optional(0x2, 1)? != 1 {
            return Err(Unfit::SecondEntry);
        }
        let duration = optional(0x8, defaults.duration)?;
        let (size, flags) = (optional(0x10, defaults.size)?, optional(0x20, defaults.flags)?);
        Ok((TrackFragmentHeader { track, base }, Defaults { duration, size, flags }))
    }
}

/// `trun`.
struct TrackRun<'a> {
    count: usize,
    /// Relative to the base.
    offset: Option<i32>,
    first_flags: Option<u32>,
    /// Flags: which fields each sample has.
    has: u32,
    defaults: Defaults,
    fields: Fields<'a>,
}

impl<'a> TrackRun<'a> {
    fn read(trun: &'a [u8], defaults: Defaults) -> Result<TrackRun<'a>, Unfit> {
        let (mut fields, _, has) = Fields::full("trun", trun)?;
        let count = fields.u32()? as usize;
        let offset = if has & 1 != 0 { Some(fields.i32()?) } else { None };
        let first_flags = if has & 4 != 0 { Some(fields.u32()?) } else { None };
        let each = 4 * (has & 0xf00).count_ones() as usize;
        if count > MOST_SAMPLES {
            return Err(Unfit::TooLarge("it has more than 2,097,152 frames"));
        }
        if fields.rest().len() / each.max(1) < count && each > 0 {
            return Err(fields.torn());
        }
        Ok(TrackRun { count, offset, first_flags, has, defaults, fields })
    }

    fn optional(&mut self, flag: u32, otherwise: u32) -> Result<u32, Unfit> {
        if self.has & flag != 0 { self.fields.u32() } else { Ok(otherwise) }
    }

    /// Adds the samples, beginning at this place. Returns their end.
    fn take(mut self, mut place: u64, samples: &mut TrackSamples) -> Result<u64, Unfit> {
        for number in 0..self.count {
            let duration = self.optional(0x100, self.defaults.duration)?;
            let size = self.optional(0x200, self.defaults.size)?;
            let flags = self.optional(0x400, self.defaults.flags)?;
            let flags = self.first_flags.filter(|_| number == 0).unwrap_or(flags);
            let shown_after = self.optional(0x800, 0)?.cast_signed();
            let keyframe = flags & NON_SYNC == 0;
            samples.push(
                TableSample { offset: place, dts: samples.end, shown_after, size, keyframe },
                duration,
            )?;
            // Cannot overflow: `push` has checked that the sample is within the file.
            place += u64::from(size);
        }
        Ok(place)
    }

    /// Skips the samples of another track. Returns their end.
    fn pass(mut self, place: u64) -> Result<u64, Unfit> {
        let mut bytes = 0;
        if self.has & 0x200 == 0 {
            // Not a loop: samples without fields cost the sender of a hostile file nothing.
            bytes = self.count as u64 * u64::from(self.defaults.size);
        } else {
            for _ in 0..self.count {
                self.optional(0x100, 0)?;
                bytes += u64::from(self.optional(0x200, 0)?);
                self.optional(0x400, 0)?;
                self.optional(0x800, 0)?;
            }
        }
        place.checked_add(bytes).ok_or(Unfit::Outside)
    }
}
