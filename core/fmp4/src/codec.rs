//! The codec configuration of a part, and MP4's sample entries for it.

use mp4_atom::{Atom, Av01, Av1c, Avc1, Avcc, Codec as SampleEntry, Hvc1, Hvcc, Visual};

use crate::Error;

/// The codec configuration of a part's fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    pub codec: Codec,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// The codec, with what a decoder has to know first, which GStreamer calls `codec_data`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// The AVCDecoderConfigurationRecord.
    H264 { avcc: Vec<u8> },
    /// The HEVCDecoderConfigurationRecord. It has all parameter sets; frames have none.
    H265 { hvcc: Vec<u8> },
    /// The AV1CodecConfigurationRecord.
    Av1 { av1c: Vec<u8> },
}

/// The codec's name by RFC 6381, such as `avc1.42c028`, `hvc1.1.6.L93.90` or `av01.0.04M.08`. Empty if the
/// record is too short.
pub fn codec_string(config: &VideoConfig) -> String {
    match &config.codec {
        Codec::H264 { avcc } => match avcc.as_slice() {
            [_, profile, constraints, level, ..] => format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
            _ => String::new(),
        },
        Codec::H265 { hvcc } => hevc_string(hvcc).unwrap_or_default(),
        Codec::Av1 { av1c } => match av1c.as_slice() {
            [_, profile, depth, ..] => {
                let tier = if depth >> 7 == 1 { 'H' } else { 'M' };
                let bits = 8 + 2 * (depth >> 6 & 1) + 2 * (depth >> 5 & 1);
                format!("av01.{}.{:02}{tier}.{bits:02}", profile >> 5, profile & 31)
            }
            _ => String::new(),
        },
    }
}

/// ISO/IEC 14496-15, annex E.3.
fn hevc_string(hvcc: &[u8]) -> Option<String> {
    let [_, profile, rest @ ..] = hvcc else { return None };
    let (compatibility, rest) = rest.split_first_chunk::<4>()?;
    let (constraints, rest) = rest.split_first_chunk::<6>()?;
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6))?;
    let tier = if profile >> 5 & 1 == 1 { 'H' } else { 'L' };
    let compatibility = u32::from_be_bytes(*compatibility).reverse_bits();
    let mut text = format!("hvc1.{space}{}.{compatibility:x}.{tier}{}", profile & 31, rest.first()?);
    // Trailing zero bytes are left out.
    let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    constraints.iter().take(used).for_each(|byte| text.push_str(&format!(".{byte:x}")));
    Some(text)
}

pub(crate) fn sample_entry(config: &VideoConfig) -> Result<SampleEntry, Error> {
    let size = |value: u32| u16::try_from(value);
    let (Ok(width), Ok(height)) = (size(config.width), size(config.height)) else {
        return Err(Error::PictureSize { width: config.width, height: config.height });
    };
    let visual = Visual { data_reference_index: 1, width, height, ..Default::default() };
    Ok(match &config.codec {
        Codec::H264 { avcc } => {
            let avcc = Avcc::decode_body(&mut avcc.as_slice()).map_err(Error::Config)?;
            SampleEntry::Avc1(Avc1 { visual, avcc, ..Default::default() })
        }
        Codec::H265 { hvcc } => {
            let hvcc = Hvcc::decode_body(&mut hvcc.as_slice()).map_err(Error::Config)?;
            SampleEntry::Hvc1(Hvc1 { visual, hvcc, ..Default::default() })
        }
        Codec::Av1 { av1c } => {
            let av1c = Av1c::decode_body(&mut av1c.as_slice()).map_err(Error::Config)?;
            SampleEntry::Av01(Av01 { visual, av1c, ..Default::default() })
        }
    })
}

pub(crate) fn read_sample_entry(entry: &SampleEntry) -> Result<VideoConfig, Error> {
    let mut record = Vec::new();
    let (codec, visual) = match entry {
        SampleEntry::Avc1(entry) => {
            entry.avcc.encode_body(&mut record).map_err(Error::Config)?;
            (Codec::H264 { avcc: record }, &entry.visual)
        }
        SampleEntry::Hvc1(entry) => {
            entry.hvcc.encode_body(&mut record).map_err(Error::Config)?;
            (Codec::H265 { hvcc: record }, &entry.visual)
        }
        SampleEntry::Av01(entry) => {
            entry.av1c.encode_body(&mut record).map_err(Error::Config)?;
            (Codec::Av1 { av1c: record }, &entry.visual)
        }
        _ => return Err(Error::NotOurs("header's sample entry is not avc1, hvc1 or av01")),
    };
    Ok(VideoConfig { codec, width: visual.width.into(), height: visual.height.into() })
}
