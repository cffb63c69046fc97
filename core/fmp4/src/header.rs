//! `ftyp` + `moov`: what a decoder must know before the first fragment.

use mp4_atom::{
    Atom, Avc1, Avcc, Codec as SampleEntry, Dinf, Dref, Encode, Ftyp, Hdlr, Mdhd, Mdia, Minf, Moov, Mvex,
    Mvhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
};

use crate::fragment::TRACK_ID;
use crate::{Error, TIMESCALE};

/// What the fragments of one part are coded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    pub codec: Codec,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// `avcc` is the AVCDecoderConfigurationRecord: what GStreamer calls `codec_data`.
    H264 { avcc: Vec<u8> },
}

/// The header of one part: a movie of one video track without samples of its own.
pub fn header(config: &VideoConfig) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(1024);
    ftyp().encode(&mut bytes).map_err(Error::Write)?;
    moov(config)?.encode(&mut bytes).map_err(Error::Write)?;
    Ok(bytes)
}

/// RFC 6381: `avc1.` and profile, constraints and level in hexadecimal. Empty for a record too short to have them.
pub fn codec_string(config: &VideoConfig) -> String {
    let Codec::H264 { avcc } = &config.codec;
    match avcc.as_slice() {
        [_, profile, constraints, level, ..] => format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        _ => String::new(),
    }
}

/// `iso6` is the oldest brand that has `default-base-is-moof` and `tfdt`, and the one that HLS asks for.
fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: b"iso6".into(),
        minor_version: 0,
        compatible_brands: vec![b"iso6".into(), b"mp41".into()],
    }
}

fn moov(config: &VideoConfig) -> Result<Moov, Error> {
    let Codec::H264 { avcc } = &config.codec;
    let avcc = Avcc::decode_body(&mut avcc.as_slice()).map_err(Error::Config)?;
    let size_error = || Error::PictureSize { width: config.width, height: config.height };
    let width = u16::try_from(config.width).map_err(|_| size_error())?;
    let height = u16::try_from(config.height).map_err(|_| size_error())?;
    let visual = Visual { data_reference_index: 1, width, height, ..Default::default() };

    let stbl = Stbl {
        stsd: Stsd { codecs: vec![SampleEntry::Avc1(Avc1 { visual, avcc, ..Default::default() })] },
        stco: Some(Stco::default()),
        ..Default::default()
    };
    let minf = Minf {
        vmhd: Some(Vmhd::default()),
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl,
        ..Default::default()
    };
    let trak = Trak {
        tkhd: Tkhd {
            track_id: TRACK_ID,
            enabled: true,
            in_movie: true,
            width: width.into(),
            height: height.into(),
            ..Default::default()
        },
        mdia: Mdia {
            mdhd: Mdhd { timescale: TIMESCALE, language: "und".to_owned(), ..Default::default() },
            hdlr: Hdlr { handler: b"vide".into(), name: "video".to_owned() },
            minf,
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
