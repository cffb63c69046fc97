//! From a setup to a result: a recording, which has a folder from the start, or a standby, which has none at
//! first.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::worker::Job;
use deskreel_model::{Manifest, MediaTime, RecordingId};
use deskreel_spool::RecordingDir;
use tokio::sync::mpsc;

use super::part::PartEnd;
use super::standby::Standby;
use super::time::SleepWatch;
use super::{RecordingRun, Settings};
use crate::Error;
use crate::clocks::{clocks, new_id};
use crate::control::Control;
use crate::encoder_choice::EncoderChoice;
use crate::ledger::Ledger;
use crate::notice::{Notice, RecordingResult};
use crate::pool::Pool;
use crate::session::{Effect, State};
use crate::setup::RecordingSetup;

/// Records until a stop is asked for or it cannot go on. Whatever happens, the footage is sealed and
/// playable; an error means that there is no recording at all.
pub async fn record(
    setup: RecordingSetup,
    pool: &mut Pool,
    control: &mut mpsc::Receiver<Control>,
    tell: impl FnMut(Notice),
) -> Result<RecordingResult, Error> {
    // First of all, so that the worker loads while we prepare.
    pool.warm().await?;
    let recording = setup.recording.clone().unwrap_or_else(new_id);
    let folder = RecordingDir::create(&setup.directory, &recording)?;
    let path = folder.path().to_owned();
    let (mut run, effects) = RecordingRun::new(setup, None, recording.clone(), pool, tell);
    run.begin(recording, folder, |_| {});
    run.through(effects, control).await;
    Ok(run.finished(path))
}

/// Captures and encodes into memory, holding the last `preroll`, until it is asked to keep that. From then on
/// it is a recording that began earlier, and continues like any other. Nothing is on disk until then. Returns
/// `None` if it was stopped before.
///
/// If a worker ends meanwhile, another one takes its place, and the footage in the first one's memory is
/// lost.
pub async fn stand_by(
    setup: RecordingSetup,
    preroll: Duration,
    pool: &mut Pool,
    control: &mut mpsc::Receiver<Control>,
    tell: impl FnMut(Notice),
) -> Result<Option<RecordingResult>, Error> {
    pool.warm().await?;
    // This id is never used: a recording is named for its start.
    let (mut run, effects) = RecordingRun::new(setup, Some(preroll), new_id(), pool, tell);
    run.through(effects, control).await;
    match std::mem::replace(&mut run.standby, Standby::Settled) {
        Standby::Failed(error) => Err(error),
        _ => Ok(run.ledger.folder().map(Path::to_owned).map(|folder| run.finished(folder))),
    }
}

impl<'a, T: FnMut(Notice)> RecordingRun<'a, T> {
    fn new(
        setup: RecordingSetup,
        standby: Option<Duration>,
        recording: RecordingId,
        pool: &'a mut Pool,
        tell: T,
    ) -> (Self, Vec<Effect>) {
        let RecordingSetup {
            pipeline,
            directory,
            job,
            max_duration,
            limits,
            agent,
            place,
            capture,
            why,
            rest,
            ..
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
        // Media time begins with the first part.
        let preroll_ns = standby.map(|length| u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
        let job = Job { origin_ns: 0, preroll_ns, ..job };
        let mut choice = EncoderChoice::new(&job.tracks);
        let known = pool.recall(&job.tracks).is_some_and(|tried| choice.select(tried).is_ok());
        let (state, effects) = State::start(known, capture, standby.is_some(), cause);
        let tracks = job.tracks.clone();
        let run = RecordingRun {
            state,
            settings: Settings { tracks, directory, limits, max_duration },
            choice,
            selection: None,
            ledger,
            standby: Standby::Settled,
            job,
            pool,
            tell,
            part: None,
            last_end: PartEnd::default(),
            wake: None,
            deadline: None,
            watched_until: None,
            stopped_at: None,
            unconfirmed: VecDeque::new(),
            missing_because: None,
            sleep: SleepWatch::new(),
            unsealed: None,
        };
        (run, effects)
    }

    /// Runs from the first effect to the end.
    async fn through(&mut self, effects: Vec<Effect>, control: &mut mpsc::Receiver<Control>) {
        let capture = self.state.capture;
        if capture != CaptureMode::Live {
            (self.tell)(Notice::ModeHolds { at: MediaTime::ZERO, capture });
        }
        self.perform(effects).await;
        self.tell_rest();
        self.run(control).await;
    }

    /// There is a folder, so there is a recording.
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

    fn finished(self, folder: PathBuf) -> RecordingResult {
        RecordingResult { folder, manifest: self.ledger.manifest().clone(), unsealed: self.unsealed }
    }
}
