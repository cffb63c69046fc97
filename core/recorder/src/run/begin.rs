//! How a recording comes to be, with a folder from the start or first without one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deskreel_contract::CaptureMode;
use deskreel_model::worker::Job;
use deskreel_model::{Manifest, MediaTime, RecordingId};
use deskreel_spool::RecordingDir;
use tokio::sync::mpsc;

use super::{Run, longest_wait};
use crate::Error;
use crate::choice::Choice;
use crate::clocks::{Sleep, clocks, new_id};
use crate::ledger::Ledger;
use crate::notice::{Finished, Notice};
use crate::pool::Pool;
use crate::session::{Effect, State};
use crate::setup::{Control, Setup};
use crate::watchdog::Watchdog;

/// Records until it is told to stop or cannot go on. Whatever happens, what was recorded is sealed and playable;
/// an error means that there is no recording at all.
pub async fn record(
    setup: Setup,
    pool: &mut Pool,
    control: &mut mpsc::Receiver<Control>,
    tell: impl FnMut(Notice),
) -> Result<Finished, Error> {
    // First of all, so that it loads while we prepare.
    pool.warm().await?;
    let recording = setup.recording.clone().unwrap_or_else(new_id);
    let folder = RecordingDir::create(&setup.directory, &recording)?;
    let path = folder.path().to_owned();
    let (mut run, effects) = Run::new(setup, None, recording.clone(), pool, tell);
    run.begin(recording, folder, |_| {});
    run.through(effects, control).await;
    Ok(run.finished(path))
}

/// Captures and encodes into memory, `preroll` of it, until it is told to keep that: then it is a recording that began
/// before, and goes on like any other. Nothing is on disk until then. `None` where it was stopped before.
///
/// Whatever ends a worker meanwhile, another one takes its place, and what the first had in memory is lost.
pub async fn stand_by(
    setup: Setup,
    preroll: Duration,
    pool: &mut Pool,
    control: &mut mpsc::Receiver<Control>,
    tell: impl FnMut(Notice),
) -> Result<Option<Finished>, Error> {
    pool.warm().await?;
    // It has no name of its own: a recording is named for its start.
    let (mut run, effects) = Run::new(setup, Some(preroll), new_id(), pool, tell);
    run.through(effects, control).await;
    match run.not_kept.take() {
        Some(error) => Err(error),
        None => Ok(run.ledger.folder().map(Path::to_owned).map(|folder| run.finished(folder))),
    }
}

impl<'a, T: FnMut(Notice)> Run<'a, T> {
    fn new(
        setup: Setup,
        standby: Option<Duration>,
        recording: RecordingId,
        pool: &'a mut Pool,
        tell: T,
    ) -> (Self, Vec<Effect>) {
        let Setup {
            pipeline, directory, job, max_duration, limits, agent, place, capture, why, rest, ..
        } = setup;
        let (_, anchor) = clocks(0);
        let tracks: Vec<String> = job.tracks.iter().map(|track| track.track.clone()).collect();
        let manifest = Manifest::new(recording, pipeline, &tracks, anchor);
        let mut ledger = Ledger::new(None, Manifest { agent, place, ..manifest });
        ledger.note_mode(capture, MediaTime::ZERO, why);
        let cause = rest.as_ref().map(|rest| rest.cause);
        if let Some(rest) = rest.filter(|_| standby.is_none()) {
            ledger.note(MediaTime::ZERO, rest.cause, rest.why);
        }
        // Time begins with the first part.
        let preroll_ns = standby.map(|length| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        let job = Job { origin_ns: 0, preroll_ns, ..job };
        let mut choice = Choice::new(&job.tracks);
        let known = pool.recall(&job.tracks).is_some_and(|tried| choice.select(tried).is_ok());
        let (state, effects) = State::start(known, capture, standby.is_some(), cause);
        let run = Run {
            state,
            tracks: job.tracks.clone(),
            choice,
            selection: None,
            ledger,
            directory,
            keeping: false,
            look_back: Duration::ZERO,
            not_kept: None,
            watchdog: Watchdog::new(limits, longest_wait(&job), Instant::now()),
            job,
            pool,
            tell,
            limits,
            max_duration,
            deadline: None,
            worker: None,
            wake: None,
            in_part: None,
            suspect: false,
            ended_well: false,
            stop_sent: false,
            stopped_at: None,
            asked: VecDeque::new(),
            last_cause: None,
            sleep: Sleep::new(),
            has_slept: false,
            unsealed: None,
        };
        (run, effects)
    }

    /// From its first effect to its last.
    async fn through(&mut self, effects: Vec<Effect>, control: &mut mpsc::Receiver<Control>) {
        let capture = self.state.capture;
        if capture != CaptureMode::Live {
            (self.tell)(Notice::ModeHolds { at: MediaTime::ZERO, capture });
        }
        self.perform(effects).await;
        self.tell_rest();
        self.run(control).await;
    }

    /// It has a folder: it is a recording.
    pub(super) fn begin(
        &mut self,
        recording: RecordingId,
        folder: RecordingDir,
        about: impl FnOnce(&mut Manifest),
    ) {
        let path = folder.path().to_owned();
        self.job.directory.clone_from(&path);
        self.ledger.keep(folder, about);
        (self.tell)(Notice::Began { recording, folder: path });
    }

    fn finished(self, folder: PathBuf) -> Finished {
        Finished { folder, manifest: self.ledger.manifest().clone(), unsealed: self.unsealed }
    }
}
