//! An ordinary (progressive) MP4 of frames from many fragments: all tables in front, and one `mdat`, so that
//! a player can begin before it has the whole file, seek anywhere, and show exactly what was asked for. The
//! frames are not written here: the caller appends them, chunk by chunk.
//!
//! Such a file can do what a fragmented one cannot: an edit list leaves out the frames between a keyframe and
//! the beginning of a clip, and each frame may keep its own codec configuration
//! (docs/decisions/0005-export-sample-entries.md).

use mp4_atom::{
    Atom, Avc1, Avc3, Avcc, Co64, Codec as SampleEntry, Ctts, CttsEntry, Edts, Elst, ElstEntry, Encode, Ftyp,
    Hdlr, Mdhd, Mdia, Moov, Mvhd, Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts,
    SttsEntry, Tkhd, Trak,
};

use crate::codec::sample_entry;
use crate::fragment::TRACK_ID;
use crate::header::video_minf;
use crate::time::ticks_at;
use crate::{Codec, Error, SampleInfo, TIMESCALE, VideoConfig, ticks};

/// Size, name and 64-bit size.
const MDAT_HEADER: u64 = 16;
/// Allowance for the tables when deciding whether offsets of 32 bits suffice: far more than any file's tables
/// take.
const TABLES: u64 = 256 << 20;
/// Type of H.264's access unit delimiter, which must stay in front.
const ACCESS_UNIT_DELIMITER: u8 = 9;

/// Ticks per second of a file's frames, the finest first. A frame's duration has 32 bits: 13 hours at the
/// first, 49 days at the second, 136 years at the last.
const TIMESCALES: [u32; 3] = [TIMESCALE, 1000, 1];
/// FFmpeg reads durations in the last seconds of the 32 bits as negative ones.
const NEGATIVE_S: u32 = 10;

/// Consecutive frames with the same codec configuration. Times and sizes are those in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Index of the configuration.
    pub config: usize,
    pub samples: Vec<SampleInfo>,
}

/// A stretch of the file's time that is shown; frames between two stretches are only decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    pub from_ns: u64,
    pub duration_ns: u64,
}

/// Everything that precedes the frames of a track of this name. With several configurations each keyframe
/// must contain its [`ParameterSets`].
///
/// A frame lasts until the next one is decoded, whatever its own duration says; only the last frame's
/// duration counts. If one lasts longer than 13 hours, the times of all are whole milliseconds.
pub fn progressive_head(
    track: &str,
    configs: &[VideoConfig],
    chunks: &[Chunk],
    edits: &[Edit],
) -> Result<Vec<u8>, Error> {
    let payload: u64 = chunks.iter().map(Chunk::size).sum();
    let is_wide = payload + TABLES > u64::from(u32::MAX);
    // The tables' length does not depend on the offsets' values: write once to learn it.
    let head = tables((track, configs), chunks, edits, is_wide, 0)?;
    let mut head = tables((track, configs), chunks, edits, is_wide, head.len() as u64 + MDAT_HEADER)?;
    head.extend(1u32.to_be_bytes());
    head.extend(b"mdat");
    head.extend((payload + MDAT_HEADER).to_be_bytes());
    Ok(head)
}

/// Parameter sets that each H.264 keyframe must contain in a file of several configurations. Empty for other
/// codecs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSets {
    /// The parameter sets, each after its length.
    pub bytes: Vec<u8>,
    /// Size of a NAL unit's length field, in bytes.
    length_size: usize,
}

impl ParameterSets {
    pub fn of(config: &VideoConfig) -> Result<ParameterSets, Error> {
        let Codec::H264 { avcc } = &config.codec else {
            return Ok(ParameterSets { bytes: Vec::new(), length_size: 4 });
        };
        let avcc = Avcc::decode_body(&mut avcc.as_slice()).map_err(Error::Config)?;
        let length_size = usize::from(avcc.length_size).clamp(1, 4);
        let mut bytes = Vec::new();
        for set in avcc.sequence_parameter_sets.iter().chain(&avcc.picture_parameter_sets) {
            let length = (set.len() as u32).to_be_bytes();
            bytes.extend(length.iter().skip(4 - length_size));
            bytes.extend(set);
        }
        Ok(ParameterSets { bytes, length_size })
    }

    /// Returns the number of bytes of a keyframe that come before the parameter sets. `start` is the
    /// keyframe's beginning.
    pub fn place(&self, start: &[u8]) -> usize {
        match start.split_at_checked(self.length_size) {
            Some((length, [kind, ..])) if kind & 0x1f == ACCESS_UNIT_DELIMITER => {
                self.length_size + length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
            }
            _ => 0,
        }
    }

    /// Bytes of a keyframe's beginning that [`ParameterSets::place`] needs.
    pub const START: usize = 5;
}

impl Chunk {
    fn size(&self) -> u64 {
        self.samples.iter().map(|sample| sample.size as u64).sum()
    }
}

/// `ftyp` and `moov`, for a file whose first chunk is at byte `at`.
fn tables(
    (track, configs): (&str, &[VideoConfig]),
    chunks: &[Chunk],
    edits: &[Edit],
    is_wide: bool,
    at: u64,
) -> Result<Vec<u8>, Error> {
    let ftyp = Ftyp {
        major_brand: b"isom".into(),
        minor_version: 512,
        compatible_brands: vec![b"isom".into(), b"iso2".into(), b"mp41".into()],
    };
    let timescale = timescale(chunks);
    let (times, end) = times(chunks, timescale)?;
    let stbl = Stbl {
        stsd: Stsd { codecs: sample_entries(configs)? },
        stts: Stts { entries: times },
        ctts: shifts(chunks, timescale)?,
        stss: keyframes(chunks),
        stsc: Stsc { entries: chunk_runs(chunks) },
        stsz: Stsz { samples: StszSamples::Different { sizes: sizes(chunks)? } },
        ..offsets(chunks, is_wide, at)
    };
    let shown = edits.iter().map(|edit| ticks(edit.duration_ns)).sum();
    let edit = |edit: &Edit| ElstEntry {
        segment_duration: ticks(edit.duration_ns),
        media_time: Some(ticks_at(edit.from_ns, timescale)),
        media_rate: 1.into(),
    };
    let largest = |side: fn(&VideoConfig) -> u32| {
        u16::try_from(configs.iter().map(side).max().unwrap_or(0)).unwrap_or(u16::MAX).into()
    };
    let trak = Trak {
        tkhd: Tkhd {
            track_id: TRACK_ID,
            duration: shown,
            enabled: true,
            in_movie: true,
            width: largest(|config| config.width),
            height: largest(|config| config.height),
            ..Default::default()
        },
        edts: Some(Edts { elst: Some(Elst { entries: edits.iter().map(edit).collect() }) }),
        mdia: Mdia {
            mdhd: Mdhd { timescale, duration: end, language: "und".to_owned(), ..Default::default() },
            hdlr: Hdlr { handler: b"vide".into(), name: track.to_owned() },
            minf: video_minf(stbl),
        },
        ..Default::default()
    };
    let mvhd = Mvhd {
        timescale: TIMESCALE,
        duration: shown,
        rate: 1.into(),
        next_track_id: TRACK_ID + 1,
        ..Default::default()
    };
    let mut bytes = Vec::new();
    ftyp.encode(&mut bytes).map_err(Error::Write)?;
    Moov { mvhd, trak: vec![trak], ..Default::default() }.encode(&mut bytes).map_err(Error::Write)?;
    Ok(bytes)
}

/// The sample entries. Several of H.264 become `avc3`, so that keyframes may contain their parameter sets.
fn sample_entries(configs: &[VideoConfig]) -> Result<Vec<SampleEntry>, Error> {
    let entries = configs.iter().map(sample_entry).collect::<Result<Vec<_>, Error>>()?;
    if entries.len() < 2 {
        return Ok(entries);
    }
    let with_sets = |entry| match entry {
        SampleEntry::Avc1(Avc1 { visual, avcc, .. }) => Avc3 { visual, avcc, ..Default::default() }.into(),
        other => other,
    };
    Ok(entries.into_iter().map(with_sets).collect())
}

fn all_samples(chunks: &[Chunk]) -> impl Iterator<Item = &SampleInfo> {
    chunks.iter().flat_map(|chunk| &chunk.samples)
}

/// The times at which frames end: when the next one is decoded.
fn ends(chunks: &[Chunk]) -> impl Iterator<Item = u64> {
    let mut samples = all_samples(chunks).peekable();
    std::iter::from_fn(move || {
        let sample = samples.next()?;
        let own = sample.dts_ns.saturating_add(sample.duration_ns);
        Some(samples.peek().map_or(own, |next| next.dts_ns))
    })
}

/// The finest timescale at which the longest frame's duration fits its field.
fn timescale(chunks: &[Chunk]) -> u32 {
    let frames = all_samples(chunks).zip(ends(chunks));
    let longest = frames.map(|(sample, end)| end.saturating_sub(sample.dts_ns)).max().unwrap_or(0);
    // Rounding adds a tick at most.
    let most = |timescale: u32| u64::from(u32::MAX - timescale * NEGATIVE_S);
    let fits = |timescale: &&u32| ticks_at(longest, **timescale) < most(**timescale);
    TIMESCALES.iter().find(fits).copied().unwrap_or(1)
}

/// Decode durations, and their sum. A frame lasts at least one tick: players dislike two frames at the same
/// time.
fn times(chunks: &[Chunk], timescale: u32) -> Result<(Vec<SttsEntry>, u64), Error> {
    let mut deltas = Vec::new();
    let mut total = 0;
    for (index, end) in ends(chunks).enumerate() {
        let delta = ticks_at(end, timescale).saturating_sub(total).max(1);
        deltas.push(u32::try_from(delta).map_err(|_| Error::TimeRange { index })?);
        total += delta;
    }
    Ok((
        runs(deltas).map(|(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta }).collect(),
        total,
    ))
}

/// Offsets from decoding to presentation, if any frames are reordered.
fn shifts(chunks: &[Chunk], timescale: u32) -> Result<Option<Ctts>, Error> {
    if all_samples(chunks).all(|sample| sample.pts_ns == sample.dts_ns) {
        return Ok(None);
    }
    let shift = |(index, sample): (usize, &SampleInfo)| {
        let ticks = |ns| i128::from(ticks_at(ns, timescale));
        let shift = ticks(sample.pts_ns) - ticks(sample.dts_ns);
        i32::try_from(shift).map_err(|_| Error::TimeRange { index })
    };
    let shifts = all_samples(chunks).enumerate().map(shift).collect::<Result<Vec<_>, _>>()?;
    let entries = runs(shifts)
        .map(|(sample_count, shift)| CttsEntry { sample_count, sample_offset: shift.into() })
        .collect();
    Ok(Some(Ctts { entries }))
}

/// The keyframes. `None` if all frames are keyframes, which is what a missing box means.
fn keyframes(chunks: &[Chunk]) -> Option<Stss> {
    let entries: Vec<u32> = (1..)
        .zip(all_samples(chunks))
        .filter(|(_, sample)| sample.keyframe)
        .map(|(number, _)| number)
        .collect();
    (entries.len() < all_samples(chunks).count()).then_some(Stss { entries })
}

fn sizes(chunks: &[Chunk]) -> Result<Vec<u32>, Error> {
    all_samples(chunks).map(|sample| u32::try_from(sample.size).map_err(|_| Error::TooLarge)).collect()
}

/// One entry wherever the number of samples or the configuration changes.
fn chunk_runs(chunks: &[Chunk]) -> Vec<StscEntry> {
    let mut entries: Vec<StscEntry> = Vec::new();
    for (first_chunk, chunk) in (1..).zip(chunks) {
        let entry = StscEntry {
            first_chunk,
            samples_per_chunk: chunk.samples.len() as u32,
            sample_description_index: chunk.config as u32 + 1,
        };
        let same = |last: &StscEntry| StscEntry { first_chunk: last.first_chunk, ..entry.clone() } == *last;
        if !entries.last().is_some_and(same) {
            entries.push(entry);
        }
    }
    entries
}

/// The offset of each chunk. More players read 32-bit offsets, which suffice for most files.
fn offsets(chunks: &[Chunk], is_wide: bool, at: u64) -> Stbl {
    let offsets = chunks.iter().scan(at, |at, chunk| {
        let own = *at;
        *at += chunk.size();
        Some(own)
    });
    match is_wide {
        true => Stbl { co64: Some(Co64 { entries: offsets.collect() }), ..Default::default() },
        false => {
            Stbl { stco: Some(Stco { entries: offsets.map(|at| at as u32).collect() }), ..Default::default() }
        }
    }
}

/// Runs of equal neighbors, with their counts.
fn runs<T: PartialEq>(values: Vec<T>) -> impl Iterator<Item = (u32, T)> {
    let mut values = values.into_iter().peekable();
    std::iter::from_fn(move || {
        let value = values.next()?;
        let mut count = 1;
        while values.next_if_eq(&value).is_some() {
            count += 1;
        }
        Some((count, value))
    })
}
