//! Reads the tables of a file in sequence.

use super::footage::Footage;
use super::moov::{Defaults, VideoTrack};
use super::tables::TrackSamples;
use super::{Unfit, moof};
use crate::VideoConfig;

/// Collects the contents of the tables.
#[derive(Debug)]
pub struct Reader {
    track: u32,
    timescale: u32,
    config: VideoConfig,
    trimmed: i64,
    delay_ns: u64,
    defaults: Defaults,
    left_out: Vec<String>,
    samples: TrackSamples,
}

impl Reader {
    /// Reads the `moov`, with its head, of a file of `length` bytes.
    pub fn new(moov: &[u8], length: u64) -> Result<Reader, Unfit> {
        let body = super::boxes::needed(moov, "moov")?;
        let VideoTrack { track, timescale, config, trimmed, delay_ns, stbl, defaults, left_out } =
            VideoTrack::read(body)?;
        let mut samples = TrackSamples::new(length);
        samples.read(stbl)?;
        Ok(Reader { track, timescale, config, trimmed, delay_ns, defaults, left_out, samples })
    }

    /// Reads the next `moof`, with its head. `at` is its position in the file.
    pub fn moof(&mut self, at: u64, moof: &[u8]) -> Result<(), Unfit> {
        let body = super::boxes::needed(moof, "moof")?;
        moof::read(body, at, self.track, self.defaults, &mut self.samples)
    }

    /// The footage, after all tables have been read.
    pub fn footage(self) -> Result<Footage, Unfit> {
        let Reader { timescale, config, trimmed, delay_ns, left_out, samples, .. } = self;
        Footage::new(config, left_out, samples, timescale, (trimmed, delay_ns))
    }
}
