//! Reads back what this crate wrote. Strict: bytes that it would not have written are refused with a reason,
//! and no file content can make it panic.

use mp4_atom::{Atom, Moof, Moov, TrunEntry};

use crate::codec::read_sample_entry;
use crate::fragment::{BOX_HEADER, NON_SYNC, TRACK_ID};
use crate::{Error, Sample, SampleInfo, VideoConfig, nanos};

/// The content of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FragmentInfo {
    pub sequence: u32,
    /// When the first sample is decoded, on the recording's timeline.
    pub start_ns: u64,
    /// Time from `start_ns` to the end of the last sample.
    pub duration_ns: u64,
    /// Samples in file order, which is decoding order.
    pub samples: Vec<SampleInfo>,
    /// Position of the first sample's data; the others follow without holes.
    pub payload: usize,
}

impl FragmentInfo {
    /// The samples with their data. `bytes` is the fragment that this was read from.
    pub fn samples_in<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = Sample<'a>> {
        let mut at = self.payload;
        self.samples.iter().map_while(move |info| {
            let data = bytes.get(at..at.checked_add(info.size)?)?;
            at += info.size;
            let SampleInfo { pts_ns, dts_ns, duration_ns, keyframe, .. } = *info;
            Some(Sample { pts_ns, dts_ns, duration_ns, keyframe, data })
        })
    }
}

/// The content of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderInfo {
    pub timescale: u32,
    pub config: VideoConfig,
}

pub fn read_header(bytes: &[u8]) -> Result<HeaderInfo, Error> {
    let (_, at) = boxed(bytes, 0, "ftyp")?;
    let (moov, end) = boxed(bytes, at, "moov")?;
    if end != bytes.len() {
        return Err(Error::NotOurs("there is something after the header"));
    }
    let moov = Moov::decode_body(&mut &*moov).map_err(|source| Error::Read { name: "moov", source })?;
    let [trak] = moov.trak.as_slice() else {
        return Err(Error::NotOurs("header does not have exactly one track"));
    };
    let [entry] = trak.mdia.minf.stbl.stsd.codecs.as_slice() else {
        return Err(Error::NotOurs("header does not have exactly one sample entry"));
    };
    Ok(HeaderInfo { timescale: trak.mdia.mdhd.timescale, config: read_sample_entry(entry)? })
}

pub fn read_fragment(bytes: &[u8]) -> Result<FragmentInfo, Error> {
    read_fragment_start(bytes, bytes.len() as u64)
}

/// The same for the beginning of a fragment: the bytes up to the samples' data suffice. `size` is that of the
/// whole fragment.
pub fn read_fragment_start(bytes: &[u8], size: u64) -> Result<FragmentInfo, Error> {
    let (moof, mdat_at) = boxed(bytes, 0, "moof")?;
    let mdat = boxed_start(bytes, mdat_at, "mdat")?;
    let payload = mdat_at + BOX_HEADER;
    if mdat_at as u64 + mdat != size {
        return Err(match mdat_at as u64 + mdat > size {
            true => Error::Torn { name: "mdat", at: mdat_at },
            false => Error::NotOurs("there is something after the fragment"),
        });
    }
    let moof = Moof::decode_body(&mut &*moof).map_err(|source| Error::Read { name: "moof", source })?;
    let [traf] = moof.traf.as_slice() else {
        return Err(Error::NotOurs("fragment does not have exactly one track"));
    };
    let (Some(tfdt), [run]) = (&traf.tfdt, traf.trun.as_slice()) else {
        return Err(Error::NotOurs("fragment does not have one start time and one run of samples"));
    };
    if traf.tfhd.track_id != TRACK_ID || run.samples.is_empty() {
        return Err(Error::NotOurs("fragment has another track or no samples"));
    }
    if run.data_offset.and_then(|offset| usize::try_from(offset).ok()) != Some(payload) {
        return Err(Error::NotOurs("samples do not begin where the mdat begins"));
    }

    let start = tfdt.base_media_decode_time;
    let mut decode = start;
    // At most as many as the moof has room for: mp4-atom bounds explicit entries by the existing bytes, and
    // the first entry without a size of its own is refused.
    let mut samples = Vec::new();
    for (index, entry) in run.samples.iter().enumerate() {
        let (sample, next) = sample(index, decode, &entry)?;
        samples.push(sample);
        decode = next;
    }
    if samples.iter().map(|sample| sample.size as u64).sum::<u64>() != mdat - BOX_HEADER as u64 {
        return Err(Error::NotOurs("samples do not fill the mdat"));
    }
    Ok(FragmentInfo {
        sequence: moof.mfhd.sequence_number,
        start_ns: nanos(start),
        duration_ns: nanos(decode) - nanos(start),
        samples,
        payload,
    })
}

/// The sample that is decoded at tick `decode`, and the tick at which it ends.
fn sample(index: usize, decode: u64, entry: &TrunEntry) -> Result<(SampleInfo, u64), Error> {
    let (Some(duration), Some(size), Some(flags)) = (entry.duration, entry.size, entry.flags) else {
        return Err(Error::NotOurs("sample without a duration, size and flags of its own"));
    };
    let range = || Error::TimeRange { index };
    let end = decode.checked_add(duration.into()).ok_or_else(range)?;
    let shown = decode.checked_add_signed(entry.cts.unwrap_or(0)).ok_or_else(range)?;
    let info = SampleInfo {
        pts_ns: nanos(shown),
        dts_ns: nanos(decode),
        duration_ns: nanos(end) - nanos(decode),
        keyframe: flags & NON_SYNC == 0,
        size: size as usize,
    };
    Ok((info, end))
}

/// The body of the box `name` at byte `at`, and where the box ends.
fn boxed<'a>(bytes: &'a [u8], at: usize, name: &'static str) -> Result<(&'a [u8], usize), Error> {
    let torn = || Error::Torn { name, at };
    let size = boxed_start(bytes, at, name)?;
    let end = usize::try_from(size).ok().and_then(|size| at.checked_add(size)).ok_or_else(torn)?;
    let body = bytes.get(at + BOX_HEADER..end).ok_or_else(torn)?;
    Ok((body, end))
}

/// The size that the box `name` at byte `at` declares.
fn boxed_start(bytes: &[u8], at: usize, name: &'static str) -> Result<u64, Error> {
    let torn = || Error::Torn { name, at };
    let head = bytes.get(at..).and_then(|rest| rest.first_chunk::<BOX_HEADER>()).ok_or_else(torn)?;
    let [s0, s1, s2, s3, kind @ ..] = *head;
    if kind != *name.as_bytes() {
        let found = kind.escape_ascii().to_string();
        return Err(Error::UnexpectedBox { expected: name, found, at });
    }
    match u32::from_be_bytes([s0, s1, s2, s3]).into() {
        size if size < BOX_HEADER as u64 => Err(torn()),
        size => Ok(size),
    }
}
