//! What is recorded: begun when it is wanted, ended when it is not, and begun again when it ended by itself.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use deskreel_model::manifest::Outcome;
use deskreel_model::{AgentId, MediaTime, RecordingId};
use deskreel_recorder::{Control, Error, Finished, Notice};

use super::Seat;
use crate::delivery::Progress;
use crate::lanes::{Order, Told};
use crate::now;
use deskreel_desk::news::What;
use deskreel_desk::status::{Phase, Running};

/// Before a recording that failed is tried again: the first, second, ... time; the last repeats.
const PAUSES_S: [u64; 5] = [0, 1, 2, 5, 15];

/// Before it is tried again whether a recording could begin: screens and drivers come up later than services.
const PREPARE_PAUSE: Duration = Duration::from_secs(15);

impl Seat {
    /// Begins what is wanted and does not run.
    pub(super) fn strive(&mut self) {
        let is_running =
            self.status.recording.as_ref().is_some_and(|running| running.phase != Phase::Stopping);
        let Some(wanted) = self.wanted.as_ref().filter(|_| !is_running) else { return };
        let (agent, capture, why) = (wanted.agent.clone(), wanted.capture, wanted.why.clone());
        // The first one has the id that the server gave; what goes on for it has another.
        let ordered = wanted.ordered.clone().filter(|id| !self.folder(id).exists());
        let recording = ordered.unwrap_or_else(deskreel_recorder::new_id);
        if let Err(hindrance) = self.stock.admit(&recording, &agent, &why) {
            return self.not_started(agent, hindrance);
        }
        let since = now();
        if self.served.is_none() {
            self.unsettled.began(recording.clone(), agent.clone(), since, self.folder(&recording));
        }
        self.tell(What::Starting {
            recording: recording.clone(),
            agent: agent.clone(),
            capture,
            why: why.clone(),
        });
        self.status.recording = Some(Running {
            recording: recording.clone(),
            agent: agent.clone(),
            phase: Phase::Starting,
            capture,
            why: why.clone(),
            since,
            media: MediaTime::ZERO,
            frames: Default::default(),
            bytes: 0,
            parts: 0,
            disk_full: false,
            resting: None,
            encoder: None,
        });
        self.waiting.begun(&recording, capture);
        self.lanes.begin(Order { recording, agent, place: self.place.clone(), capture, why });
    }

    /// While an agent is here and nothing is recorded, the last moments are kept in memory, where the file says so.
    pub(super) fn stand_by(&mut self) {
        match (&self.status.agent, &self.status.recording) {
            (Some(_), None) if self.no_standby_until <= Instant::now() => self.lanes.stand_by(),
            (None, _) => self.lanes.stand_down(),
            (Some(_), _) => {}
        }
    }

    fn folder(&self, recording: &RecordingId) -> PathBuf {
        self.lanes.making().graph.recording.directory.join(recording.as_str())
    }

    /// It is tried again for as long as it is wanted.
    fn not_started(&mut self, agent: AgentId, why: String) {
        tracing::warn!(%agent, why, "a recording could not begin");
        let pause = PAUSES_S[(self.failures + 1).min(PAUSES_S.len() - 1)];
        self.failures += 1;
        self.status.counts.failed += 1;
        self.retry_at = Some(Instant::now() + Duration::from_secs(pause));
        if self.hindered.as_ref() != Some(&why) {
            self.tell(What::NotStarted { agent, why: why.clone() });
        }
        self.hindered = Some(why);
    }

    pub(super) fn stop(&mut self, recording: &RecordingId, why: &str) {
        self.lanes.control(recording, Control::Stop);
        if let Some(running) = self.status.recording.as_mut().filter(|r| r.recording == *recording) {
            running.phase = Phase::Stopping;
        }
        self.tell(What::Stopping { recording: recording.clone(), why: why.to_owned() });
    }

    pub(super) fn told(&mut self, told: Told) {
        match told {
            Told::Notice(recording, notice) => self.notice(&recording, notice),
            Told::Ended(recording, result) => self.ended(recording, result),
            Told::StoodDown(Ok(())) => {}
            Told::StoodDown(Err(error)) => {
                tracing::warn!(%error, "nothing of before a recording is kept");
                self.no_standby_until = Instant::now() + PREPARE_PAUSE;
            }
            Told::Ready(ready) => {
                if ready.is_ok() {
                    tracing::info!("ready");
                }
                self.unready = ready.err().map(|error| format!("a recording could not begin: {error}"));
                self.prepare_at = self.unready.as_ref().map(|_| Instant::now() + PREPARE_PAUSE);
                self.look_at_health();
            }
        }
    }

    /// What happened to a delivery.
    pub(super) fn delivered(&mut self, progress: Progress) {
        match progress {
            Progress::Delivered { sink, recording, place } => {
                self.tell(What::Delivered { recording, sink: sink.to_string(), place });
            }
            Progress::Refused { sink, recording, reason } => {
                self.tell(What::RefusedBySink { recording, sink: sink.to_string(), reason });
            }
            Progress::Failed { sink, recording, reason } => {
                tracing::warn!(%sink, recording, reason, "not delivered; it is tried again");
            }
            Progress::Left { recording } => tracing::info!(%recording, "has left the spool"),
            Progress::Fragment { .. } => {}
        }
    }

    fn notice(&mut self, recording: &RecordingId, notice: Notice) {
        let id = recording.clone();
        self.stock.notice(recording, &notice);
        let running = self.status.recording.as_mut().filter(|running| running.recording == *recording);
        match (notice, running) {
            (Notice::Resting { cause }, Some(running)) => running.resting = Some(cause),
            (Notice::Recording { zero, .. }, Some(running)) if running.phase == Phase::Starting => {
                running.resting = None;
                running.phase = Phase::Recording;
                running.since = zero.unwrap_or(running.since);
                (self.failures, self.hindered, self.unready) = (0, None, None);
                self.grew_at = Instant::now();
                self.status.counts.started += 1;
                self.look_at_health();
                self.tell(What::Started { recording: id });
            }
            (Notice::Recording { .. }, Some(running)) => {
                running.resting = None;
                self.grew_at = Instant::now();
            }
            (Notice::ModeHolds { at, capture }, running) => {
                if let Some(running) = running {
                    running.capture = capture;
                }
                let why = self.wanted.as_ref().map_or(String::new(), |wanted| wanted.capture_why.clone());
                self.tell(What::ModeHolds { recording: id, capture, media: at, why });
                self.waiting.mode_holds(recording, capture);
            }
            (Notice::Incident { at, cause, detail }, _) => {
                self.tell(What::Incident { recording: id, media: at, cause, detail });
            }
            (Notice::Status(status), Some(running)) => {
                if running.frames.captured != status.frames.captured {
                    self.grew_at = Instant::now();
                }
                running.media = status.at;
                running.frames = status.frames;
                running.bytes = status.bytes;
                running.parts = status.parts;
                running.disk_full = status.disk_full;
            }
            (Notice::Encoder { encoder, .. }, Some(running)) => {
                running.encoder = Some(format!("{} ({})", encoder.plugin, encoder.candidate));
            }
            _ => {}
        }
    }

    fn ended(&mut self, recording: RecordingId, result: Result<Finished, Error>) {
        let was = self.status.recording.take_if(|running| running.recording == recording);
        let agent = was.as_ref().map(|running| running.agent.clone());
        let failure = match &result {
            Ok(finished) => self.sealed(&recording, finished),
            Err(error) => Some(error.to_string()),
        };
        self.unsettled.ended(&recording, now());
        self.stock.ended(&recording, &result);
        self.release_served(&recording, agent.as_ref().map(ToString::to_string));
        self.waiting.sealed(&recording);
        if was.is_none_or(|running| running.phase == Phase::Stopping) {
            return self.strive();
        }
        // It ended by itself. What still is wanted begins again, at once the first time.
        let why = failure.unwrap_or_else(|| "the source has nothing more to give".to_owned());
        if let Some(agent) = agent.filter(|_| self.wanted.is_some()) {
            self.not_started(agent, why);
        }
    }

    /// Why it is a failure, if it is one.
    fn sealed(&mut self, recording: &RecordingId, finished: &Finished) -> Option<String> {
        let manifest = &finished.manifest;
        let outcome = manifest.outcome.clone().unwrap_or(Outcome::Recovered);
        let duration = manifest.tracks.iter().filter_map(|track| track.end()).max();
        self.status.counts.sealed += 1;
        self.tell(What::Sealed {
            recording: recording.clone(),
            outcome: outcome.clone(),
            duration: duration.unwrap_or(MediaTime::ZERO),
            frames: manifest.tracks.iter().map(|track| track.frames().encoded).sum(),
            gaps: manifest.tracks.iter().map(|track| track.gaps.len()).sum(),
        });
        match outcome {
            Outcome::Failed { failure } => Some(failure.to_string()),
            _ => None,
        }
    }

    /// A recording that takes the last of the disk ends while its end can still be written.
    pub(super) fn look_at_room(&mut self) {
        self.stock.refresh(&mut self.status.spool);
        let Some(running) = &self.status.recording else { return };
        if running.phase != Phase::Stopping
            && let Some(why) = self.stock.must_end()
        {
            let recording = running.recording.clone();
            self.hindered = Some(why.clone());
            self.stop(&recording, &why);
        }
    }
}
