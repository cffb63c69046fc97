//! MP4's configuration record for AV1, from the stream's own sequence header: older versions of the parser do
//! not provide it.

/// The AV1CodecConfigurationRecord for a sequence header OBU, which includes the OBU's header. `None` if it
/// is torn.
///
/// AV1 Bitstream & Decoding Process Specification, 5.5; AV1 Codec ISO Media File Format Binding, 2.3.3.
pub fn av1c(sequence_header: &[u8]) -> Option<Vec<u8>> {
    let header = *sequence_header.first()?;
    let (extended, sized) = (header >> 2 & 1, header >> 1 & 1);
    let mut at = 1 + usize::from(extended);
    if sized == 1 {
        // The size is a number of at most eight groups of seven bits.
        at += sequence_header.get(at..)?.iter().take(8).position(|byte| byte & 0x80 == 0)? + 1;
    }
    let mut bits = Bits { bytes: sequence_header.get(at..)?, at: 0 };
    let sequence = bits.sequence()?;
    let mut record =
        vec![0x81, sequence.profile << 5 | sequence.level, sequence.tier << 7 | sequence.color, 0];
    record.extend_from_slice(sequence_header);
    Some(record)
}

struct SequenceHeader {
    profile: u8,
    level: u8,
    tier: u8,
    /// Depth, monochrome, subsampling and sample position, in the record's layout.
    color: u8,
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn sequence(&mut self) -> Option<SequenceHeader> {
        let profile = self.byte(3)?;
        self.skip(1)?;
        let reduced = self.flag()?;
        let (level, tier) = if reduced { (self.byte(5)?, 0) } else { self.operating_points()? };
        self.frame_size(reduced)?;
        self.tools(reduced)?;
        Some(SequenceHeader { profile, level, tier, color: self.color(profile)? })
    }

    /// Level and tier of the first operating point, which is the whole stream.
    fn operating_points(&mut self) -> Option<(u8, u8)> {
        let mut delay_bits = None;
        if self.flag()? {
            self.skip(64)?;
            if self.flag()? {
                self.variable_length()?;
            }
            if self.flag()? {
                delay_bits = Some(usize::from(self.byte(5)?) + 1);
                self.skip(32 + 5 + 5)?;
            }
        }
        let delays_shown = self.flag()?;
        let mut first = None;
        for _ in 0..=self.byte(5)? {
            self.skip(12)?;
            let level = self.byte(5)?;
            let tier = if level > 7 { self.byte(1)? } else { 0 };
            if let Some(bits) = delay_bits
                && self.flag()?
            {
                self.skip(2 * bits + 1)?;
            }
            if delays_shown && self.flag()? {
                self.skip(4)?;
            }
            first.get_or_insert((level, tier));
        }
        first
    }

    fn frame_size(&mut self, reduced: bool) -> Option<()> {
        let (width_bits, height_bits) = (self.byte(4)?, self.byte(4)?);
        self.skip(usize::from(width_bits) + usize::from(height_bits) + 2)?;
        // Skip the frame numbers.
        if !reduced && self.flag()? {
            self.skip(4 + 3)?;
        }
        Some(())
    }

    fn tools(&mut self, reduced: bool) -> Option<()> {
        self.skip(3)?;
        if !reduced {
            self.skip(4)?;
            let order_hint = self.flag()?;
            self.skip(if order_hint { 2 } else { 0 })?;
            let screen_content = self.flag()? || self.flag()?;
            if screen_content && !self.flag()? {
                self.skip(1)?;
            }
            self.skip(if order_hint { 3 } else { 0 })?;
        }
        self.skip(3)
    }

    fn color(&mut self, profile: u8) -> Option<u8> {
        let high = self.byte(1)?;
        let twelve = if profile == 2 && high == 1 { self.byte(1)? } else { 0 };
        let gray = if profile == 1 { 0 } else { self.byte(1)? };
        let described = if self.flag()? { [self.byte(8)?, self.byte(8)?, self.byte(8)?] } else { [2; 3] };
        let (across, down, position) = match (gray, described, profile) {
            (1, ..) => (1, 1, 0),
            // BT.709 primaries, sRGB's transfer function and no matrix: RGB.
            (_, [1, 13, 0], _) => (0, 0, 0),
            (_, _, profile) => {
                self.skip(1)?;
                let (across, down) = match (profile, twelve) {
                    (0, _) => (1, 1),
                    (1, _) => (0, 0),
                    (_, 1) => match self.byte(1)? {
                        1 => (1, self.byte(1)?),
                        _ => (0, 0),
                    },
                    _ => (1, 0),
                };
                let position = if across == 1 && down == 1 { self.byte(2)? } else { 0 };
                (across, down, position)
            }
        };
        Some(high << 6 | twelve << 5 | gray << 4 | across << 3 | down << 2 | position)
    }

    fn flag(&mut self) -> Option<bool> {
        Some(self.byte(1)? == 1)
    }

    /// Reads up to eight bits.
    fn byte(&mut self, count: usize) -> Option<u8> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | byte >> (7 - self.at % 8) & 1;
            self.at += 1;
        }
        Some(value)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.bytes.len() * 8).then_some(())
    }

    /// Skips a number whose leading zeros count the bits after its first one.
    fn variable_length(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        self.skip(if zeros < 32 { zeros } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence header by libaom 3.6: 64x64 at 30 frames per second, 4:4:4 (profile 1).
    const FULL: [u8; 13] = [0x0a, 0x0b, 0x20, 0, 0, 0x02, 0xaf, 0xff, 0xf0, 0x36, 0xbe, 0x40, 0x80];

    #[test]
    fn a_record_has_the_profile_and_colors_of_the_sequence_header() {
        let record = av1c(&FULL).unwrap_or_default();
        // Profile 1, level 0, 8 bits, no subsampling.
        assert_eq!(record[..4], [0x81, 0x20, 0, 0]);
        assert_eq!(record[4..], FULL);
    }

    #[test]
    fn a_torn_header_yields_no_record() {
        for length in 0..FULL.len() - 1 {
            assert_eq!(av1c(&FULL[..length]), None, "{length} bytes");
        }
        assert_eq!(av1c(&[0x0a, 0xff, 0xff]), None);
    }
}
