//! The codec configuration of a foreign track: the only entry of its `stsd`.

use super::Unfit;
use super::boxes::{Fields, box_name, boxes, needed};
use crate::codec::sample_entry;
use crate::{Codec, VideoConfig};

/// Bytes between a VisualSampleEntry's height and its boxes (ISO/IEC 14496-12, 12.1.3), which are not needed.
const AFTER_HEIGHT: usize = 50;

/// Reads the configuration, if our headers can express it.
pub fn read_config(stsd: &[u8]) -> Result<VideoConfig, Unfit> {
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
        other => return Err(Unfit::Codec(box_name(*other))),
    };
    // Reserved bytes, the index of the data reference, and fields of QuickTime.
    visual.skip(6 + 2 + 16)?;
    let (width, height) = (visual.u16()?.into(), visual.u16()?.into());
    visual.skip(AFTER_HEIGHT)?;
    let record = needed(visual.rest(), known).map_err(|_| Unfit::ParameterSets(known))?.to_vec();
    let is_complete = match known {
        "avcC" => avcc_is_complete(&record),
        "hvcC" => hvcc_is_complete(&record),
        _ => av1c_is_complete(&record),
    };
    let codec = match known {
        "avcC" => Codec::H264 { avcc: record },
        "hvcC" => Codec::H265 { hvcc: record },
        _ => Codec::Av1 { av1c: record },
    };
    let config = VideoConfig { codec, width, height };
    // Also refuses a record that cannot be written again.
    match is_complete == Ok(true) && sample_entry(&config).is_ok() {
        true => Ok(config),
        false => Err(Unfit::ParameterSets(known)),
    }
}

/// Returns whether an `avcC` has at least a sequence and a picture parameter set (ISO/IEC 14496-15, 5.3.3.1).
fn avcc_is_complete(record: &[u8]) -> Result<bool, Unfit> {
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

/// Returns whether an `hvcC` has video, sequence and picture parameter sets, types 32 to 34 (ISO/IEC
/// 14496-15, 8.3.3.1).
fn hvcc_is_complete(record: &[u8]) -> Result<bool, Unfit> {
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

/// Returns whether an `av1C` begins with a sequence header, OBU type 1 (AV1 Codec ISO Media File Format
/// Binding, 2.3.3).
fn av1c_is_complete(record: &[u8]) -> Result<bool, Unfit> {
    let mut fields = Fields::of("av1C", record);
    fields.skip(4)?;
    Ok(fields.rest().first().is_some_and(|header| header >> 3 & 15 == 1))
}
