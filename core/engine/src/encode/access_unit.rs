//! The kind of an access unit, from its own bytes: NAL units of H.264 and H.265, OBUs of AV1. Pure.

use deskreel_contract::Codec;

/// Returns whether a decoder can start with this unit.
pub fn is_start(codec: Codec, unit: &[u8]) -> bool {
    match codec {
        // An IDR slice.
        Codec::H264 => nal_units(unit).any(|nal| nal.first().is_some_and(|byte| byte & 0x1f == 5)),
        // IDR_W_RADL, IDR_N_LP and CRA_NUT.
        Codec::H265 => {
            nal_units(unit).any(|nal| nal.first().is_some_and(|byte| (19..=21).contains(&(byte >> 1 & 0x3f))))
        }
        // A sequence header precedes every frame that a decoder can start with.
        Codec::Av1 => obus(unit).any(|(kind, _)| kind == SEQUENCE_HEADER),
    }
}

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// The unit's sequence header, if it has one.
pub fn sequence_header(unit: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    for (kind, length) in obus(unit) {
        if kind == SEQUENCE_HEADER {
            return unit.get(at..at + length);
        }
        at += length;
    }
    None
}

/// Returns the offset at which the unit's MP4 sample begins: samples have no temporal delimiters.
pub fn mp4_start(codec: Codec, unit: &[u8]) -> usize {
    match obus(unit).next() {
        Some((TEMPORAL_DELIMITER, length)) if codec == Codec::Av1 => length,
        _ => 0,
    }
}

/// The NAL units, each after a length of four bytes, as GStreamer's parsers produce them.
fn nal_units(mut unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = unit.split_first_chunk::<4>()?;
        let (nal, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        unit = rest;
        Some(nal)
    })
}

/// Type and whole length of each OBU. Only the last one may lack a size field.
fn obus(mut unit: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    std::iter::from_fn(move || {
        let header = *unit.first()?;
        let (kind, extended, sized) = (header >> 3 & 15, header >> 2 & 1 == 1, header >> 1 & 1 == 1);
        let at = 1 + usize::from(extended);
        let (size, bytes) = if sized { leb128(unit.get(at..)?)? } else { (unit.len().checked_sub(at)?, 0) };
        let length = at.checked_add(bytes)?.checked_add(size)?;
        unit = unit.get(length..)?;
        Some((kind, length))
    })
}

/// The value, and how many bytes it takes.
fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_starts_at_an_idr_and_not_at_another_slice() {
        let sps_and = |kind| [&[0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1][..], &[kind]].concat();
        assert!(is_start(Codec::H264, &sps_and(0x65)));
        assert!(!is_start(Codec::H264, &sps_and(0x41)));
        let slice = |kind: u8| [0, 0, 0, 2, kind << 1, 1];
        let kinds = [19, 20, 21, 1, 0].map(|kind| is_start(Codec::H265, &slice(kind)));
        assert_eq!(kinds, [true, true, true, false, false]);
    }

    #[test]
    fn av1_starts_with_a_sequence_header_after_the_delimiter_that_mp4_leaves_out() {
        let key = [0x12, 0, 0x0a, 2, 9, 9, 0x32, 1, 9];
        let delta = [0x12, 0, 0x32, 1, 9];
        assert_eq!([is_start(Codec::Av1, &key), is_start(Codec::Av1, &delta)], [true, false]);
        assert_eq!([mp4_start(Codec::Av1, &key), mp4_start(Codec::Av1, &key[2..])], [2, 0]);
        assert_eq!(mp4_start(Codec::H264, &key), 0);
        assert_eq!(sequence_header(&key), Some(&key[2..6]));
        assert_eq!(sequence_header(&delta), None);
    }

    #[test]
    fn torn_units_are_no_start_and_no_panic() {
        for bytes in
            [&[][..], &[0, 0], &[255, 255, 255, 255, 0x65], &[0x0a, 0x80, 0x80, 0x80, 0x80, 0x80], &[0x0e]]
        {
            for codec in [Codec::H264, Codec::H265, Codec::Av1] {
                assert!(!is_start(codec, bytes), "{codec} {bytes:?}");
                assert_eq!(mp4_start(codec, bytes), 0);
            }
        }
    }
}
