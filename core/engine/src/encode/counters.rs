//! Counts and flags that the threads of one track share without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use deskreel_model::manifest::FrameCounts;

/// Counts of one track in one part. Relaxed order is enough, since readers only report them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames that the source delivered. Those that the next part takes over count there.
    pub captured: AtomicU64,
    /// Unchanged frames, which go no further.
    pub skipped: AtomicU64,
    /// Frames that waited too long for the encoder or never came out of it.
    pub lost: AtomicU64,
    /// Frames in fragments on disk; counted by the writer.
    pub written: AtomicU64,
    /// Bytes of fragments on disk; counted by the writer.
    pub bytes: AtomicU64,
    /// Frames that the writer dropped, for lack of disk space or of a keyframe.
    pub dropped: AtomicU64,
    /// Media time up to which the screen is known to have been still.
    pub still_until_ns: AtomicU64,
    /// The writer wants the next frame to be a keyframe.
    pub want_keyframe: AtomicBool,
}

impl Counters {
    /// Counts while the part runs: frames on their way to disk are only in `captured`.
    pub fn running(&self) -> FrameCounts {
        self.counts(self.lost.load(Relaxed) + self.dropped.load(Relaxed))
    }

    /// Counts once everything has been drained: frames that are not on disk are lost.
    pub fn drained(&self) -> FrameCounts {
        let counts = self.counts(0);
        FrameCounts { lost: counts.captured.saturating_sub(counts.skipped + counts.encoded), ..counts }
    }

    fn counts(&self, lost: u64) -> FrameCounts {
        FrameCounts {
            captured: self.captured.load(Relaxed),
            encoded: self.written.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            lost,
        }
    }
}
