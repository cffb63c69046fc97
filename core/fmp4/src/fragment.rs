//! `moof` + `mdat`: about a second of one track.

use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use crate::{Error, ticks};

pub(crate) const TRACK_ID: u32 = 1;

/// Length of a box's size and name, in bytes.
pub(crate) const BOX_HEADER: usize = 8;

/// `sample_flags` (ISO/IEC 14496-12, 8.8.3.1) of a sample that depends on no other.
pub(crate) const KEYFRAME: u32 = 0x0200_0000;
/// `sample_flags` of a sample that depends on others and is not a sync sample.
pub(crate) const DELTA_FRAME: u32 = 0x0101_0000;
/// The flag of a sample that is not a sync sample.
pub(crate) const NON_SYNC: u32 = 0x0001_0000;

/// One encoded frame, its NAL units preceded by their lengths, as in `avc1`. Times are on the recording's
/// timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    pub pts_ns: u64,
    pub dts_ns: u64,
    pub duration_ns: u64,
    pub keyframe: bool,
    pub data: &'a [u8],
}

/// A [`Sample`] without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleInfo {
    pub pts_ns: u64,
    pub dts_ns: u64,
    pub duration_ns: u64,
    pub keyframe: bool,
    /// Bytes.
    pub size: usize,
}

impl Sample<'_> {
    pub fn info(&self) -> SampleInfo {
        SampleInfo {
            pts_ns: self.pts_ns,
            dts_ns: self.dts_ns,
            duration_ns: self.duration_ns,
            keyframe: self.keyframe,
            size: self.data.len(),
        }
    }
}

/// A whole fragment. Copies the payload once; [`fragment_header`] avoids even that.
pub fn fragment(sequence: u32, samples: &[Sample<'_>]) -> Result<Vec<u8>, Error> {
    let infos: Vec<_> = samples.iter().map(Sample::info).collect();
    let mut bytes = fragment_header(sequence, &infos)?;
    bytes.reserve_exact(infos.iter().map(|info| info.size).sum());
    samples.iter().for_each(|sample| bytes.extend_from_slice(sample.data));
    Ok(bytes)
}

/// The part of a fragment that precedes the payload: the `moof` and the first eight bytes of the `mdat`. The
/// samples' data, in this order, completes it.
///
/// A sample lasts until the next one is decoded, whatever its own duration says; only the last sample's
/// duration counts. A hole in the footage therefore ends a fragment.
pub fn fragment_header(sequence: u32, samples: &[SampleInfo]) -> Result<Vec<u8>, Error> {
    let first = samples.first().ok_or(Error::Empty)?;
    let payload: usize = samples.iter().map(|sample| sample.size).sum();
    let mdat = u32::try_from(payload + BOX_HEADER).map_err(|_| Error::TooLarge)?;

    let mut moof = Moof {
        mfhd: Mfhd { sequence_number: sequence },
        traf: vec![Traf {
            tfhd: Tfhd { track_id: TRACK_ID, default_base_is_moof: true, ..Default::default() },
            tfdt: Some(Tfdt { base_media_decode_time: ticks(first.dts_ns) }),
            trun: vec![Trun { data_offset: Some(0), samples: entries(samples)?.into() }],
            ..Default::default()
        }],
    };
    // The offset counts from the moof's first byte and its field has a fixed width: write once to learn the
    // length.
    let mut bytes = Vec::new();
    moof.encode(&mut bytes).map_err(Error::Write)?;
    let offset = i32::try_from(bytes.len() + BOX_HEADER).map_err(|_| Error::TooLarge)?;
    for run in moof.traf.iter_mut().flat_map(|traf| &mut traf.trun) {
        run.data_offset = Some(offset);
    }
    bytes.clear();
    moof.encode(&mut bytes).map_err(Error::Write)?;

    bytes.extend_from_slice(&mdat.to_be_bytes());
    bytes.extend_from_slice(b"mdat");
    Ok(bytes)
}

fn entries(samples: &[SampleInfo]) -> Result<Vec<TrunEntry>, Error> {
    let reordered = samples.iter().any(|sample| sample.pts_ns != sample.dts_ns);
    let entry = |(index, sample): (usize, &SampleInfo)| {
        let begin = ticks(sample.dts_ns);
        let end = match samples.get(index + 1) {
            Some(next) => ticks(next.dts_ns),
            None => ticks(sample.dts_ns.saturating_add(sample.duration_ns)),
        };
        let duration = end.checked_sub(begin).ok_or(Error::Order { index: index + 1 })?;
        let range = |_| Error::TimeRange { index };
        // Again a difference of absolute ticks, so that presentation times do not drift.
        let offset = i128::from(ticks(sample.pts_ns)) - i128::from(begin);
        Ok(TrunEntry {
            duration: Some(u32::try_from(duration).map_err(range)?),
            size: Some(u32::try_from(sample.size).map_err(|_| Error::TooLarge)?),
            flags: Some(if sample.keyframe { KEYFRAME } else { DELTA_FRAME }),
            cts: reordered.then(|| i32::try_from(offset)).transpose().map_err(range)?.map(i64::from),
        })
    };
    samples.iter().enumerate().map(entry).collect()
}
