//! The clocks of this machine, and what they make: origins, anchors and ids.

use deskreel_model::manifest::Anchor;
use deskreel_model::{MediaTime, RecordingId, Utc};
use rustix::time::{ClockId, clock_gettime};

/// An id for a recording that begins now, for who must know it before the recording does.
pub fn new_id() -> RecordingId {
    let (now_ns, anchor) = clocks(0);
    RecordingId::new(anchor.utc, salt(now_ns))
}

/// CLOCK_MONOTONIC: what GStreamer's system clock counts too.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Monotonic time, and the wall clock tied to it. The wall clock is read between two readings of the other.
pub(crate) fn clocks(origin_ns: u64) -> (u64, Anchor) {
    let before = monotonic_ns();
    let utc = Utc(jiff::Timestamp::now());
    let uncertainty_ns = monotonic_ns() - before;
    let origin_ns = if origin_ns == 0 { before } else { origin_ns };
    (before, Anchor { media: MediaTime(before - origin_ns), utc, uncertainty_ns })
}

/// The wall clock when media time began.
pub(crate) fn anchor_of_zero(origin_ns: u64) -> Anchor {
    let (_, Anchor { media, utc, uncertainty_ns }) = clocks(origin_ns);
    Anchor { media: MediaTime::ZERO, utc: utc.minus(media - MediaTime::ZERO), uncertainty_ns }
}

/// Tells apart recordings of the same second: of one process by the clock, of several by the process.
fn salt(origin_ns: u64) -> u32 {
    (origin_ns / 1_000) as u32 ^ std::process::id().rotate_left(12)
}
