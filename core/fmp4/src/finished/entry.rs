//! What a foreign track is coded with: the first and only entry of its `stsd`.

use super::Unfit;
use super::boxes::{Fields, boxes, named, needed};
use crate::codec::entry as written;
use crate::{Codec, VideoConfig};

/// ISO/IEC 14496-12, 12.1.3: what a VisualSampleEntry has before its boxes, from `data_reference_index` on: sizes of the picture
/// and much that nobody reads.
const BEHIND_HEIGHT: usize = 50;

/// The configuration that our headers can have.
pub fn video(stsd: &[u8]) -> Result<VideoConfig, Unfit> {
    let (mut fields, ..) = Fields::full("stsd", stsd)?;
    let count = fields.u32()?;
    let entry = boxes(fields.rest()).next().ok_or(Unfit::Missing("stsd"))??;
    if count != 1 {
        return Err(Unfit::SecondEntry);
    }
    let mut visual = Fields::of("stsd", entry.body);
    let known = match &entry.kind {
        b"avc1" | b"avc3" => "avcC",
        b"hvc1" | b"hev1" => "hvcC",
        b"av01" => "av1C",
        b"encv" => return Err(Unfit::Encrypted),
        other => return Err(Unfit::Codec(named(*other))),
    };
    // Reserved, the index of the data reference, and what QuickTime once kept there.
    visual.skip(6 + 2 + 16)?;
    let (width, height) = (visual.u16()?.into(), visual.u16()?.into());
    visual.skip(BEHIND_HEIGHT)?;
    let record = needed(visual.rest(), known).map_err(|_| Unfit::ParameterSets(known))?.to_vec();
    let has_them = match known {
        "avcC" => in_avcc(&record),
        "hvcC" => in_hvcc(&record),
        _ => in_av1c(&record),
    };
    let codec = match known {
        "avcC" => Codec::H264 { avcc: record },
        "hvcC" => Codec::H265 { hvcc: record },
        _ => Codec::Av1 { av1c: record },
    };
    let config = VideoConfig { codec, width, height };
    // Also one that cannot be written again.
    match has_them == Ok(true) && written(&config).is_ok() {
        true => Ok(config),
        false => Err(Unfit::ParameterSets(known)),
    }
}

/// ISO/IEC 14496-15, 5.3.3.1: at least a sequence and a picture parameter set.
fn in_avcc(record: &[u8]) -> Result<bool, Unfit> {
    let mut fields = Fields::of("avcC", record);
    fields.skip(5)?;
    let sequences = fields.u8()? & 31;
    for _ in 0..sequences {
        let size = fields.u16()?;
        fields.skip(size.into())?;
    }
    let pictures = fields.u8()?;
    Ok(sequences > 0 && pictures > 0)
}

/// ISO/IEC 14496-15, 8.3.3.1: video, sequence and picture parameter sets, types 32 to 34.
fn in_hvcc(record: &[u8]) -> Result<bool, Unfit> {
    let mut fields = Fields::of("hvcC", record);
    fields.skip(22)?;
    let mut seen = [false; 3];
    for _ in 0..fields.u8()? {
        let kind = usize::from(fields.u8()? & 63);
        for _ in 0..fields.u16()? {
            let size = fields.u16()?;
            fields.skip(size.into())?;
            if let Some(seen) = kind.checked_sub(32).and_then(|kind| seen.get_mut(kind)) {
                *seen = true;
            }
        }
    }
    Ok(seen == [true; 3])
}

/// AV1 Codec ISO Media File Format Binding, 2.3.3: the first OBU there is the sequence header, type 1.
fn in_av1c(record: &[u8]) -> Result<bool, Unfit> {
    let mut fields = Fields::of("av1C", record);
    fields.skip(4)?;
    Ok(fields.rest().first().is_some_and(|header| header >> 3 & 15 == 1))
}
