//! `ftyp` + `moov`: what a decoder must know before the first fragment.

use mp4_atom::{
    Dinf, Dref, Encode, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex, Mvhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex,
    Url, Vmhd,
};

use crate::codec::sample_entry;
use crate::fragment::TRACK_ID;
use crate::{Error, TIMESCALE, VideoConfig};

/// The header of one part: a movie of one video track without samples of its own.
pub fn header(config: &VideoConfig) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(1024);
    ftyp().encode(&mut bytes).map_err(Error::Write)?;
    moov(config)?.encode(&mut bytes).map_err(Error::Write)?;
    Ok(bytes)
}

/// `iso6` is the oldest brand that has `default-base-is-moof` and `tfdt`, and the one that HLS asks for.
fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"mp41".into()],
    }
}

/// The `minf` of a video track with these tables. The frames are in the same file.
pub(crate) fn video_minf(stbl: Stbl) -> Minf {
    Minf {
        vmhd: Some(Vmhd::default()),
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl,
        ..Default::default()
    }
}

fn moov(config: &VideoConfig) -> Result<Moov, Error> {
    let entry = sample_entry(config)?;
    // Both fit, since making the entry has checked that.
    let size = |value: u32| u16::try_from(value).unwrap_or(u16::MAX).into();
    let stbl = Stbl { stsd: Stsd { codecs: vec![entry] }, stco: Some(Stco::default()), ..Default::default() };
    let trak = Trak {
        tkhd: Tkhd {
            track_id: TRACK_ID,
            enabled: true,
            in_movie: true,
            width: size(config.width),
            height: size(config.height),
            ..Default::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: TIMESCALE, language: "und".to_owned(), ..Default::default() },
            hdlr: Hdlr { handler: b"vide".into(), name: "video".to_owned() },
            minf: video_minf(stbl),
        },
        ..Default::default()
    };
    Ok(Moov {
        mvhd: Mvhd {
            timescale: TIMESCALE,
            rate: 1.into(),
            next_track_id: TRACK_ID + 1,
            ..Default::default()
        },
        trak: vec![trak],
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![Trex {
                track_id: TRACK_ID,
                default_sample_description_index: 1,
                ..Default::default()
            }],
        }),
        ..Default::default()
    })
}
