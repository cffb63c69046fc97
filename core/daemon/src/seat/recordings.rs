//! The recording: begun when it is wanted, ended when it is not, and begun again if it ended by itself.

use std::time::Duration;

use deskreel_contract::RecordingAbout;
use deskreel_desk::news::What;
use deskreel_desk::status::{Phase, Running, SpoolStatus};
use deskreel_interaction::{Command, RecorderCommand};
use deskreel_model::manifest::Outcome;
use deskreel_model::{AgentId, MediaTime, RecordingId};
use deskreel_recorder::{Control, Notice};

use super::{Effect, Ending, Now, Seating, State, WantedFootage, Warning};
use crate::recording_slots::StartOrder;

/// Pauses before a failed recording is tried again, in seconds: before the first, second, ... retry. The last
/// repeats.
const RETRY_PAUSES_S: [u64; 5] = [0, 1, 2, 5, 15];

/// Pause before the sources and encoders, or a standby, are tried again: screens and drivers come up later
/// than services, and a screen may go at any time.
pub(super) const PREPARE_PAUSE: Duration = Duration::from_secs(15);

impl State {
    // Wanted footage.

    /// Returns whether the command is for this recorder. Without a place it is, since the agent has not
    /// logged in anywhere.
    pub(super) fn is_here(&self, commanded: &RecorderCommand) -> bool {
        commanded.place.as_ref().is_none_or(|place| place == self.place())
    }

    /// A command for another place is for the recorder there.
    pub(super) fn leave_to_others(&self, commanded: RecorderCommand, out: &mut Vec<Effect>) {
        if let (Command::Start { .. }, Some(place)) = (commanded.command, commanded.place) {
            out.push(Effect::Warn(Warning::Elsewhere { agent: commanded.agent, place }));
        }
    }

    pub(super) fn want(&mut self, commanded: &RecorderCommand) {
        let RecorderCommand { agent, command, why, .. } = commanded;
        match command {
            Command::Start { capture } => {
                self.wanted = Some(WantedFootage {
                    agent: agent.clone(),
                    capture: *capture,
                    why: why.clone(),
                    capture_why: why.clone(),
                    assigned: None,
                    is_assigned_taken: false,
                    seating: Seating::default(),
                });
            }
            Command::Stop => drop(self.wanted.take_if(|wanted| wanted.agent == *agent)),
            Command::SetMode { capture } => {
                if let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.agent == *agent) {
                    wanted.capture = *capture;
                    wanted.capture_why.clone_from(why);
                }
            }
        }
    }

    /// Brings the recording in line with a policy's command.
    pub(super) fn follow(&mut self, commanded: RecorderCommand, out: &mut Vec<Effect>) {
        let running = self.current().filter(|running| running.agent == commanded.agent);
        match (commanded.command, running.map(|running| running.recording.clone())) {
            (Command::Start { .. }, _) => self.replace(out),
            (Command::Stop, Some(recording)) => self.stop(&recording, "nothing wants it any longer", out),
            (Command::SetMode { capture }, Some(recording)) => {
                out.push(Effect::Control(recording, Control::SetMode { capture, why: commanded.why }));
            }
            (Command::Stop | Command::SetMode { .. }, None) => {}
        }
    }

    /// Ends the running recording, which is no longer wanted, and begins the wanted one.
    pub(super) fn replace(&mut self, out: &mut Vec<Effect>) {
        if let Some(other) = self.current_id() {
            self.stop(&other, "another recording begins", out);
        }
        self.failures = 0;
        self.deadlines.retry = None;
        self.hindrances.last_start = None;
        self.strive(out);
    }

    // From start to end.

    /// Begins the wanted footage if it does not run yet.
    pub(super) fn strive(&mut self, out: &mut Vec<Effect>) {
        let Some(wanted) = self.wanted.as_ref().filter(|_| self.current().is_none()) else { return };
        if self.server.is_some() && self.other_agent(&wanted.agent, &wanted.seating).is_some() {
            // The screen shows somebody else's work by now.
            self.wanted = None;
            return;
        }
        let assigned = wanted.assigned.clone().filter(|_| !wanted.is_assigned_taken);
        out.push(Effect::Admit { assigned, agent: wanted.agent.clone(), why: wanted.why.clone() });
    }

    pub(super) fn begin(&mut self, recording: RecordingId, now: Now, out: &mut Vec<Effect>) {
        let Some(wanted) = &self.wanted else { return };
        let (agent, capture, why) = (wanted.agent.clone(), wanted.capture, wanted.why.clone());
        out.push(Effect::Publish(What::Starting {
            recording: recording.clone(),
            agent: agent.clone(),
            capture,
            why: why.clone(),
        }));
        self.status.recording = Some(Running {
            recording: recording.clone(),
            agent: agent.clone(),
            phase: Phase::Starting,
            capture,
            why: why.clone(),
            since: now.utc,
            media: MediaTime::ZERO,
            frames: Default::default(),
            bytes: 0,
            parts: 0,
            disk_full: false,
            resting: None,
            encoder: None,
        });
        self.pending.begun(&recording, capture, out);
        self.has_standby = false;
        out.push(Effect::Begin(StartOrder { recording, agent, place: self.place().clone(), capture, why }));
    }

    /// A start failed, or a recording ended by itself. It is tried again for as long as it is wanted.
    pub(super) fn not_started(&mut self, agent: AgentId, why: String, now: Now, out: &mut Vec<Effect>) {
        out.push(Effect::Warn(Warning::NotStarted { agent: agent.clone(), why: why.clone() }));
        let pause = RETRY_PAUSES_S[(self.failures + 1).min(RETRY_PAUSES_S.len() - 1)];
        self.failures += 1;
        self.status.counts.failed += 1;
        self.deadlines.retry = Some(now.uptime + Duration::from_secs(pause));
        if self.hindrances.last_start.as_ref() != Some(&why) {
            out.push(Effect::Publish(What::NotStarted { agent, why: why.clone() }));
        }
        self.hindrances.last_start = Some(why);
    }

    pub(super) fn stop(&mut self, recording: &RecordingId, why: &str, out: &mut Vec<Effect>) {
        out.push(Effect::Control(recording.clone(), Control::Stop));
        if let Some(running) = self.status.recording.as_mut().filter(|r| r.recording == *recording) {
            running.phase = Phase::Stopping;
        }
        out.push(Effect::Publish(What::Stopping { recording: recording.clone(), why: why.to_owned() }));
    }

    /// Handles a report of the running recording.
    pub(super) fn notice(&mut self, recording: RecordingId, notice: Notice, now: Now, out: &mut Vec<Effect>) {
        let running = self.status.recording.as_mut().filter(|running| running.recording == recording);
        match (notice, running) {
            (Notice::Began { .. }, _) => self.take_assigned(&recording),
            (Notice::Resting { cause }, Some(running)) => running.resting = Some(cause),
            (Notice::Recording { zero, .. }, Some(running)) if running.phase == Phase::Starting => {
                running.resting = None;
                running.phase = Phase::Recording;
                running.since = zero.unwrap_or(running.since);
                self.failures = 0;
                (self.hindrances.last_start, self.hindrances.encoders) = (None, None);
                self.hindrances.grew = now.uptime;
                self.status.counts.started += 1;
                out.push(Effect::Publish(What::Started { recording }));
            }
            (Notice::Recording { .. }, Some(running)) => {
                running.resting = None;
                self.hindrances.grew = now.uptime;
            }
            (Notice::ModeHolds { at, capture }, running) => {
                running.into_iter().for_each(|running| running.capture = capture);
                let why = self.wanted.as_ref().map_or(String::new(), |wanted| wanted.capture_why.clone());
                let id = recording.clone();
                out.push(Effect::Publish(What::ModeHolds { recording: id, capture, media: at, why }));
                self.pending.mode_holds(&recording, capture, out);
            }
            (Notice::Incident { at, cause, detail }, _) => {
                out.push(Effect::Publish(What::Incident { recording, media: at, cause, detail }));
            }
            (Notice::Progress(status), Some(running)) => {
                if running.frames.captured != status.frames.captured {
                    self.hindrances.grew = now.uptime;
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

    fn take_assigned(&mut self, recording: &RecordingId) {
        if let Some(wanted) = &mut self.wanted {
            wanted.is_assigned_taken |= wanted.assigned.as_ref() == Some(recording);
        }
    }

    pub(super) fn ended(&mut self, recording: RecordingId, ending: Ending, now: Now, out: &mut Vec<Effect>) {
        let ended = self.status.recording.take_if(|running| running.recording == recording);
        let agent = ended.as_ref().map(|running| running.agent.clone());
        let failure = match ending {
            Ending::Sealed { outcome, duration, frames, gaps } => {
                self.status.counts.sealed += 1;
                let failure = match &outcome {
                    Outcome::Failed { failure } => Some(failure.to_string()),
                    _ => None,
                };
                let recording = recording.clone();
                out.push(Effect::Publish(What::Sealed { recording, outcome, duration, frames, gaps }));
                failure
            }
            Ending::Failed(why) => Some(why),
        };
        if let Some(server) = &mut self.server {
            // The server knows what the recording belongs to; nothing has to become final here.
            let about = RecordingAbout {
                agent: agent.as_ref().map(ToString::to_string),
                place: Some(self.status.place.to_string()),
                tags: server.take_tags(),
                ..RecordingAbout::default()
            };
            out.push(Effect::Release(recording.clone(), about));
        }
        self.pending.sealed(&recording, out);
        if ended.is_none_or(|running| running.phase == Phase::Stopping) {
            return self.strive(out);
        }
        // It ended by itself. If it is still wanted, another begins: without a pause the first time.
        let why = failure.unwrap_or_else(|| "the source has nothing more to deliver".to_owned());
        if let Some(agent) = agent.filter(|_| self.wanted.is_some()) {
            self.not_started(agent, why, now, out);
        }
    }

    // Around the recording.

    /// Keeps the last moments in memory while an agent is here and nothing is recorded.
    pub(super) fn keep_standby(&mut self, now: Now, out: &mut Vec<Effect>) {
        match (&self.status.agent, &self.status.recording) {
            _ if self.is_going_down => {}
            (Some(_), None) if !self.has_standby && self.deadlines.standby_after <= now.uptime => {
                self.has_standby = true;
                out.push(Effect::StandBy);
            }
            (None, _) if self.has_standby => {
                self.has_standby = false;
                out.push(Effect::StandDown);
            }
            _ => {}
        }
    }

    pub(super) fn standby_ended(&mut self, result: Result<(), String>, now: Now) {
        self.has_standby = false;
        if result.is_err() {
            self.deadlines.standby_after = now.uptime + PREPARE_PAUSE;
            self.deadlines.prepare = Some(now.uptime);
        }
    }

    pub(super) fn prepared(&mut self, result: Result<(), String>, now: Now) {
        self.hindrances.encoders = result.err();
        self.deadlines.prepare = Some(now.uptime + PREPARE_PAUSE);
    }

    /// A recording that takes the last of the disk ends while its end can still be written.
    pub(super) fn check_room(&mut self, spool: SpoolStatus, must_end: Option<String>, out: &mut Vec<Effect>) {
        self.status.spool = spool;
        if let (Some(why), Some(recording)) = (must_end, self.current_id()) {
            self.hindrances.last_start = Some(why.clone());
            self.stop(&recording, &why, out);
        }
    }
}
