//! Media time of a recording that runs, and what becomes of it when the wall clock jumps and when the PC sleeps.

use deskreel_model::MediaTime;
use deskreel_model::manifest::Cause;

use super::{CLOCK_JUMP_NS, Run};
use crate::clocks::{clocks, media_time};
use crate::notice::Notice;
use crate::session::Event;

impl<T: FnMut(Notice)> Run<'_, T> {
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

    /// The session hears of a sleep.
    pub(super) async fn wake_up(&mut self) {
        self.look_for_sleep();
        if std::mem::take(&mut self.has_slept) {
            self.event(Event::Slept).await;
        }
    }

    /// Media time counts on while the PC sleeps, so its zero moves away on a clock that does not. The footage of a worker that
    /// was not asked to end before keeps to the old zero, until the session hears of it: a tick at most.
    pub(super) fn look_for_sleep(&mut self) {
        let Some(slept) = self.sleep.look().filter(|_| self.job.origin_ns != 0) else { return };
        let slept_ns = i64::try_from(slept.as_nanos()).unwrap_or(i64::MAX);
        self.job.origin_ns = self.job.origin_ns.saturating_sub(slept_ns);
        self.note(Cause::Slept, format!("the PC slept for {} s", slept.as_secs()));
        self.has_slept = true;
    }
}
