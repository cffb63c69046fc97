//! Footage that was commanded: its start and stop at a recorder, the recordings made of it, and its rows in
//! the index.

use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::link::{self, Command, CommandId, CommandKind};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Place, RecordingId, Utc};

use super::write_behind::IndexUpdate;
use super::{KnownRecorder, Loop, now};
use crate::db::footage::{NewFootage, StoredFootage};
use crate::db::recorders::Recorder;
use crate::error::{Error, Result};
use crate::names::RecorderId;
use crate::secret;
use crate::segments::Stretch;
use crate::time::to_ms;

/// Time within which a recorder has to obey; afterwards it must refuse the command.
const DEADLINE: Duration = Duration::from_secs(30);
/// Commanded footage begins at its event, except for the time that the command takes.
const SLACK: Duration = Duration::from_secs(5);

/// Footage that was commanded and is not final.
pub struct CommandedFootage {
    pub agent: AgentId,
    pub from: Utc,
    /// The recording that was requested. Its id is also the footage's.
    pub recording: RecordingId,
    /// Recordings that continued it, each with its beginning: a recorder that was killed begins another one.
    pub continued: Vec<(RecordingId, Utc)>,
    /// `None`: no recorder could be commanded.
    pub recorder: Option<RecorderId>,
    pub capture: CaptureMode,
    pub is_over: bool,
    /// Set if it has segments in the index.
    pub is_written: bool,
}

impl CommandedFootage {
    /// Footage from before this start. It continues, unless its recorder reports otherwise.
    pub(super) fn restored(agent: AgentId, from: Utc, capture: CaptureMode, stored: StoredFootage) -> Self {
        let continued = stored.continued.into_iter().filter_map(|(recording, since)| {
            Some((recording, Utc(jiff::Timestamp::from_millisecond(since).ok()?)))
        });
        CommandedFootage {
            agent,
            from,
            recording: stored.id,
            continued: continued.collect(),
            recorder: stored.recorder,
            capture,
            is_over: false,
            is_written: true,
        }
    }

    /// The stretch of each of its recordings. A gap between two belongs to the earlier one.
    fn stretches(&self) -> Vec<Stretch> {
        let first = self.recorder.as_ref().map(|_| self.recording.clone());
        let mut all = vec![Stretch { recording: first, from: None, to: None }];
        for (recording, since) in &self.continued {
            let since = Some(to_ms(*since));
            if let Some(before) = all.last_mut() {
                before.to = since;
            }
            all.push(Stretch { recording: Some(recording.clone()), from: since, to: None });
        }
        all
    }

    pub(super) fn is_recording(&self, recording: &RecordingId) -> bool {
        self.recording == *recording || self.continued.iter().any(|(next, _)| next == recording)
    }
}

impl Loop {
    pub(super) fn begin(
        &mut self,
        agent: AgentId,
        place: Option<Place>,
        from: Utc,
        capture: CaptureMode,
        why: String,
    ) -> Result<()> {
        let recording = self.new_recording();
        let recorder = place.as_ref().and_then(|place| self.recorder_at(place));
        let missing = match (&place, &recorder) {
            (_, Some(_)) => None,
            (None, None) => Some("it is unknown where the agent sits".to_owned()),
            (Some(place), None) => Some(format!("no recorder is connected at {place}")),
        };
        self.effects.add_footage(NewFootage {
            recording: recording.clone(),
            recorder: recorder.clone(),
            agent: agent.clone(),
            place,
            from,
            why: why.clone(),
            missing,
        });
        self.commanded.push(CommandedFootage {
            agent: agent.clone(),
            from,
            recording: recording.clone(),
            continued: Vec::new(),
            recorder: recorder.clone(),
            capture,
            is_over: false,
            is_written: false,
        });
        match recorder {
            Some(recorder) => self.order(&recorder, CommandKind::Start { recording, agent, capture, why }),
            None => Ok(()),
        }
    }

    /// The connected recorder at a place; of several, the one that connected last.
    fn recorder_at(&self, place: &Place) -> Option<RecorderId> {
        let newest = self.at_place.get(place).and_then(|id| self.recorders.get_key_value(id));
        let is_there =
            |(_, known): &(&RecorderId, &KnownRecorder)| known.place == *place && known.connection.is_some();
        newest.filter(is_there).or_else(|| self.recorders.iter().find(is_there)).map(|(id, _)| id.clone())
    }

    fn new_recording(&mut self) -> RecordingId {
        self.salt = self.salt.wrapping_mul(0x9e37_79b1).wrapping_add(1);
        RecordingId::new(now(), self.salt)
    }

    pub(super) fn stop(&mut self, agent: &AgentId, why: String) -> Result<()> {
        let current = self.current(agent).and_then(|current| {
            let recorder = current.recorder.clone()?;
            Some((recorder, current.recording.clone()))
        });
        self.mark_over(agent);
        match current {
            Some((recorder, recording)) => self.order(&recorder, CommandKind::Stop { recording, why }),
            None => Ok(()),
        }
    }

    pub(super) fn set_mode(&mut self, agent: &AgentId, capture: CaptureMode, why: String) -> Result<()> {
        let Some(current) = self.current(agent) else { return Ok(()) };
        current.capture = capture;
        let recording = current.recording.clone();
        match current.recorder.clone() {
            Some(recorder) => self.order(&recorder, CommandKind::SetMode { recording, capture, why }),
            None => Ok(()),
        }
    }

    fn current(&mut self, agent: &AgentId) -> Option<&mut CommandedFootage> {
        self.commanded.iter_mut().rev().find(|one| one.agent == *agent && !one.is_over)
    }

    pub(super) fn mark_over(&mut self, agent: &AgentId) {
        let of_agent = self.commanded.iter_mut().filter(|one| one.agent == *agent);
        of_agent.for_each(|one| one.is_over = true);
    }

    fn order(&mut self, recorder: &RecorderId, kind: CommandKind) -> Result<()> {
        let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
        let command = Command { id: CommandId(id.into()), deadline: now().plus(DEADLINE), kind };
        let moment = self.moment();
        let Some(known) = self.recorders.get_mut(recorder) else { return Ok(()) };
        let effects = known.end.send_command(command, moment);
        self.perform(recorder, effects)
    }

    /// A recorder has connected again. Repeats commands that it no longer carries out; footage is then in one
    /// recording up to here and in another from here on.
    pub(super) fn resume(&mut self, recorder: &RecorderId, status: &link::RecorderStatus) -> Result<()> {
        let is_done = |one: &CommandedFootage| status.recordings.iter().any(|known| known.agent == one.agent);
        let mut orders = Vec::new();
        for one in &self.commanded {
            if one.recorder.as_ref() == Some(recorder) && !one.is_over && !is_done(one) {
                orders.push(CommandKind::Start {
                    recording: one.recording.clone(),
                    agent: one.agent.clone(),
                    capture: one.capture,
                    why: "the recorder is back, and the agent is still to be recorded".to_owned(),
                });
            }
        }
        for order in orders {
            self.order(recorder, order)?;
        }
        Ok(())
    }

    /// Takes the recordings that a recorder reports as running.
    pub(super) fn take_running(&mut self, recorder: &RecorderId, status: &link::RecorderStatus) {
        let known = self.recorders.get(recorder).filter(|_| !status.recordings.is_empty());
        let Some(place) = known.map(|known| known.place.clone()) else { return };
        let mut touched = Vec::new();
        for running in &status.recordings {
            self.effects.write(IndexUpdate::Running {
                recorder: Recorder { id: recorder.clone(), place: place.clone() },
                running: running.clone(),
                offset_ms: status.offset_ms,
            });
            if self.commanded.iter().any(|one| one.is_recording(&running.recording)) {
                continue;
            }
            let continues = |one: &&mut CommandedFootage| {
                one.recorder.as_ref() == Some(recorder) && one.agent == running.agent
            };
            if let Some(one) = self.commanded.iter_mut().rev().find(continues) {
                let since = running.since.shifted_ms(status.offset_ms.unwrap_or(0));
                one.continued.push((running.recording.clone(), since));
                touched.push(running.agent.clone());
            }
        }
        self.update_footage(touched);
    }

    /// Writes the present footage of these agents to the index, so that a call can be watched while it lasts.
    /// It is corrected until it is final.
    pub(super) fn update_footage(&mut self, mut agents: Vec<AgentId>) {
        agents.sort();
        agents.dedup();
        for agent in &agents {
            let mut seen = Vec::new();
            for footage in self.engine.provisional_footage(agent) {
                let Some(at) = nearest(&self.commanded, footage, &seen) else { continue };
                seen.push(at);
                let one = &mut self.commanded[at];
                one.is_written = true;
                let (id, stretches) = (one.recording.clone(), one.stretches());
                let (footage, calls) = (footage.clone(), self.calls.of(footage));
                self.effects.write(IndexUpdate::Footage { id, stretches, footage, calls, is_final: false });
            }
            for (at, one) in self.commanded.iter_mut().enumerate() {
                if one.agent == *agent && one.is_written && !seen.contains(&at) {
                    one.is_written = false;
                    let (id, stretches) = (one.recording.clone(), one.stretches());
                    self.effects.write(IndexUpdate::FootageRemoved { id, stretches });
                }
            }
        }
    }

    /// Drops footage that is final and already in the index.
    pub(super) fn forget(&mut self, footage: &Footage) {
        if let Some(at) = nearest(&self.commanded, footage, &[]) {
            self.commanded.remove(at);
        }
    }

    /// Writes footage that is final.
    pub(super) fn settle(&mut self, footage: Footage) {
        let (id, stretches) = match nearest(&self.commanded, &footage, &[]) {
            Some(at) => {
                let one = self.commanded.remove(at);
                (one.recording.clone(), one.stretches())
            }
            None => (self.new_recording(), vec![Stretch { recording: None, from: None, to: None }]),
        };
        let calls = self.calls.of(&footage);
        self.effects.write(IndexUpdate::Footage { id, stretches, footage, calls, is_final: true });
    }
}

/// Index of the commands for this footage, whose start late events may have moved since.
fn nearest(commanded: &[CommandedFootage], footage: &Footage, seen: &[usize]) -> Option<usize> {
    let fits = |one: &CommandedFootage| {
        one.agent == footage.agent
            && one.from.plus(SLACK) >= footage.from
            && footage.to.is_none_or(|to| one.from <= to)
    };
    let fitting = commanded.iter().enumerate().filter(|(at, one)| !seen.contains(at) && fits(one));
    let off = |one: &CommandedFootage| to_ms(one.from).abs_diff(to_ms(footage.from));
    fitting.min_by_key(|(_, one)| off(one)).map(|(at, _)| at)
}
