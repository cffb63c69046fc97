//! Media time of a running recording, also when the wall clock jumps or the PC sleeps.

use deskreel_model::MediaTime;
use deskreel_model::manifest::Cause;

use super::RecordingRun;
use crate::clocks::{Sleep, clocks, media_time};
use crate::notice::Notice;
use crate::session::Event;

/// A wall clock that differs from media time by more than this has been set, and gets a new anchor.
const CLOCK_JUMP_NS: i128 = 500_000_000;

/// Sleeps of the PC; remembers whether the session knows of the last one.
pub(super) struct SleepWatch {
    sleep: Sleep,
    is_unreported: bool,
}

impl SleepWatch {
    pub(super) fn new() -> Self {
        SleepWatch { sleep: Sleep::new(), is_unreported: false }
    }

    /// Returns whether there is a sleep that the session does not know of; it counts as reported then.
    pub(super) fn take_unreported(&mut self) -> bool {
        std::mem::take(&mut self.is_unreported)
    }
}

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    /// Zero until the first part begins.
    pub(super) fn now(&self) -> MediaTime {
        if self.job.origin_ns == 0 {
            return MediaTime::ZERO;
        }
        media_time(self.job.origin_ns)
    }

    pub(super) fn follow_wall_clock(&mut self) {
        let (_, anchor) = clocks(self.job.origin_ns);
        let Some(last) = self.ledger.manifest().anchors.last() else { return };
        let world = anchor.utc.0.as_nanosecond() - last.utc.0.as_nanosecond();
        let media = i128::from(anchor.media.0) - i128::from(last.media.0);
        if (world - media).abs() > CLOCK_JUMP_NS {
            self.ledger.anchor(anchor);
        }
    }

    /// Reports a sleep to the session, if there was one.
    pub(super) async fn wake_up(&mut self) {
        self.look_for_sleep();
        if self.sleep.take_unreported() {
            self.event(Event::Slept).await;
        }
    }

    /// Media time counts on while the PC sleeps, so its zero moves back on a clock that stands still
    /// meanwhile. A worker that was not asked to end before the sleep keeps the old zero until the session
    /// learns of it: for a tick at most.
    pub(super) fn look_for_sleep(&mut self) {
        let Some(slept) = self.sleep.sleep.look().filter(|_| self.job.origin_ns != 0) else { return };
        let slept_ns = i64::try_from(slept.as_nanos()).unwrap_or(i64::MAX);
        self.job.origin_ns = self.job.origin_ns.saturating_sub(slept_ns);
        self.note(Cause::Slept, format!("the PC slept for {} s", slept.as_secs()));
        self.sleep.is_unreported = true;
    }
}
