//! The worker of the part under way: how it is started, watched and reaped, and the causes that its death is
//! attributed to.

use std::time::{Duration, Instant};

use deskreel_model::manifest::Cause;
use deskreel_model::worker::{Command, Job};
use deskreel_model::{Failure, PartNumber};

use super::{RecordingRun, watch};
use crate::clocks::clocks;
use crate::notice::Notice;
use crate::session::{Effect, Event, Phase, step};
use crate::watchdog::Watchdog;
use crate::worker::Worker;

/// The state of one worker: made when it starts, dropped when it is reaped.
pub(super) struct PartInProgress {
    pub worker: Worker,
    pub watchdog: Watchdog,
    /// Newest part that has a frame on disk: an encoder that takes over in the worker begins another one.
    pub newest_with_frame: Option<PartNumber>,
    /// If the worker dies now, its encoders may be why.
    pub is_suspect: bool,
    /// The recording's stop was requested, or the source ended.
    pub is_asked_to_stop: bool,
    /// The worker recorded until it was asked to stop, and has written everything.
    pub has_ended_well: bool,
}

impl PartInProgress {
    fn new(worker: Worker, watchdog: Watchdog) -> Self {
        PartInProgress {
            worker,
            watchdog,
            newest_with_frame: None,
            is_suspect: true,
            is_asked_to_stop: false,
            has_ended_well: false,
        }
    }

    fn end(&self) -> PartEnd {
        PartEnd {
            had_frame: self.newest_with_frame.is_some(),
            is_complete: self.has_ended_well,
            disk_full: self.watchdog.disk_full,
        }
    }
}

/// How a part ended, for the manifest's end and for the status until the next part begins.
#[derive(Default)]
pub(super) struct PartEnd {
    pub had_frame: bool,
    /// The footage reaches to the stop.
    pub is_complete: bool,
    pub disk_full: bool,
}

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    pub(super) async fn start_part(&mut self, part: PartNumber, cause: Cause) {
        // After a sleep the cause is the sleep, whatever happened to the worker then: it is most of the gap.
        let cause = if self.sleep.take_unreported() { Cause::Slept } else { cause };
        // The reason why a standby's worker was replaced does not concern the recording that it may become.
        let cause = if self.state.standby { Cause::Start } else { cause };
        self.ledger.begin_part(cause);
        (self.last_end, self.missing_because) = (PartEnd::default(), None);
        if self.state.standby {
            self.restart_time();
        } else {
            self.deadline =
                self.deadline.or(self.settings.max_duration.map(|duration| Instant::now() + duration));
        }
        let watchdog = Watchdog::new(self.settings.limits, longest_wait(&self.job), Instant::now());
        (self.job.part, self.job.capture) = (part, self.state.capture);
        if self.job.origin_ns == 0 {
            let (origin_ns, anchor) = clocks(0);
            self.job.origin_ns = origin_ns;
            self.ledger.set_zero(anchor);
        }
        self.choice.fill(&mut self.job.tracks);
        match self.pool.take().await {
            Ok(mut worker) => {
                worker.send(&Command::Start(self.job.clone())).await;
                let watched = self.watched_until.map(|until| until.saturating_duration_since(Instant::now()));
                if let Some(left) = watched.filter(|left| !left.is_zero()) {
                    worker.send(&watch(left, false)).await;
                }
                (self.tell)(Notice::Part { part, cause, worker: worker.pid() });
                self.part = Some(PartInProgress::new(worker, watchdog));
                self.pool.prepare_for(&self.job.tracks, self.choice.fallback(&self.job.tracks));
            }
            Err(error) => self.worker_did_not_start(error.into()).await,
        }
    }

    /// Proceeds as if the worker had started, failed and died: the session decides whether to try again.
    async fn worker_did_not_start(&mut self, failure: Failure) {
        let (state, mut effects) = step(self.state.clone(), Event::WorkerFailed(failure));
        let (state, more) = step(state, Event::WorkerGone("could not be started".to_owned()));
        self.state = state;
        effects.extend(more);
        effects.retain(|effect| *effect != Effect::AwaitEnd);
        Box::pin(self.perform(effects)).await;
    }

    /// Kills a worker that hangs, by way of the session.
    pub(super) async fn check_worker(&mut self) {
        if let Some(part) = &mut self.part
            && matches!(self.state.phase, Phase::Preparing | Phase::Recording)
            && let Some(hang) = part.watchdog.verdict(Instant::now())
        {
            part.is_suspect &= !hang.of_source;
            self.event(Event::WorkerSilent(hang.detail)).await;
        }
    }

    pub(super) fn is_disk_full(&self) -> bool {
        self.part.as_ref().map_or(self.last_end.disk_full, |part| part.watchdog.disk_full)
    }

    pub(super) async fn frame_on_disk(&mut self, number: PartNumber) {
        let Some(part) = &mut self.part else { return };
        let before = part.newest_with_frame;
        if before.is_none_or(|newest| newest < number) {
            part.newest_with_frame = Some(number);
            // The cause that ended the previous part is over. Only a full disk may not be.
            self.missing_because = self.missing_because.filter(|cause| *cause == Cause::DiskFull);
            (self.tell)(Notice::Recording { part: number, zero: self.ledger.manifest().zero() });
        }
        self.event(Event::FrameOnDisk).await;
        if before.is_none() {
            self.refill_pool().await;
        }
    }

    pub(super) async fn refill_pool(&mut self) {
        if let Err(error) = self.pool.refill().await {
            tracing::warn!(error = error.with_causes(), "could not start a spare worker");
        }
    }

    /// The worker's reports have ended, or it outlived SIGKILL.
    pub(super) async fn worker_gone(&mut self) {
        let Some(part) = self.part.take() else { return };
        self.last_end = part.end();
        let how = part.worker.reap().await;
        // The next part's worker loads while the remains of this part are taken in. If none can be started,
        // the start of the next part reports it.
        if self.is_stoppable() {
            let _ = self.pool.warm().await;
        }
        let had_frames = self.ledger.frames().encoded;
        for problem in self.ledger.end_part() {
            self.note(Cause::WorkerDied, problem);
        }
        if self.ledger.frames().encoded > had_frames {
            self.event(Event::FrameOnDisk).await;
        }
        self.wake = None;
        if self.standby.is_keeping() {
            self.restart_time();
        }
        if let Some(newest) = self.ledger.newest_part() {
            self.event(Event::PartOpened(newest)).await;
        }
        if part.is_suspect {
            self.strike_encoders(&how);
        }
        self.event(Event::WorkerGone(how)).await;
    }

    /// A worker that was not asked to end, and that reported no reason, may have died of its encoder.
    fn strike_encoders(&mut self, how: &str) {
        let is_unasked = matches!(
            self.state.phase,
            Phase::Preparing | Phase::Recording | Phase::Renewing(Cause::WorkerHung)
        );
        if is_unasked {
            for (plugin, candidate) in self.choice.worker_died(&format!("the worker {how}")) {
                self.pool.strike(&plugin, &candidate);
            }
        }
    }
}

/// See [`Watchdog::new`].
fn longest_wait(job: &Job) -> Duration {
    let keepalive = job.tracks.iter().map(|track| track.keepalive_ns).max().unwrap_or(0);
    Duration::from_nanos(keepalive.max(job.fragment_ns))
}
