//! The `moov` of the export: the recording's samples in the tables of an ordinary MP4.
//!
//! Time zero is that of the recording. A track that begins later has an empty edit; a gap is filled by the
//! last frame before it. So every frame has its time in the recording. A new codec configuration gets another
//! sample entry (docs/decisions/0005-export-sample-entries.md).

use deskreel_sdk::prelude::*;
use mp4_atom::{
    Co64, Ctts, CttsEntry, Edts, Elst, ElstEntry, Hdlr, Ilst, Mdhd, Mdia, Meta, Minf, Moov, Mvhd, Stbl, Stco,
    Stsc, StscEntry, Stsd, Stss, Stsz, StszSamples, Stts, SttsEntry, Tkhd, Tool, Trak, Udta,
};

use crate::media::{Media, Sample};

/// Ticks per second of the movie itself, the unit of edits.
const TIMESCALE: u32 = 90_000;
/// Ticks per second of a track with a frame that lasts longer than its own timescale can express: 13 hours at
/// 90 kHz, 49 days and 136 years at these.
const COARSER: [u32; 2] = [1000, 1];
/// FFmpeg reads durations in the last seconds of the 32 bits as negative ones.
const NEGATIVE_S: u32 = 10;

/// `offsets` are those of each track's chunks in the file.
pub fn moov(recording: &str, tracks: &[Media], offsets: &[Vec<u64>]) -> Result<Moov> {
    let traks = (1..).zip(tracks.iter().zip(offsets)).map(|(id, (media, offsets))| trak(id, media, offsets));
    let trak = traks.collect::<Result<Vec<_>>>()?;
    Ok(Moov {
        mvhd: Mvhd {
            timescale: TIMESCALE,
            duration: trak.iter().map(|trak| trak.tkhd.duration).max().unwrap_or(0),
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: trak.len() as u32 + 1,
            ..Default::default()
        },
        udta: Some(label(recording)),
        trak,
        ..Default::default()
    })
}

fn trak(id: u32, media: &Media, offsets: &[u64]) -> Result<Trak> {
    let times = Times::of(media)?;
    let template = &media.template;
    let edits = edits(media, &times);
    let tkhd = Tkhd {
        track_id: id,
        duration: edits.iter().map(|edit| edit.segment_duration).sum(),
        enabled: true,
        in_movie: true,
        ..template.tkhd.clone()
    };
    let mdhd = Mdhd {
        timescale: times.scale,
        duration: times.total,
        language: template.mdia.mdhd.language.clone(),
        ..Default::default()
    };
    Ok(Trak {
        tkhd,
        edts: Some(Edts { elst: Some(Elst { entries: edits }) }),
        mdia: Mdia {
            mdhd,
            hdlr: template.mdia.hdlr.clone(),
            minf: Minf { stbl: stbl(media, times, offsets), ..template.mdia.minf.clone() },
        },
        ..Default::default()
    })
}

/// Decode durations and their sum.
struct Times {
    /// Ticks per second: the media's own, or fewer.
    scale: u32,
    deltas: Vec<u32>,
    total: u64,
}

impl Times {
    /// A frame lasts until the next one. If a part begins before the last frame of the previous part ends,
    /// the duration of that frame was an estimate and is cut. A frame lasts at least one tick: players
    /// dislike two frames at the same time.
    fn of(media: &Media) -> Result<Times> {
        let scale = scale(media);
        let start = media.samples.first().map_or(0, |first| rescaled(first.decode, media.timescale, scale));
        let mut times = Times { scale, deltas: Vec::with_capacity(media.samples.len()), total: 0 };
        for (_, end) in frames(media) {
            let end = rescaled(end, media.timescale, scale);
            let delta = end.saturating_sub(start).saturating_sub(times.total).max(1);
            let beyond = |_| PluginError::failed("a frame lasts longer than 136 years");
            times.deltas.push(u32::try_from(delta).map_err(beyond)?);
            times.total += delta;
        }
        Ok(times)
    }
}

/// Each frame's decode time and end, which is the next one's decode time.
fn frames(media: &Media) -> impl Iterator<Item = (u64, u64)> {
    let ends = media.samples.iter().skip(1).map(|next| Some(next.decode)).chain([None]);
    media.samples.iter().zip(ends).map(|(sample, next)| {
        let own = sample.decode.saturating_add(sample.duration.into());
        (sample.decode, next.unwrap_or(own))
    })
}

/// The finest timescale at which the longest frame's duration has 32 bits.
fn scale(media: &Media) -> u32 {
    let longest = frames(media).map(|(from, end)| end.saturating_sub(from)).max().unwrap_or(0);
    // Rounding adds a tick at most.
    let most = |scale: u32| u64::from(u32::MAX.saturating_sub(scale.saturating_mul(NEGATIVE_S)));
    let fits = |scale: &u32| rescaled(longest, media.timescale, *scale) < most(*scale);
    let coarser = COARSER.into_iter().filter(|scale| *scale < media.timescale);
    std::iter::once(media.timescale).chain(coarser).find(fits).unwrap_or(1)
}

/// The nearest tick of another timescale.
fn rescaled(ticks: u64, from: u32, to: u32) -> u64 {
    let from = u128::from(from.max(1));
    u64::try_from((u128::from(ticks) * u128::from(to) + from / 2) / from).unwrap_or(u64::MAX)
}

/// An empty edit until the first frame is shown, then one with all footage.
fn edits(media: &Media, times: &Times) -> Vec<ElstEntry> {
    let scaled = |ticks: u64| rescaled(ticks, media.timescale, times.scale);
    let shown = |sample: &Sample| scaled(sample.decode.saturating_add_signed(sample.offset.into()));
    let decode = media.samples.first().map_or(0, |first| scaled(first.decode));
    let begin = media.samples.iter().map(shown).min().unwrap_or(0);
    let end_of = |(sample, delta): (&Sample, &u32)| shown(sample) + u64::from(*delta);
    let end = media.samples.iter().zip(&times.deltas).map(end_of).max().unwrap_or(0);
    let movie = |ticks: u64| rescaled(ticks, times.scale, TIMESCALE);
    let footage = ElstEntry {
        segment_duration: movie(end - begin),
        media_time: Some(begin.saturating_sub(decode)),
        media_rate: 1.into(),
    };
    let wait = ElstEntry { segment_duration: movie(begin), media_time: None, media_rate: 1.into() };
    if begin == 0 { vec![footage] } else { vec![wait, footage] }
}

fn stbl(media: &Media, times: Times, offsets: &[u64]) -> Stbl {
    let samples = &media.samples;
    let numbered = (1..).zip(samples);
    let keyframes: Vec<u32> =
        numbered.filter(|(_, sample)| sample.keyframe).map(|(number, _)| number).collect();
    let reordered = samples.iter().any(|sample| sample.offset != 0);
    let stts =
        runs(times.deltas).map(|(sample_count, sample_delta)| SttsEntry { sample_count, sample_delta });
    // In another timescale, the difference of two converted times.
    let scaled = |ticks: u64| rescaled(ticks, media.timescale, times.scale);
    let shift = |sample: &Sample| {
        let shown = scaled(sample.decode.saturating_add_signed(sample.offset.into()));
        let shift = i128::from(shown) - i128::from(scaled(sample.decode));
        i32::try_from(shift).unwrap_or(sample.offset)
    };
    let ctts = runs(samples.iter().map(|sample| shift(sample).into()))
        .map(|(sample_count, sample_offset)| CttsEntry { sample_count, sample_offset });
    let sizes = media.chunks.iter().flat_map(|chunk| media.samples_of(chunk)).map(|(_, size)| size).collect();
    // More players read 32-bit offsets, which suffice for most recordings.
    let narrow: Option<Vec<u32>> = offsets.iter().map(|at| u32::try_from(*at).ok()).collect();
    Stbl {
        stsd: Stsd { codecs: media.entries.iter().map(|entry| entry.codec.clone()).collect() },
        stts: Stts { entries: stts.collect() },
        ctts: reordered.then(|| Ctts { entries: ctts.collect() }),
        // Without the box, every sample is a keyframe.
        stss: (keyframes.len() < samples.len()).then_some(Stss { entries: keyframes }),
        stsc: Stsc { entries: chunk_runs(media) },
        stsz: Stsz { samples: StszSamples::Different { sizes } },
        co64: narrow.is_none().then(|| Co64 { entries: offsets.to_vec() }),
        stco: narrow.map(|entries| Stco { entries }),
        ..Default::default()
    }
}

/// An entry for each change of the number of samples or of the codec configuration.
fn chunk_runs(media: &Media) -> Vec<StscEntry> {
    let mut entries: Vec<StscEntry> = Vec::new();
    for (first_chunk, chunk) in (1..).zip(&media.chunks) {
        let samples_per_chunk = chunk.samples.len() as u32;
        let sample_description_index = chunk.entry as u32 + 1;
        let same = entries.last().is_some_and(|last| {
            last.samples_per_chunk == samples_per_chunk
                && last.sample_description_index == sample_description_index
        });
        if !same {
            entries.push(StscEntry { first_chunk, samples_per_chunk, sample_description_index });
        }
    }
    entries
}

/// Groups equal neighbors, with their count.
fn runs<T: PartialEq + Copy>(values: impl IntoIterator<Item = T>) -> impl Iterator<Item = (u32, T)> {
    let mut values = values.into_iter().peekable();
    std::iter::from_fn(move || {
        let value = values.next()?;
        let mut count = 1;
        while values.next_if(|next| *next == value).is_some() {
            count += 1;
        }
        Some((count, value))
    })
}

/// Names the recording, for people and for the next export.
fn label(recording: &str) -> Udta {
    let mut meta = Meta { hdlr: Hdlr { handler: b"mdir".into(), name: String::new() }, items: Vec::new() };
    let tool = Tool { country_indicator: 0, language_indicator: 0, text: format!("{LABEL}{recording}") };
    meta.push(Ilst { ctoo: Some(tool), ..Default::default() });
    Udta { meta: Some(meta), ..Default::default() }
}

const LABEL: &str = "Deskreel recording ";

/// The recording named in a movie.
pub fn recording_of(moov: &Moov) -> Option<&str> {
    let ilst = moov.udta.as_ref()?.meta.as_ref()?.get::<Ilst>()?;
    ilst.ctoo.as_ref()?.text.strip_prefix(LABEL)
}
