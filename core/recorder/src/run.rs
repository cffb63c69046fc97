//! The loop: waits for what happens, asks the session what to do, and does it.

mod begin;
mod choose;
mod keep;
mod time;

pub use begin::{record, stand_by};

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use deskreel_contract::CaptureMode;
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_model::worker::{Command, Job, OpenedPart, Report, TrackJob};
use deskreel_model::{Failure, MediaTime, PartNumber};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::Error;
use crate::choice::Choice;
use crate::clocks::{Sleep, clocks};
use crate::job::DRAIN_LIMIT;
use crate::ledger::Ledger;
use crate::notice::{Notice, Status};
use crate::pool::Pool;
use crate::select::{Selection, Step};
use crate::session::{Effect, Event, Phase, State, step};
use crate::setup::{Control, Rest};
use crate::watchdog::{Limits, Watchdog};
use crate::worker::{Worker, tell_refused};

/// From asking a worker to end until it is killed. The worker gives its encoders `DRAIN_LIMIT` and its writers
/// 300 ms of this.
const END_LIMIT: Duration = DRAIN_LIMIT.saturating_add(Duration::from_millis(600));
/// For a process to be gone after SIGKILL.
const KILL_LIMIT: Duration = Duration::from_millis(300);
/// The last frame of a recording lies before its end by a frame's time and what encoding takes.
const END_SLACK: Duration = Duration::from_millis(500);
/// How often the watchdog and the clocks are looked at.
const TICK: Duration = Duration::from_millis(250);
/// A wall clock that is off by more than this against media time has been set, and gets a new anchor.
const CLOCK_JUMP_NS: i128 = 500_000_000;

struct Run<'a, T> {
    state: State,
    /// As they were asked for, without encoders.
    tracks: Vec<TrackJob>,
    choice: Choice,
    selection: Option<Selection>,
    ledger: Ledger,
    /// Where recordings are kept.
    directory: PathBuf,
    /// The worker was told to keep what it has, and has not said yet from when on.
    keeping: bool,
    look_back: Duration,
    /// Why a standby could not become a recording.
    not_kept: Option<Error>,
    job: Job,
    pool: &'a mut Pool,
    tell: T,
    limits: Limits,
    /// From the start of the first part: trying encoders takes nothing from it.
    max_duration: Option<Duration>,
    deadline: Option<Instant>,
    worker: Option<Worker>,
    watchdog: Watchdog,
    /// The one thing that the session waits for, and when.
    wake: Option<(Instant, Event)>,
    /// The newest part of the present worker that has a frame on disk.
    in_part: Option<PartNumber>,
    /// If the worker dies now, its encoders may be why.
    suspect: bool,
    /// The present worker recorded until it was asked to stop, and has written everything.
    ended_well: bool,
    stop_sent: bool,
    /// When a stop was asked for.
    stopped_at: Option<MediaTime>,
    /// What the worker has been asked to take of the screen and has not said yet that it does, oldest first: when, and why.
    asked: VecDeque<(MediaTime, String)>,
    /// Of the newest incident of the present part that is not over.
    last_cause: Option<Cause>,
    sleep: Sleep,
    /// The PC has slept, and the session does not know it yet.
    has_slept: bool,
    unsealed: Option<deskreel_spool::Error>,
}

impl<T: FnMut(Notice)> Run<'_, T> {
    async fn run(&mut self, control: &mut mpsc::Receiver<Control>) {
        let mut tick = tokio::time::interval(TICK);
        let mut control_open = true;
        let far = Instant::now() + Duration::from_secs(u64::from(u32::MAX));
        while !self.state.is_ended() {
            let wake = self.wake.as_ref().map_or(far, |(at, _)| *at);
            let stop_at = self.deadline.filter(|_| self.stoppable()).unwrap_or(far);
            tokio::select! {
                report = next(&mut self.worker) => match report {
                    Some(report) => self.report(report).await,
                    None => self.worker_gone().await,
                },
                step = next_step(&mut self.selection) => match step {
                    Step::Trying(trying) => (self.tell)(Notice::Trying(trying)),
                    Step::Done(done) => self.selected(*done).await,
                },
                command = control.recv(), if control_open => match command {
                    Some(Control::Stop) => self.event(Event::StopAsked).await,
                    Some(Control::SetMode { capture, why }) => self.set_mode(capture, why).await,
                    Some(Control::Keep(keep)) => self.keep(keep).await,
                    Some(Control::Rest(Rest { cause, why })) => self.event(Event::RestAsked(cause, why)).await,
                    Some(Control::GoOn) => self.event(Event::RestOver).await,
                    None => control_open = false,
                },
                () = sleep_until(wake.into()) => {
                    match self.wake.take() {
                        // It does not even obey SIGKILL: a driver holds it. We go on without its last words.
                        Some((_, Event::WorkerGone(_))) => self.worker_gone().await,
                        Some((_, event)) => self.event(event).await,
                        None => {}
                    }
                }
                () = sleep_until(stop_at.into()) => self.event(Event::StopAsked).await,
                _ = tick.tick() => self.tick().await,
            }
            self.ledger.save_if_due();
        }
    }

    async fn set_mode(&mut self, capture: CaptureMode, why: String) {
        self.wake_up().await;
        let at = self.now();
        if capture == CaptureMode::Live {
            self.ledger.about_to_show(at);
        }
        self.asked.push_back((at, why));
        self.event(Event::ModeAsked(capture)).await;
    }

    fn note_mode(&mut self, capture: CaptureMode, at: MediaTime, why: String) {
        self.ledger.note_mode(capture, at, why);
        (self.tell)(Notice::ModeHolds { at, capture });
    }

    fn stoppable(&self) -> bool {
        !matches!(self.state.phase, Phase::Draining | Phase::Closing | Phase::Ended)
    }

    async fn report(&mut self, report: Report) {
        let now = Instant::now();
        self.watchdog.heard(now);
        match report {
            Report::PartOpened { track, part } => self.part_opened(track, part).await,
            Report::FragmentClosed { track, part, fragment, frames } => {
                let (number, file) = (fragment.number, fragment.file.clone());
                self.ledger.fragment_closed(&track, part, fragment, frames);
                self.frame_on_disk(part).await;
                (self.tell)(Notice::File { track, part, number, file });
            }
            Report::EncoderFailed { track, plugin, candidate, cause, detail, next } => {
                self.choice.encoder_failed(&track, &plugin, &candidate, &detail);
                self.pool.strike(&plugin, &candidate);
                let detail = format!("track `{track}`: {plugin} ({candidate}): {detail}");
                self.event(Event::EncoderFailed(cause, detail, next)).await;
            }
            Report::Beat { tracks } => {
                self.watchdog.beat(&tracks, now);
                tracks.iter().for_each(|beat| self.ledger.beat(beat));
            }
            Report::ModeHolds { capture, at } => {
                let (_, why) = self.asked.pop_front().unwrap_or_default();
                // The worker of a standby that was kept too late still counts from its own start.
                let at = if self.job.origin_ns == 0 { MediaTime::ZERO } else { at };
                self.note_mode(capture, at, why);
                self.event(Event::ModeHolds).await;
            }
            Report::StandingBy { .. } => {
                (self.tell)(Notice::StandingBy);
                self.event(Event::StandingBy).await;
                self.refill().await;
            }
            Report::Kept { from } => self.kept(from),
            Report::DiskFull { detail } => {
                self.watchdog.disk_full = true;
                self.note(Cause::DiskFull, detail);
            }
            Report::DiskBack => {
                self.watchdog.disk_full = false;
                self.last_cause = None;
                (self.tell)(Notice::DiskBack);
            }
            Report::SourceEnded => {
                self.stop_sent = true;
                self.stopped_at = Some(self.now());
                self.event(Event::SourceEnded).await;
            }
            Report::SourceChanged { detail } => {
                self.pool.forget_survey();
                self.event(Event::SourceChanged(detail)).await;
            }
            Report::Failed { failure } => {
                self.pool.forget_survey();
                self.event(Event::WorkerFailed(failure)).await;
            }
            Report::Ready { refused, .. } => tell_refused(&refused),
            Report::PluginHangs { path, reason } => {
                self.suspect = false;
                self.pool.exclude(&path, &reason);
            }
            Report::Ended => {
                self.ended_well = self.stop_sent && self.in_part.is_some();
                // Its last word. A plugin or a driver may keep the process itself from ending.
                self.worker_gone().await;
            }
            Report::Surveyed { .. }
            | Report::Probed { .. }
            | Report::Devices { .. }
            | Report::Decoded { .. } => {}
        }
    }

    async fn part_opened(&mut self, track: String, part: OpenedPart) {
        let (number, encoder) = (part.number, part.encoder.clone());
        self.choice.uses(&track, &encoder.plugin, &encoder.candidate);
        self.pool.part_opened(&track, part.width, part.height);
        let file = part.init.clone();
        self.ledger.part_opened(&track, part);
        (self.tell)(Notice::File { track: track.clone(), part: number, number: 0, file });
        (self.tell)(Notice::Encoder { track, part: number, encoder });
        self.event(Event::PartOpened(number)).await;
    }

    async fn frame_on_disk(&mut self, part: PartNumber) {
        let first = self.in_part.is_none();
        if self.in_part.is_none_or(|newest| newest < part) {
            self.in_part = Some(part);
            // Whatever befell the part before is over.
            self.last_cause = self.last_cause.filter(|cause| *cause == Cause::DiskFull);
            (self.tell)(Notice::Recording { part, zero: self.ledger.manifest().zero() });
        }
        self.event(Event::FrameOnDisk).await;
        if first {
            self.refill().await;
        }
    }

    async fn refill(&mut self) {
        if let Err(error) = self.pool.refill().await {
            tracing::warn!(%error, "no spare worker");
        }
    }

    async fn worker_gone(&mut self) {
        let how = match self.worker.take() {
            Some(worker) => worker.reap().await,
            None => return,
        };
        // The next part's worker loads while this part's remains are taken in. Where none can be started, the
        // start of the part says so.
        if self.stoppable() {
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
        if self.keeping {
            self.begin_time_anew();
        }
        if let Some(newest) = self.ledger.newest_part() {
            self.event(Event::PartOpened(newest)).await;
        }
        self.strike_suspects(&how);
        self.event(Event::WorkerGone(how)).await;
    }

    async fn tick(&mut self) {
        self.wake_up().await;
        if self.worker.is_some()
            && matches!(self.state.phase, Phase::Preparing | Phase::Recording)
            && let Some(hang) = self.watchdog.verdict(Instant::now())
        {
            self.suspect &= !hang.of_source;
            self.event(Event::WorkerSilent(hang.detail)).await;
        }
        if self.job.origin_ns != 0 {
            self.follow_wall_clock();
        }
        let status = Status {
            at: self.now(),
            frames: self.ledger.frames(),
            bytes: self.ledger.bytes(),
            parts: self.ledger.parts(),
            disk_full: self.watchdog.disk_full,
        };
        (self.tell)(Notice::Status(status));
    }

    async fn event(&mut self, event: Event) {
        self.look_for_sleep();
        if event == Event::StopAsked && self.stopped_at.is_none() {
            self.stopped_at = Some(self.now());
        }
        let before = self.state.phase;
        let (state, effects) = step(self.state.clone(), event);
        self.state = state;
        self.perform(effects).await;
        if self.state.phase != before {
            self.tell_rest();
        }
    }

    fn tell_rest(&mut self) {
        if let Phase::Resting(cause) = self.state.phase {
            (self.tell)(Notice::Resting { cause });
        }
    }

    /// Does what the session says. What that brings about comes back as events of its own.
    async fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Select => self.start_selection().await,
                Effect::StopSelecting => self.selection = None,
                Effect::StartPart(part, cause) => self.start_part(part, cause).await,
                Effect::AskMode(capture) => {
                    if let Some(worker) = &mut self.worker {
                        worker.send(&Command::SetMode(capture)).await;
                    }
                }
                Effect::Keep => {
                    self.keeping = true;
                    let directory = self.job.directory.clone();
                    let look_back_ns = u64::try_from(self.look_back.as_nanos()).unwrap_or(u64::MAX);
                    if let Some(worker) = &mut self.worker {
                        worker.send(&Command::Keep { directory, look_back_ns }).await;
                    }
                }
                Effect::ModeHolds(capture) => {
                    let (asked, why) = self.asked.drain(..).next_back().unwrap_or_default();
                    // A worker that was to show the screen again may have done so before it died.
                    let at = if capture == CaptureMode::Live { asked } else { self.now() };
                    self.note_mode(capture, at, why);
                }
                Effect::Retry(pause) => self.wake = Some((Instant::now() + pause, Event::RetryDue)),
                Effect::AskStop => {
                    self.stop_sent = true;
                    if let Some(worker) = &mut self.worker {
                        worker.send(&Command::Stop).await;
                    }
                    self.wake = Some((Instant::now() + END_LIMIT, Event::DrainExpired));
                }
                Effect::AskEnd => {
                    if let Some(worker) = &mut self.worker {
                        worker.send(&Command::Stop).await;
                    }
                    self.wake = Some((Instant::now() + END_LIMIT, Event::DrainExpired));
                }
                Effect::AwaitEnd => self.wake = Some((Instant::now() + END_LIMIT, Event::DrainExpired)),
                Effect::Kill => {
                    if let Some(worker) = &mut self.worker {
                        worker.kill();
                    }
                    self.wake = Some((Instant::now() + KILL_LIMIT, Event::WorkerGone(String::new())));
                }
                Effect::Note(cause, detail) => self.note(cause, detail),
                Effect::Seal(outcome) => self.seal(outcome),
            }
        }
    }

    async fn start_part(&mut self, part: PartNumber, cause: Cause) {
        // Whatever became of the worker then: most of the gap is the sleep.
        let cause = if std::mem::take(&mut self.has_slept) { Cause::Slept } else { cause };
        // A standby's own affairs are none of the recording that it may become.
        let cause = if self.state.standby { Cause::Start } else { cause };
        self.ledger.begin_part(cause);
        (self.in_part, self.ended_well, self.suspect) = (None, false, true);
        (self.last_cause, self.has_slept) = (None, false);
        if self.state.standby {
            self.begin_time_anew();
        } else {
            self.deadline = self.deadline.or(self.max_duration.map(|duration| Instant::now() + duration));
        }
        self.watchdog = Watchdog::new(self.limits, longest_wait(&self.job), Instant::now());
        (self.job.part, self.job.capture) = (part, self.state.capture);
        if self.job.origin_ns == 0 {
            let (origin_ns, anchor) = clocks(0);
            self.job.origin_ns = origin_ns;
            self.ledger.time_begins(anchor);
        }
        self.choice.fill(&mut self.job.tracks);
        match self.pool.take().await {
            Ok(mut worker) => {
                worker.send(&Command::Start(self.job.clone())).await;
                (self.tell)(Notice::Part { part, cause, worker: worker.pid() });
                self.worker = Some(worker);
                self.pool.prepare_for(&self.job.tracks, self.choice.fallback(&self.job.tracks));
            }
            // As if it had been there and died: the session decides whether to try again.
            Err(error) => {
                let failure = Failure::new(error.fault(), error.to_string());
                let (state, mut effects) = step(self.state.clone(), Event::WorkerFailed(failure));
                let (state, more) = step(state, Event::WorkerGone("could not be started".to_owned()));
                self.state = state;
                effects.extend(more);
                effects.retain(|effect| *effect != Effect::AwaitEnd);
                Box::pin(self.perform(effects)).await;
            }
        }
    }

    fn note(&mut self, cause: Cause, detail: String) {
        if self.state.standby {
            return tracing::info!(?cause, detail, "the standby begins anew");
        }
        let at = self.now();
        self.last_cause = Some(cause);
        self.ledger.note(at, cause, detail.clone());
        (self.tell)(Notice::Incident { at, cause, detail });
    }

    fn seal(&mut self, outcome: Outcome) {
        if self.ledger.folder().is_some() {
            self.seal_manifest(outcome);
        }
        let (state, _) = step(self.state.clone(), Event::Sealed);
        self.state = state;
    }

    fn seal_manifest(&mut self, outcome: Outcome) {
        let ended = self.stopped_at.unwrap_or_else(|| self.now());
        let slack = if self.ended_well { END_SLACK } else { Duration::ZERO };
        // A part without a frame has not ended what began it.
        let begun = if self.in_part.is_some() { Cause::WorkerDied } else { self.ledger.cause() };
        self.ledger.gap_at_end(ended, slack, self.last_cause.unwrap_or(begun));
        self.unsealed = self.ledger.seal(outcome, ended).err();
    }
}

/// See [`Watchdog::new`].
fn longest_wait(job: &Job) -> Duration {
    let keepalive = job.tracks.iter().map(|track| track.keepalive_ns).max().unwrap_or(0);
    Duration::from_nanos(keepalive.max(job.fragment_ns))
}

async fn next(worker: &mut Option<Worker>) -> Option<Report> {
    match worker {
        Some(worker) => worker.next().await,
        None => std::future::pending().await,
    }
}

async fn next_step(selection: &mut Option<Selection>) -> Step {
    match selection {
        Some(selection) => selection.next().await,
        None => std::future::pending().await,
    }
}
