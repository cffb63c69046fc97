//! The samples of a track, from its tables (ISO/IEC 14496-12, 8.6 and 8.7).

use super::boxes::{Fields, child, needed};
use super::{MOST_SAMPLES, Unfit};

/// One encoded frame. Times are in the track's ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSample {
    /// Position in the file, in bytes.
    pub offset: u64,
    pub dts: u64,
    /// Ticks from decoding to presentation.
    pub shown_after: i32,
    pub size: u32,
    pub keyframe: bool,
}

/// The samples of a track that have been read so far.
#[derive(Debug)]
pub struct TrackSamples {
    pub all: Vec<TableSample>,
    /// When the last sample ends.
    pub end: u64,
    /// Length of the file, in bytes.
    length: u64,
    /// Bytes of all samples. More than the file has would mean that samples overlap, and that little data
    /// could make much footage.
    bytes: u64,
}

impl TrackSamples {
    pub fn new(length: u64) -> TrackSamples {
        TrackSamples { all: Vec::new(), end: 0, length, bytes: 0 }
    }

    pub fn push(&mut self, sample: TableSample, duration: u32) -> Result<(), Unfit> {
        let size = u64::from(sample.size);
        if self.all.len() == MOST_SAMPLES {
            return Err(Unfit::TooLarge("it has more than 2,097,152 frames"));
        }
        self.bytes += size;
        let end = sample.offset.checked_add(size);
        if size == 0 || self.bytes > self.length || end.is_none_or(|end| end > self.length) {
            return Err(Unfit::Outside);
        }
        if self.all.last().is_some_and(|last| last.dts > sample.dts) {
            return Err(Unfit::Order);
        }
        self.end = sample.dts.checked_add(duration.into()).ok_or(Unfit::TooLong)?;
        self.all.push(sample);
        Ok(())
    }

    /// Reads the samples of the `stbl`, which has none if all of them are in fragments.
    pub fn read(&mut self, stbl: &[u8]) -> Result<(), Unfit> {
        let mut sizes = Sizes::new(stbl)?;
        if sizes.count > MOST_SAMPLES {
            return Err(Unfit::TooLarge("it has more than 2,097,152 frames"));
        }
        let mut durations = RunLengths::new(needed(stbl, "stts")?, "stts")?;
        let mut shown_after =
            child(stbl, b"ctts")?.map(|table| RunLengths::new(table, "ctts")).transpose()?;
        let mut keyframes = child(stbl, b"stss")?.map(Keyframes::new).transpose()?;
        let mut chunks = Chunks::new(stbl)?;
        let mut dts = 0;
        for number in 0..sizes.count {
            let size = sizes.next()?;
            let offset = chunks.next(size)?;
            let duration = durations.next()?;
            let shown_after = shown_after.as_mut().map_or(Ok(0), RunLengths::next)?.cast_signed();
            let keyframe = keyframes.as_mut().is_none_or(|keyframes| keyframes.has(number + 1));
            self.push(TableSample { offset, dts, shown_after, size, keyframe }, duration)?;
            dts = self.end;
        }
        Ok(())
    }
}

/// Sizes: `stsz`, or `stz2` with fewer bits per size.
struct Sizes<'a> {
    count: usize,
    /// The size, if all samples have the same.
    same: Option<u32>,
    /// Bits per size.
    bits: u8,
    fields: Fields<'a>,
    /// The lower half of a byte whose upper half was the previous size.
    half: Option<u8>,
}

impl<'a> Sizes<'a> {
    fn new(stbl: &'a [u8]) -> Result<Sizes<'a>, Unfit> {
        let (mut fields, same, bits) = match child(stbl, b"stsz")? {
            Some(table) => {
                let (mut fields, ..) = Fields::full("stsz", table)?;
                let same = fields.u32()?;
                (fields, (same > 0).then_some(same), 32)
            }
            None => {
                let (mut fields, ..) =
                    Fields::full("stz2", needed(stbl, "stz2").map_err(|_| Unfit::Missing("stsz"))?)?;
                (fields, None, (fields.u32()? & 0xff) as u8)
            }
        };
        let count = fields.u32()? as usize;
        Ok(Sizes { count, same, bits, fields, half: None })
    }

    fn next(&mut self) -> Result<u32, Unfit> {
        if let Some(same) = self.same {
            return Ok(same);
        }
        match self.bits {
            4 => match self.half.take() {
                Some(half) => Ok(half.into()),
                None => {
                    let both = self.fields.u8()?;
                    self.half = Some(both & 15);
                    Ok((both >> 4).into())
                }
            },
            8 => self.fields.u8().map(u32::from),
            16 => self.fields.u16().map(u32::from),
            32 => self.fields.u32(),
            _ => Err(Unfit::Tables("stz2")),
        }
    }
}

/// `stts` and `ctts`: rows with a number of samples and the value that they share.
struct RunLengths<'a> {
    name: &'static str,
    fields: Fields<'a>,
    rows: usize,
    left: u32,
    value: u32,
}

impl<'a> RunLengths<'a> {
    fn new(table: &'a [u8], name: &'static str) -> Result<RunLengths<'a>, Unfit> {
        let (mut fields, ..) = Fields::full(name, table)?;
        let rows = fields.rows(8)?;
        Ok(RunLengths { name, fields, rows, left: 0, value: 0 })
    }

    fn next(&mut self) -> Result<u32, Unfit> {
        while self.left == 0 {
            self.rows = self.rows.checked_sub(1).ok_or(Unfit::Tables(self.name))?;
            (self.left, self.value) = (self.fields.u32()?, self.fields.u32()?);
        }
        self.left -= 1;
        Ok(self.value)
    }
}

/// `stss`: the numbers of the keyframes, ascending.
struct Keyframes<'a> {
    fields: Fields<'a>,
    rows: usize,
    next: usize,
}

impl<'a> Keyframes<'a> {
    fn new(table: &'a [u8]) -> Result<Keyframes<'a>, Unfit> {
        let (mut fields, ..) = Fields::full("stss", table)?;
        let rows = fields.rows(4)?;
        Ok(Keyframes { fields, rows, next: 0 })
    }

    /// Returns whether this sample is a keyframe. Must be called with ascending numbers.
    fn has(&mut self, number: usize) -> bool {
        while self.next < number && self.rows > 0 {
            self.rows -= 1;
            self.next = self.fields.u32().map_or(usize::MAX, |next| next as usize);
        }
        self.next == number
    }
}

/// `stsc` and `stco` or `co64`: samples are consecutive within chunks, and chunks can be anywhere.
struct Chunks<'a> {
    places: Fields<'a>,
    large: bool,
    /// Number of chunks that have not begun.
    chunks: usize,
    /// Number of the chunk that began last, from 1.
    number: u32,
    rows: Fields<'a>,
    rows_left: usize,
    /// The first chunk of the next row.
    next_row: u32,
    /// Samples per chunk in the current row.
    each: u32,
    left: u32,
    at: u64,
}

impl<'a> Chunks<'a> {
    fn new(stbl: &'a [u8]) -> Result<Chunks<'a>, Unfit> {
        let (table, large) = match child(stbl, b"stco")? {
            Some(table) => (table, false),
            None => (needed(stbl, "co64").map_err(|_| Unfit::Missing("stco"))?, true),
        };
        let (mut places, ..) = Fields::full("stco", table)?;
        let chunks = places.rows(if large { 8 } else { 4 })?;
        let (mut rows, ..) = Fields::full("stsc", needed(stbl, "stsc")?)?;
        let rows_left = rows.rows(12)?;
        Ok(Chunks { places, large, chunks, number: 0, rows, rows_left, next_row: 1, each: 0, left: 0, at: 0 })
    }

    /// The position of the next sample, which has `size` bytes.
    fn next(&mut self, size: u32) -> Result<u64, Unfit> {
        while self.left == 0 {
            self.chunks = self.chunks.checked_sub(1).ok_or(Unfit::Tables("stco"))?;
            self.at = if self.large { self.places.u64()? } else { self.places.u32()?.into() };
            self.number += 1;
            if self.number == self.next_row {
                self.row()?;
            }
            self.left = self.each;
        }
        self.left -= 1;
        let at = self.at;
        self.at = at.checked_add(size.into()).ok_or(Unfit::Outside)?;
        Ok(at)
    }

    fn row(&mut self) -> Result<(), Unfit> {
        self.rows_left = self.rows_left.checked_sub(1).ok_or(Unfit::Tables("stsc"))?;
        // The row must begin with this chunk: the first row with chunk 1, the others with the chunk that
        // `next_row` read ahead.
        if self.rows.u32()? != self.number {
            return Err(Unfit::Tables("stsc"));
        }
        self.each = self.rows.u32()?;
        if self.rows.u32()? != 1 {
            return Err(Unfit::SecondEntry);
        }
        let mut ahead = self.rows;
        self.next_row = if self.rows_left > 0 { ahead.u32()? } else { u32::MAX };
        Ok(())
    }
}
