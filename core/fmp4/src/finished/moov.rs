//! A `moov`'s description of the video, apart from the tables of samples.

use super::Unfit;
use super::boxes::{Fields, box_name, boxes, child, needed};
use super::sample_entry::read_config;
use crate::VideoConfig;

/// The first video track of a file.
#[derive(Debug)]
pub struct VideoTrack<'a> {
    pub track: u32,
    /// Ticks per second.
    pub timescale: u32,
    pub config: VideoConfig,
    /// Ticks of the track that the edit list leaves out at the start.
    pub trimmed: i64,
    /// Time before the track begins, in which nothing is shown.
    pub delay_ns: u64,
    pub stbl: &'a [u8],
    pub defaults: Defaults,
    /// The other tracks, such as `audio (mp4a)`.
    pub left_out: Vec<String>,
}

/// Values of samples in fragments that do not specify their own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Defaults {
    pub duration: u32,
    pub size: u32,
    pub flags: u32,
}

impl<'a> VideoTrack<'a> {
    pub fn read(moov: &'a [u8]) -> Result<VideoTrack<'a>, Unfit> {
        let (mut found, mut left_out) = (None, Vec::new());
        for trak in boxes(moov) {
            let trak = trak?;
            if trak.kind != *b"trak" {
                continue;
            }
            let mdia = needed(trak.body, "mdia")?;
            let handler = handler(mdia)?;
            if handler == *b"vide" && found.is_none() {
                found = Some((trak.body, mdia));
            } else {
                left_out.push(described(handler, mdia));
            }
        }
        let (trak, mdia) = found.ok_or(Unfit::NoVideo)?;
        let minf = needed(mdia, "minf")?;
        let stbl = needed(minf, "stbl")?;
        let config = read_config(needed(stbl, "stsd")?)?;
        check_data_references(minf)?;
        let (mut tkhd, version, _) = Fields::full("tkhd", needed(trak, "tkhd")?)?;
        tkhd.skip(if version == 1 { 16 } else { 8 })?;
        let track = tkhd.u32()?;
        let timescale = timescale("mdhd", mdia)?;
        let (trimmed, delay) = edits(trak)?;
        let delay_ns = u128::from(delay) * 1_000_000_000 / u128::from(self::timescale("mvhd", moov)?);
        let delay_ns = u64::try_from(delay_ns).map_err(|_| Unfit::TooLong)?;
        let defaults = defaults(moov, track)?;
        Ok(VideoTrack { track, timescale, config, trimmed, delay_ns, stbl, defaults, left_out })
    }
}

fn handler(mdia: &[u8]) -> Result<[u8; 4], Unfit> {
    let (mut hdlr, ..) = Fields::full("hdlr", needed(mdia, "hdlr")?)?;
    hdlr.skip(4)?;
    hdlr.kind()
}

/// A track's description for people. A track that cannot be read does not matter, since it is left out.
fn described(handler: [u8; 4], mdia: &[u8]) -> String {
    let kind = match &handler {
        b"soun" => "audio".to_owned(),
        b"vide" => "video".to_owned(),
        b"text" | b"sbtl" | b"subt" => "text".to_owned(),
        other => box_name(*other),
    };
    let stsd =
        needed(mdia, "minf").and_then(|minf| needed(minf, "stbl")).and_then(|stbl| needed(stbl, "stsd"));
    let entry = stsd.ok().and_then(|stsd| boxes(stsd.get(8..)?).next()?.ok());
    entry.map_or(kind.clone(), |entry| format!("{kind} ({})", box_name(entry.kind)))
}

/// The timescale of `mdhd` or `mvhd`, which have it at the same place. Never 0.
fn timescale(name: &'static str, parent: &[u8]) -> Result<u32, Unfit> {
    let (mut fields, version, _) = Fields::full(name, needed(parent, name)?)?;
    fields.skip(if version == 1 { 16 } else { 8 })?;
    Some(fields.u32()?).filter(|timescale| *timescale > 0).ok_or(Unfit::Tables(name))
}

/// Checks that the samples are in this file and that no other file is named.
fn check_data_references(minf: &[u8]) -> Result<(), Unfit> {
    let Some(dref) = child(minf, b"dinf")?.map(|dinf| child(dinf, b"dref")).transpose()?.flatten() else {
        return Ok(());
    };
    let (mut fields, ..) = Fields::full("dref", dref)?;
    fields.skip(4)?;
    for one in boxes(fields.rest()) {
        let (_, _, flags) = Fields::full("dref", one?.body)?;
        if flags & 1 == 0 {
            return Err(Unfit::Elsewhere);
        }
    }
    Ok(())
}

/// Returns the length that the edit list leaves out at the start, in the track's ticks, and the time before
/// it in which nothing is shown, in the movie's ticks.
fn edits(trak: &[u8]) -> Result<(i64, u64), Unfit> {
    let Some(elst) = child(trak, b"edts")?.map(|edts| child(edts, b"elst")).transpose()?.flatten() else {
        return Ok((0, 0));
    };
    let (mut fields, version, _) = Fields::full("elst", elst)?;
    let rows = fields.rows(if version == 1 { 20 } else { 12 })?;
    let (mut trimmed, mut delay) = (None, 0u64);
    for _ in 0..rows {
        let duration = fields.by_version(version)?;
        let media_time = if version == 1 { fields.i64()? } else { fields.i32()?.into() };
        let rate = fields.u32()?;
        match (media_time, trimmed) {
            (-1, None) => delay = delay.checked_add(duration).ok_or(Unfit::TooLong)?,
            // Its end does not matter: frames that it leaves out at the end are kept.
            (0.., None) if rate == 0x1_0000 => trimmed = Some(media_time),
            _ => return Err(Unfit::Edited),
        }
    }
    match (rows, trimmed) {
        (0, _) => Ok((0, 0)),
        (_, Some(trimmed)) => Ok((trimmed, delay)),
        (_, None) => Err(Unfit::Edited),
    }
}

fn defaults(moov: &[u8], track: u32) -> Result<Defaults, Unfit> {
    let Some(mvex) = child(moov, b"mvex")? else { return Ok(Defaults::default()) };
    for one in boxes(mvex) {
        let one = one?;
        if one.kind != *b"trex" {
            continue;
        }
        let (mut fields, ..) = Fields::full("trex", one.body)?;
        if fields.u32()? == track {
            fields.skip(4)?;
            return Ok(Defaults { duration: fields.u32()?, size: fields.u32()?, flags: fields.u32()? });
        }
    }
    Ok(Defaults::default())
}
