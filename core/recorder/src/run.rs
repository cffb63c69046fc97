//! The loop of one recording, or of a standby that may become one: it waits for events, asks the session what
//! to do, and does it.
//!
//! # Constraints
//!
//! - Any worker may die, hang or lie at any moment, and so may the PC sleep. None of that may end the
//!   recording.
//! - Only this task changes the recording's state, manifest and worker. Nothing is locked, and two events
//!   never meet: each is handled to its end, saving the manifest included, before the next one is taken.
//! - Frames do not pass through here. A handler that takes a second delays a stop and a restart by that
//!   second, but costs no footage: the worker records on, and up to 64 of its reports wait.
//!
//! # Promises
//!
//! - A stop ends: the worker has [`END_LIMIT`] to hand over what it has, then it is killed, and
//!   [`KILL_LIMIT`] after that the loop continues without it.
//! - After the first frame, every stretch without footage is a gap in the manifest, with its cause.
//! - Whatever the outcome, the manifest is sealed, or [`RecordingResult::unsealed`] says why not.
//!
//! [`RecordingResult::unsealed`]: crate::RecordingResult::unsealed
//!
//! # Not its job
//!
//! It does not decide the next step: [`step`] does, purely. It opens no source, links no GStreamer
//! element and delivers nothing. It keeps no second copy of what [`State`] knows: whether this is a standby,
//! which part is under way, and whether there is footage are read from there.
//!
//! # How
//!
//! ```text
//! reports, selection, control, timers -> Event -> session::step -> Effects -> perform
//!                                           ^                                   |
//!                                           +--- what an effect brings about ---+
//! ```
//!
//! Each file has one topic:
//!
//! - `start.rs`: `record` and `stand_by`, from setup to result.
//! - `reports.rs`: the effect of each report of a worker.
//! - `part.rs`: the worker of the part under way, from start to reaping.
//! - `selection.rs`: the selection of encoders for the next part.
//! - `notes.rs`: entries in the manifest: incidents, withheld stretches, the end.
//! - `standby.rs`: how a standby becomes a recording.
//! - `time.rs`: media time when the wall clock jumps or the PC sleeps.

mod start;

mod reports;

mod part;
mod selection;

mod notes;
mod standby;
mod time;

pub use start::{record, stand_by};

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use deskreel_model::MediaTime;
use deskreel_model::manifest::Cause;
use deskreel_model::worker::{Command, Job, Report, TrackJob};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use crate::control::{Control, Rest};
use crate::encoder_choice::EncoderChoice;
use crate::job::DRAIN_LIMIT;
use crate::ledger::Ledger;
use crate::notice::{Notice, RecordingProgress};
use crate::pool::Pool;
use crate::select::{Selection, SelectionStep};
use crate::session::{Effect, Event, Phase, State, step};
use crate::watchdog::Limits;
use part::{PartEnd, PartInProgress};
use standby::Standby;
use time::SleepWatch;

/// Time from asking a worker to end until it is killed. Of this, the encoders get `DRAIN_LIMIT`
/// and its writers 300 ms.
const END_LIMIT: Duration = DRAIN_LIMIT.saturating_add(Duration::from_millis(600));
/// Time from SIGKILL until the loop continues without waiting for the process to disappear.
const KILL_LIMIT: Duration = Duration::from_millis(300);
/// Interval between checks of the watchdog and the clocks.
const TICK: Duration = Duration::from_millis(250);

struct RecordingRun<'a, T> {
    state: State,
    settings: Settings,
    choice: EncoderChoice,
    selection: Option<Selection>,
    ledger: Ledger,
    standby: Standby,
    /// The job of the next worker, or of the present one.
    job: Job,
    pool: &'a mut Pool,
    tell: T,
    /// Present while there is a worker that records.
    part: Option<PartInProgress>,
    /// How the last part ended.
    last_end: PartEnd,
    /// The one thing that the session waits for, and when.
    wake: Option<(Instant, Event)>,
    /// When `max_duration` is over.
    deadline: Option<Instant>,
    /// Somebody watches until then.
    watched_until: Option<Instant>,
    /// When a stop was requested, or the source ended.
    stopped_at: Option<MediaTime>,
    /// Mode requests that the worker has not confirmed yet, oldest first.
    unconfirmed: VecDeque<ModeRequest>,
    /// Cause of the newest incident that may explain why footage is missing now.
    missing_because: Option<Cause>,
    sleep: SleepWatch,
    unsealed: Option<deskreel_spool::Error>,
}

/// Values that stay the same from start to end.
struct Settings {
    /// The requested tracks, without encoders.
    tracks: Vec<TrackJob>,
    /// The folder of the recordings.
    directory: PathBuf,
    limits: Limits,
    /// Counted from the start of the first part, so that trying encoders does not shorten the recording.
    max_duration: Option<Duration>,
}

/// A request to set the capture mode.
struct ModeRequest {
    at: MediaTime,
    /// The reason, for the manifest.
    why: String,
}

impl<T: FnMut(Notice)> RecordingRun<'_, T> {
    async fn run(&mut self, control: &mut mpsc::Receiver<Control>) {
        let mut tick = tokio::time::interval(TICK);
        let mut control_open = true;
        let far = Instant::now() + Duration::from_secs(u64::from(u32::MAX));
        while !self.state.is_ended() {
            let wake = self.wake.as_ref().map_or(far, |(at, _)| *at);
            let stop_at = self.deadline.filter(|_| self.is_stoppable()).unwrap_or(far);
            tokio::select! {
                report = next_report(&mut self.part) => match report {
                    Some(report) => self.report(report).await,
                    None => self.worker_gone().await,
                },
                step = next_step(&mut self.selection) => match step {
                    SelectionStep::Trying(trying) => (self.tell)(Notice::Trying(trying)),
                    SelectionStep::Done(done) => self.selected(*done).await,
                },
                command = control.recv(), if control_open => match command {
                    Some(control) => self.control(control).await,
                    None => control_open = false,
                },
                () = sleep_until(wake.into()) => {
                    match self.wake.take() {
                        // The process does not even obey SIGKILL: a driver holds it. Continue without its
                        // last reports.
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

    async fn control(&mut self, control: Control) {
        match control {
            Control::Stop => self.event(Event::StopAsked).await,
            Control::SetMode { capture, why } => self.set_mode(capture, why).await,
            Control::Watch { time, joins } => {
                self.watched_until = Some(Instant::now() + time);
                self.send(&watch(time, joins)).await;
            }
            Control::Keep(keep) => self.keep(keep).await,
            Control::Rest(Rest { cause, why }) => self.event(Event::RestAsked(cause, why)).await,
            Control::GoOn => self.event(Event::RestOver).await,
        }
    }

    async fn tick(&mut self) {
        self.wake_up().await;
        self.check_worker().await;
        if self.job.origin_ns != 0 {
            self.follow_wall_clock();
        }
        let progress = RecordingProgress {
            at: self.now(),
            frames: self.ledger.frames(),
            bytes: self.ledger.bytes(),
            parts: self.ledger.parts(),
            disk_full: self.is_disk_full(),
        };
        (self.tell)(Notice::Progress(progress));
    }

    /// Returns whether no stop is under way yet.
    fn is_stoppable(&self) -> bool {
        !matches!(self.state.phase, Phase::Draining | Phase::Closing | Phase::Ended)
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

    /// Carries out the session's effects. Their outcomes come back as events.
    async fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Select => self.start_selection().await,
                Effect::StopSelecting => self.selection = None,
                Effect::StartPart(part, cause) => self.start_part(part, cause).await,
                Effect::AskMode(capture) => self.send(&Command::SetMode(capture)).await,
                Effect::Keep => self.ask_to_keep().await,
                Effect::ModeHolds(capture) => self.mode_holds_without_worker(capture),
                Effect::Retry(pause) => self.wake_after(pause, Event::RetryDue),
                Effect::AskStop => {
                    if let Some(part) = &mut self.part {
                        part.is_asked_to_stop = true;
                    }
                    self.ask_end().await;
                }
                Effect::AskEnd => self.ask_end().await,
                Effect::AwaitEnd => self.wake_after(END_LIMIT, Event::DrainExpired),
                Effect::Kill => {
                    if let Some(part) = &mut self.part {
                        part.worker.kill();
                    }
                    self.wake_after(KILL_LIMIT, Event::WorkerGone(String::new()));
                }
                Effect::Note(cause, detail) => self.note(cause, detail),
                Effect::Seal(outcome) => self.seal(outcome),
            }
        }
    }

    async fn ask_end(&mut self) {
        self.send(&Command::Stop).await;
        self.wake_after(END_LIMIT, Event::DrainExpired);
    }

    /// Sends a command to the worker, if there is one.
    async fn send(&mut self, command: &Command) {
        if let Some(part) = &mut self.part {
            part.worker.send(command).await;
        }
    }

    fn wake_after(&mut self, pause: Duration, event: Event) {
        self.wake = Some((Instant::now() + pause, event));
    }
}

fn watch(time: Duration, joins: bool) -> Command {
    Command::Watch { time_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), joins }
}

async fn next_report(part: &mut Option<PartInProgress>) -> Option<Report> {
    match part {
        Some(part) => part.worker.next().await,
        None => std::future::pending().await,
    }
}

async fn next_step(selection: &mut Option<Selection>) -> SelectionStep {
    match selection {
        Some(selection) => selection.next().await,
        None => std::future::pending().await,
    }
}
