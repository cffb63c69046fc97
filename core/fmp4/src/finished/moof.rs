//! The samples of a track in one `moof` (ISO/IEC 14496-12, 8.8).

use super::boxes::{Fields, boxes, child, needed};
use super::movie::Defaults;
use super::tables::{Sample, Samples};
use super::{MOST_SAMPLES, Unfit};
use crate::fragment::NON_SYNC;

/// Adds the samples of this track. `at` is where the `moof` lies in the file.
pub fn read(
    moof: &[u8],
    at: u64,
    track: u32,
    defaults: Defaults,
    samples: &mut Samples,
) -> Result<(), Unfit> {
    // Where data of the next `traf` begins that does not say it.
    let mut base = at;
    for traf in boxes(moof) {
        let traf = traf?;
        if traf.kind != *b"traf" {
            continue;
        }
        let (head, own) = Head::read(needed(traf.body, "tfhd")?, defaults)?;
        let mut place = match head.base {
            Base::Given(place) => place,
            Base::Moof => at,
            Base::Previous => base,
        };
        let begin = place;
        if let Some(tfdt) = child(traf.body, b"tfdt")?.filter(|_| head.track == track) {
            let (mut fields, version, _) = Fields::full("tfdt", tfdt)?;
            samples.end = fields.by_version(version)?;
        }
        for trun in boxes(traf.body) {
            let trun = trun?;
            if trun.kind == *b"trun" {
                let run = Run::read(trun.body, own)?;
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

enum Base {
    Given(u64),
    Moof,
    Previous,
}

/// `tfhd`.
struct Head {
    track: u32,
    base: Base,
}

impl Head {
    fn read(tfhd: &[u8], defaults: Defaults) -> Result<(Head, Defaults), Unfit> {
        let (mut fields, _, flags) = Fields::full("tfhd", tfhd)?;
        let track = fields.u32()?;
        let base = match flags {
            flags if flags & 1 != 0 => Base::Given(fields.u64()?),
            flags if flags & 0x2_0000 != 0 => Base::Moof,
            _ => Base::Previous,
        };
        let mut optional =
            |flag: u32, otherwise: u32| if flags & flag != 0 { fields.u32() } else { Ok(otherwise) };
        if optional(0x2, 1)? != 1 {
            return Err(Unfit::SecondEntry);
        }
        let duration = optional(0x8, defaults.duration)?;
        let (size, flags) = (optional(0x10, defaults.size)?, optional(0x20, defaults.flags)?);
        Ok((Head { track, base }, Defaults { duration, size, flags }))
    }
}

/// `trun`.
struct Run<'a> {
    count: usize,
    /// From the base.
    offset: Option<i32>,
    first_flags: Option<u32>,
    /// Which fields each sample has.
    has: u32,
    defaults: Defaults,
    fields: Fields<'a>,
}

impl<'a> Run<'a> {
    fn read(trun: &'a [u8], defaults: Defaults) -> Result<Run<'a>, Unfit> {
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
        Ok(Run { count, offset, first_flags, has, defaults, fields })
    }

    fn optional(&mut self, flag: u32, otherwise: u32) -> Result<u32, Unfit> {
        if self.has & flag != 0 { self.fields.u32() } else { Ok(otherwise) }
    }

    /// The samples, from this place on, and where they end.
    fn take(mut self, mut place: u64, samples: &mut Samples) -> Result<u64, Unfit> {
        for number in 0..self.count {
            let duration = self.optional(0x100, self.defaults.duration)?;
            let size = self.optional(0x200, self.defaults.size)?;
            let flags = self.optional(0x400, self.defaults.flags)?;
            let flags = self.first_flags.filter(|_| number == 0).unwrap_or(flags);
            let shown_after = self.optional(0x800, 0)?.cast_signed();
            let keyframe = flags & NON_SYNC == 0;
            samples
                .push(Sample { offset: place, dts: samples.end, shown_after, size, keyframe }, duration)?;
            // Within the file, or it would not have been taken.
            place += u64::from(size);
        }
        Ok(place)
    }

    /// Of another track: where they end.
    fn pass(mut self, place: u64) -> Result<u64, Unfit> {
        let mut bytes = 0;
        if self.has & 0x200 == 0 {
            // Without looking at each, which costs its sender nothing.
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
