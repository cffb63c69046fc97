//! Sample entries, each with one codec configuration.
//!
//! A recording with one configuration is written as `avc1`, with the parameter sets only in the entry: that
//! plays everywhere. With several, FFmpeg complains or fails unless every keyframe carries its parameter
//! sets, which `avc3` allows and `avc1` does not (docs/decisions/0005-export-sample-entries.md).

use std::io::{self, Read, Write};

use mp4_atom::{Avc1, Avc3, Codec};

/// NAL unit type of H.264's access unit delimiter, which must stay first.
const ACCESS_UNIT_DELIMITER: u8 = 9;

#[derive(Debug)]
pub struct SampleEntry {
    pub codec: Codec,
    /// Parameter sets to write at the start of every keyframe, each after its length.
    pub in_band: Vec<u8>,
    /// Bytes of a NAL unit's length.
    length_size: usize,
}

impl SampleEntry {
    pub fn alone(codec: Codec) -> SampleEntry {
        SampleEntry { codec, in_band: Vec::new(), length_size: 4 }
    }

    /// Called if the track has several entries. Codecs other than H.264 stay unchanged.
    pub fn make_one_of_many(&mut self) {
        let Codec::Avc1(Avc1 { visual, avcc, btrt, colr, pasp, taic, fiel, .. }) = self.codec.clone() else {
            return;
        };
        self.length_size = avcc.length_size.into();
        for set in avcc.sequence_parameter_sets.iter().chain(&avcc.picture_parameter_sets) {
            let length = (set.len() as u32).to_be_bytes();
            self.in_band.extend_from_slice(&length[4 - self.length_size.min(4)..]);
            self.in_band.extend_from_slice(set);
        }
        self.codec = Avc3 { visual, avcc, btrt, colr, pasp, taic, fiel, ..Default::default() }.into();
    }

    /// Copies one keyframe of `size` bytes, inserts the parameter sets, and returns the number of bytes
    /// written.
    pub fn copy_keyframe(&self, from: &mut impl Read, size: u32, to: &mut impl Write) -> io::Result<u64> {
        let mut head = vec![0; (self.length_size + 1).min(size as usize)];
        from.read_exact(&mut head)?;
        let rest = from.take(u64::from(size) - head.len() as u64);
        let mut frame = head.as_slice().chain(rest);
        let in_front = io::copy(&mut frame.by_ref().take(self.delimiter(&head)), to)?;
        to.write_all(&self.in_band)?;
        Ok(in_front + self.in_band.len() as u64 + io::copy(&mut frame, to)?)
    }

    /// Bytes of the access unit delimiter, if the frame begins with one. `head` is a length and the byte
    /// after it.
    fn delimiter(&self, head: &[u8]) -> u64 {
        match head.split_at_checked(self.length_size) {
            Some((length, [kind, ..])) if kind & 0x1f == ACCESS_UNIT_DELIMITER => {
                self.length_size as u64 + length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
            }
            _ => 0,
        }
    }
}
