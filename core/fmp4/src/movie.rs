//! An ordinary MP4 of frames from many fragments: all tables in front, and one `mdat`, so that a player begins before it has the
//! whole file, seeks where it likes, and shows exactly what was asked for. The frames are not in here: whoever has them lays them
//! behind it, chunk by chunk.
//!
//! What a fragmented file cannot say, this one does: an edit list leaves out the frames between a keyframe and the moment at which
//! a clip begins, and each frame may be coded as it is (docs/decisions/0005-export-sample-entries.md).

use mp4_atom::{
    Atom, Avc1, Avc3, Avcc, Co64, Codec as SampleEntry, Ctts, CttsEntry, Edts, Elst, ElstEntry, Encode, Ftyp,
    Hdlr, Mdhd, Mdia, Moov, Mvhd, Stbl, Stco, Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts,
    SttsEntry, Tkhd, Trak,
};

use crate::codec::entry;
use crate::fragment::TRACK_ID;
use crate::header::video;
use crate::{Codec, Error, SampleInfo, TIMESCALE, VideoConfig, ticks};

/// Size, name and 64-bit size.
const MDAT_HEADER: u64 = 16;
/// What tables may take before offsets of 32 bits no longer reach: far more than any has.
const TABLES: u64 = 256 << 20;
/// H.264's access unit delimiter, which must stay in front.
const ACCESS_UNIT_DELIMITER: u8 = 9;

/// Frames that lie one behind the other, all coded in one way. Times are the file's own; sizes are those that the frames have in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which of the configurations.
    pub config: usize,
    pub samples: Vec<SampleInfo>,
}

/// A stretch of the file's time that is shown; what lies between two is only decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    pub from_ns: u64,
    pub duration_ns: u64,
}

/// Everything that precedes the frames. With several configurations each keyframe must have its [`ParameterSets`] in it.
///
/// A frame lasts until the next one is decoded, whatever its own duration says; only the last one's is taken at its word.
pub fn movie(configs: &[VideoConfig], chunks: &[Chunk], edits: &[Edit]) -> Result<Vec<u8>, Error> {
    let payload: u64 = chunks.iter().map(Chunk::size).sum();
    let is_wide = payload + TABLES > u64::from(u32::MAX);
    // How long the tables are does not depend on what the offsets say: write once to learn it.
    let head = tables(configs, chunks, edits, is_wide, 0)?;
    let mut head = tables(configs, chunks, edits, is_wide, head.len() as u64 + MDAT_HEADER)?;
    head.extend(1u32.to_be_bytes());
    head.extend(b"mdat");
    head.extend((payload + MDAT_HEADER).to_be_bytes());
    Ok(head)
}

/// What a keyframe of H.264 has to bring along in a file of several configurations. Of other codecs, nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterSets {
    /// Each behind its length.
    pub bytes: Vec<u8>,
    /// Bytes of a NAL unit's length.
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

    /// How many bytes of a keyframe come before them; `start` is how it begins.
    pub fn place(&self, start: &[u8]) -> usize {
        match start.split_at_checked(self.length_size) {
            Some((length, [kind, ..])) if kind & 0x1f == ACCESS_UNIT_DELIMITER => {
                self.length_size + length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
            }
            _ => 0,
        }
    }

    /// What [`ParameterSets::place`] has to see of a keyframe, in bytes.
    pub const START: usize = 5;
}

impl Chunk {
    fn size(&self) -> u64 {
        self.samples.iter().map(|sample| sample.size as u64).sum()
    }
}

/// `ftyp` and `moov`, with the first chunk at byte `at` of the file.
fn tables(
    configs: &[VideoConfig],
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
    let (times, end) = times(chunks)?;
    let stbl = Stbl {
        stsd: Stsd { codecs: entries(configs)? },
        stts: Stts { entries: times },
        ctts: shifts(chunks)?,
        stss: keyframes(chunks),
        stsc: Stsc { entries: chunk_runs(chunks) },
        stsz: Stsz { samples: StszSamples::Different { sizes: sizes(chunks)? } },
        ..offsets(chunks, is_wide, at)
    };
    let shown = edits.iter().map(|edit| ticks(edit.duration_ns)).sum();
    let edit = |edit: &Edit| ElstEntry {
        segment_duration: ticks(edit.duration_ns),
        media_time: Some(ticks(edit.from_ns)),
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
            mdhd: Mdhd {
                timescale: TIMESCALE,
                duration: end,
                language: "und".to_owned(),
                ..Default::default()
            },
            hdlr: Hdlr { handler: b"vide".into(), name: "video".to_owned() },
            minf: video(stbl),
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

/// One as it is; several of H.264 so that keyframes may bring their parameter sets along.
fn entries(configs: &[VideoConfig]) -> Result<Vec<SampleEntry>, Error> {
    let entries = configs.iter().map(entry).collect::<Result<Vec<_>, Error>>()?;
    if entries.len() < 2 {
        return Ok(entries);
    }
    let with_sets = |entry| match entry {
        SampleEntry::Avc1(Avc1 { visual, avcc, .. }) => Avc3 { visual, avcc, ..Default::default() }.into(),
        other => other,
    };
    Ok(entries.into_iter().map(with_sets).collect())
}

fn all(chunks: &[Chunk]) -> impl Iterator<Item = &SampleInfo> {
    chunks.iter().flat_map(|chunk| &chunk.samples)
}

/// Decode durations, and what they add up to. A frame lasts a tick at least: players dislike two at one time.
fn times(chunks: &[Chunk]) -> Result<(Vec<SttsEntry>, u64), Error> {
    let mut deltas = Vec::new();
    let mut total = 0;
    let mut samples = all(chunks).enumerate().peekable();
    while let Some((index, sample)) = samples.next() {
        let end = match samples.peek() {
            Some((_, next)) => next.dts_ns,
            None => sample.dts_ns.saturating_add(sample.duration_ns),
        };
        let delta = ticks(end).saturating_sub(total).max(1);
        deltas.push(u32::try_from(delta).map_err(|_| Error::TimeRange { index })?);
        total += delta;
    }
    Ok((
        runs(deltas).map(|(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta }).collect(),
        total,
    ))
}

/// From being decoded to being shown, where the order is not the same.
fn shifts(chunks: &[Chunk]) -> Result<Option<Ctts>, Error> {
    if all(chunks).all(|sample| sample.pts_ns == sample.dts_ns) {
        return Ok(None);
    }
    let shift = |(index, sample): (usize, &SampleInfo)| {
        let shift = i128::from(ticks(sample.pts_ns)) - i128::from(ticks(sample.dts_ns));
        i32::try_from(shift).map_err(|_| Error::TimeRange { index })
    };
    let shifts = all(chunks).enumerate().map(shift).collect::<Result<Vec<_>, _>>()?;
    let entries = runs(shifts)
        .map(|(sample_count, shift)| CttsEntry { sample_count, sample_offset: shift.into() })
        .collect();
    Ok(Some(Ctts { entries }))
}

/// `None`: all are, which is what a file without the box says.
fn keyframes(chunks: &[Chunk]) -> Option<Stss> {
    let entries: Vec<u32> =
        (1..).zip(all(chunks)).filter(|(_, sample)| sample.keyframe).map(|(number, _)| number).collect();
    (entries.len() < all(chunks).count()).then_some(Stss { entries })
}

fn sizes(chunks: &[Chunk]) -> Result<Vec<u32>, Error> {
    all(chunks).map(|sample| u32::try_from(sample.size).map_err(|_| Error::TooLarge)).collect()
}

/// An entry wherever the number of samples or the configuration changes.
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

/// Where each chunk lies. Offsets of 32 bits are read by more players and are enough for most.
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

/// Equal neighbors with their count.
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
