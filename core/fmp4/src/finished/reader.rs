//! The tables of a file, one after the other.

use super::footage::Footage;
use super::movie::{Defaults, Movie};
use super::tables::Samples;
use super::{Unfit, moof};
use crate::VideoConfig;

/// Knows what the tables said that it has been given.
#[derive(Debug)]
pub struct Reader {
    track: u32,
    timescale: u32,
    config: VideoConfig,
    trimmed: i64,
    delay_ns: u64,
    defaults: Defaults,
    left_out: Vec<String>,
    samples: Samples,
}

impl Reader {
    /// `moov` with its head, of a file of so many bytes.
    pub fn new(moov: &[u8], length: u64) -> Result<Reader, Unfit> {
        let body = super::boxes::needed(moov, "moov")?;
        let Movie { track, timescale, config, trimmed, delay_ns, stbl, defaults, left_out } =
            Movie::read(body)?;
        let mut samples = Samples::new(length);
        samples.read(stbl)?;
        Ok(Reader { track, timescale, config, trimmed, delay_ns, defaults, left_out, samples })
    }

    /// The next `moof`, with its head, and where it lies in the file.
    pub fn moof(&mut self, at: u64, moof: &[u8]) -> Result<(), Unfit> {
        let body = super::boxes::needed(moof, "moof")?;
        moof::read(body, at, self.track, self.defaults, &mut self.samples)
    }

    /// All tables have been read.
    pub fn footage(self) -> Result<Footage, Unfit> {
        let Reader { timescale, config, trimmed, delay_ns, left_out, samples, .. } = self;
        Footage::new(config, left_out, samples, timescale, (trimmed, delay_ns))
    }
}
