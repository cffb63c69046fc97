//! What the threads of one track tell each other, without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use deskreel_model::manifest::FrameCounts;

/// Counts of one track in one part. They need no order among each other, since a reader only ever reports them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames that the source gave. Those that the next part takes over count there.
    pub captured: AtomicU64,
    /// Unchanged frames that went no further.
    pub skipped: AtomicU64,
    /// Frames that waited for the encoder for too long, or never came out of it.
    pub lost: AtomicU64,
    /// Writer: frames in fragments on disk, and the bytes of those.
    pub written: AtomicU64,
    pub bytes: AtomicU64,
    /// Writer: frames that had to be let go for want of room.
    pub let_go: AtomicU64,
    /// Media time up to which the screen is known to have stood still.
    pub still_until: AtomicU64,
    /// The writer wants the next frame to be a keyframe.
    pub want_keyframe: AtomicBool,
}

impl Counters {
    /// While the part runs: frames between capture and disk are in none of the counts but `captured`.
    pub fn running(&self) -> FrameCounts {
        self.counts(self.lost.load(Relaxed) + self.let_go.load(Relaxed))
    }

    /// Once everything has been drained: what is not on disk was lost.
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
