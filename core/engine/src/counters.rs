//! What the threads of one track tell each other, without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use deskreel_model::manifest::FrameCounts;

/// Counts of one track in one part. Each is written by one thread and read by any; they need no order among
/// each other, since a reader only ever reports them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Capture: frames that the source gave.
    pub captured: AtomicU64,
    /// Capture: unchanged frames that went no further.
    pub skipped: AtomicU64,
    /// Queue: frames in and out.
    pub queued: AtomicU64,
    pub dequeued: AtomicU64,
    /// Queue: what was neither inside nor out at the last look.
    pub dropped: AtomicU64,
    /// Writer: frames in fragments on disk, and the bytes of those.
    pub written: AtomicU64,
    pub bytes: AtomicU64,
    /// Writer: frames that had to be let go for want of room.
    pub let_go: AtomicU64,
    /// Media time up to which the screen is known to have stood still.
    pub still_until: AtomicU64,
    /// Media time of the newest keyframe that left the encoder; plus one, so that zero means none.
    pub keyframe_at: AtomicU64,
    /// Media time minus running time; known once the pipeline plays.
    pub offset: AtomicU64,
    /// No more frames are taken from the source: the track drains.
    pub closed: AtomicBool,
    /// The writer wants the next frame to be a keyframe.
    pub want_keyframe: AtomicBool,
}

impl Counters {
    /// While the part runs: frames between capture and disk are in none of the counts but `captured`.
    pub fn running(&self) -> FrameCounts {
        self.counts(self.dropped.load(Relaxed) + self.let_go.load(Relaxed))
    }

    /// Looks at the queue, in which so many frames wait.
    pub fn look(&self, waiting: u64) {
        let passed = self.dequeued.load(Relaxed) + waiting;
        self.dropped.fetch_max(self.queued.load(Relaxed).saturating_sub(passed), Relaxed);
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
