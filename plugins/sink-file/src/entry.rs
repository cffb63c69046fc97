//! Sample entries: one codec configuration each.
//!
//! A recording with one configuration is written as `avc1`, the parameter sets in the entry and nowhere else: that
//! plays everywhere. With several, FFmpeg complains or fails unless every keyframe brings its parameter sets along,
//! which `avc3` allows and `avc1` does not (docs/decisions/0005-export-sample-entries.md).

use std::io::{self, Read, Write};

use mp4_atom::{Avc1, Avc3, Codec};

/// H.264's access unit delimiter, which must stay in front.
const ACCESS_UNIT_DELIMITER: u8 = 9;

#[derive(Debug)]
pub struct Entry {
    pub codec: Codec,
    /// Written at the start of every keyframe: the parameter sets, each behind its length.
    pub in_band: Vec<u8>,
    /// Bytes of a NAL unit's length.
    length_size: usize,
}

impl Entry {
    pub fn alone(codec: Codec) -> Entry {
        Entry { codec, in_band: Vec::new(), length_size: 4 }
    }

    /// Called when the track turns out to have several. What is no H.264 stays as it is.
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

    /// Copies one keyframe of `size` bytes and puts the parameter sets where they belong. Gives the bytes written.
    pub fn copy_keyframe(&self, from: &mut impl Read, size: u32, to: &mut impl Write) -> io::Result<u64> {
        let mut head = vec![0; (self.length_size + 1).min(size as usize)];
        from.read_exact(&mut head)?;
        let behind = from.take(u64::from(size) - head.len() as u64);
        let mut frame = head.as_slice().chain(behind);
        let in_front = io::copy(&mut frame.by_ref().take(self.delimiter(&head)), to)?;
        to.write_all(&self.in_band)?;
        Ok(in_front + self.in_band.len() as u64 + io::copy(&mut frame, to)?)
    }

    /// Bytes of the access unit delimiter, if the frame begins with one. `head` is a length and the byte behind it.
    fn delimiter(&self, head: &[u8]) -> u64 {
        match head.split_at_checked(self.length_size) {
            Some((length, [kind, ..])) if kind & 0x1f == ACCESS_UNIT_DELIMITER => {
                self.length_size as u64 + length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
            }
            _ => 0,
        }
    }
}
