//! Footage that is wanted: its start and stop at a recorder, the recordings made of it, and its rows in the
//! index. It has a row from the moment that it is wanted, whether or not a recorder can make it.

use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::identities::are_alike;
use deskreel_model::link::{
    self, Command, CommandId, CommandKind, CommandRefusal, CommandResult, RunningRecording,
};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Place, RecordingId, Utc};

use super::reconcile::{Difference, reconcile};
use super::write_behind::IndexUpdate;
use super::{KnownRecorder, Loop, next_salt};
use crate::db::footage::{NewFootage, StoredFootage};
use crate::db::recorders::Recorder;
use crate::error::{Error, Result};
use crate::names::RecorderId;
use crate::secret;
use crate::segments::{CallSummaries, Stretch};
use crate::time::to_ms;

/// Time within which a recorder has to obey; afterwards it must refuse the command.
const DEADLINE: Duration = Duration::from_secs(30);
/// Commanded footage begins at its event, except for the time that the command takes.
const SLACK: Duration = Duration::from_secs(5);

/// Footage that is wanted and not final.
pub struct CommandedFootage {
    pub agent: AgentId,
    pub place: Option<Place>,
    pub from: Utc,
    /// The recording that was requested. Its id is also the footage's.
    pub recording: RecordingId,
    /// Recordings that continued it, each with its beginning: a recorder that was killed begins another one.
    pub continued: Vec<(RecordingId, Utc)>,
    /// `None`: no recorder could be commanded until now.
    pub recorder: Option<RecorderId>,
    pub capture: CaptureMode,
    pub why: String,
    /// The command that starts it, until it is answered.
    pub start: Option<CommandId>,
    /// Who sits there, if the recorder refused for that reason.
    pub refused_for: Option<AgentId>,
    pub is_over: bool,
    /// Set once a recorder has reported its newest recording as running.
    pub has_run: bool,
    /// Set if it has segments in the index.
    pub is_written: bool,
}

impl CommandedFootage {
    /// Footage from before this start. It continues, unless its recorder reports otherwise.
    pub(super) fn restored(from: Utc, capture: CaptureMode, stored: StoredFootage) -> Self {
        let continued = stored.continued.into_iter().filter_map(|(recording, since)| {
            Some((recording, Utc(jiff::Timestamp::from_millisecond(since).ok()?)))
        });
        CommandedFootage {
            agent: stored.agent,
            place: stored.place,
            from,
            recording: stored.id,
            continued: continued.collect(),
            recorder: stored.recorder,
            capture,
            why: "the agent is still to be recorded".to_owned(),
            start: None,
            refused_for: None,
            is_over: false,
            has_run: stored.has_run,
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
        self.names().any(|name| name == recording)
    }

    /// Returns whether a recorder at this place makes this footage, and it is still wanted.
    pub(super) fn is_running_as(&self, running: &RunningRecording, place: &Place) -> bool {
        !self.is_over && self.place.as_ref() == Some(place) && self.is_recording(&running.recording)
    }

    /// An agent has at most one running footage at each place.
    pub(super) fn is_of(&self, agent: &AgentId, place: Option<&Place>) -> bool {
        self.agent == *agent && self.place.as_ref() == place
    }

    /// All recordings that it became.
    fn names(&self) -> impl Iterator<Item = &RecordingId> {
        std::iter::once(&self.recording).chain(self.continued.iter().map(|(next, _)| next))
    }

    /// The recorder that was commanded to make it, and the recordings.
    fn ordered(&self) -> Option<(RecorderId, Vec<RecordingId>)> {
        Some((self.recorder.clone()?, self.names().cloned().collect()))
    }

    /// Returns whether a recording that nothing is known of may continue this footage: it is of the same
    /// agent, and did not begin before the footage. Without the clock's offset, that is unknown.
    fn may_continue_as(&self, running: &RunningRecording, offset_ms: Option<i64>) -> bool {
        let begins = |offset| running.since.shifted_ms(offset).plus(SLACK) >= self.from;
        self.agent == running.agent && offset_ms.is_none_or(begins)
    }
}

impl Loop {
    /// Wants footage, and starts it if a recorder is connected.
    pub(super) fn begin(
        &mut self,
        agent: AgentId,
        place: Option<Place>,
        from: Utc,
        capture: CaptureMode,
        why: String,
    ) -> Result<()> {
        let recorder = place.as_ref().and_then(|place| self.recorder_at(place));
        self.want(agent, place, from, capture, why);
        match (recorder, self.commanded.len().checked_sub(1)) {
            (Some(recorder), Some(newest)) => self.start(&recorder, newest, None),
            _ => Ok(()),
        }
    }

    /// Wants footage: from here on it has a row, with the reason why it does not exist.
    pub(super) fn want(
        &mut self,
        agent: AgentId,
        place: Option<Place>,
        from: Utc,
        capture: CaptureMode,
        why: String,
    ) {
        let recording = self.new_recording();
        let missing = match &place {
            None => "it is unknown where the agent sits".to_owned(),
            Some(place) => format!("no recorder is connected at {place}"),
        };
        self.effects.add_footage(NewFootage {
            recording: recording.clone(),
            agent: agent.clone(),
            place: place.clone(),
            from,
            why: why.clone(),
            learned: self.clock.now(),
            missing: Some(missing),
        });
        self.commanded.push(CommandedFootage {
            agent,
            place,
            from,
            recording,
            continued: Vec::new(),
            recorder: None,
            capture,
            why,
            start: None,
            refused_for: None,
            is_over: false,
            has_run: false,
            is_written: false,
        });
    }

    /// Commands a recorder to start this footage. `seated` is the name under which the agent is logged in
    /// there, if another than the last status named.
    fn start(&mut self, recorder: &RecorderId, at: usize, seated: Option<AgentId>) -> Result<()> {
        let (next, now) = (self.new_recording(), self.clock.now());
        let known = self.recorders.get(recorder).and_then(|known| known.status.agent.clone());
        let seated = seated.or(known);
        let seated = seated.filter(|name| {
            self.commanded.get(at).is_some_and(|one| one.agent != *name && self.is_same(name, &one.agent))
        });
        let Some(one) = self.commanded.get_mut(at) else { return Ok(()) };
        one.recorder = Some(recorder.clone());
        if std::mem::take(&mut one.has_run) {
            // That recording has ended. It may be here as a whole already, and takes nothing more.
            one.continued.push((next, now));
        }
        let newest = one.names().last().unwrap_or(&one.recording).clone();
        let (recording, agent, why) = (one.recording.clone(), one.agent.clone(), one.why.clone());
        let (agent_there, capture) = (agent.clone(), one.capture);
        let start = CommandKind::Start { recording: newest, agent: agent_there, capture, why, seated };
        if !self.effects.assign(&recording) {
            // Its row exists already.
            self.update_footage(vec![agent]);
        }
        let command = self.order(recorder, start)?;
        if let Some(one) = self.commanded.iter_mut().find(|one| one.recording == recording) {
            one.start = Some(command);
        }
        Ok(())
    }

    /// The connected recorder that is commanded at a place.
    fn recorder_at(&self, place: &Place) -> Option<RecorderId> {
        let holder = self.places.holder(place).and_then(|id| self.recorders.get_key_value(id));
        let is_there =
            |(_, known): &(&RecorderId, &KnownRecorder)| known.place == *place && known.connection.is_some();
        holder.filter(is_there).map(|(id, _)| id.clone())
    }

    /// Returns whether a name that somebody is logged in under means this agent.
    fn is_same(&self, name: &AgentId, agent: &AgentId) -> bool {
        match self.identities.agent(name.as_str()) {
            Some(known) => known == agent,
            None => are_alike(name.as_str(), agent.as_str()),
        }
    }

    /// The place now has this recorder, which makes from now on what another one was commanded to make.
    pub(super) fn hand_over(&mut self, recorder: &RecorderId, place: &Place) {
        let of_others = self.commanded.iter_mut().filter(|one| {
            !one.is_over && one.place.as_ref() == Some(place) && one.recorder.as_ref() != Some(recorder)
        });
        of_others.for_each(|one| one.recorder = None);
    }

    fn new_recording(&mut self) -> RecordingId {
        self.salt = next_salt(self.salt);
        RecordingId::new(self.clock.now(), self.salt)
    }

    pub(super) fn stop(&mut self, agent: &AgentId, place: Option<&Place>, why: String) -> Result<()> {
        let current = self.current(agent, place).and_then(|current| current.ordered());
        self.mark_over(agent, place);
        self.order_by_names(current, |recording| CommandKind::Stop { recording, why: why.clone() })
    }

    pub(super) fn set_mode(
        &mut self,
        agent: &AgentId,
        place: Option<&Place>,
        capture: CaptureMode,
        why: String,
    ) -> Result<()> {
        let current = self.current(agent, place).and_then(|current| {
            current.capture = capture;
            current.ordered()
        });
        self.order_by_names(current, |recording| {
            let why = why.clone();
            CommandKind::SetMode { recording, capture, why }
        })
    }

    /// Commands it under each of its names: the recorder knows it by that of the last start, and by one that
    /// it chose itself.
    fn order_by_names(
        &mut self,
        ordered: Option<(RecorderId, Vec<RecordingId>)>,
        kind: impl Fn(RecordingId) -> CommandKind,
    ) -> Result<()> {
        let Some((recorder, names)) = ordered else { return Ok(()) };
        names.into_iter().try_for_each(|name| self.order(&recorder, kind(name)).map(drop))
    }

    fn current(&mut self, agent: &AgentId, place: Option<&Place>) -> Option<&mut CommandedFootage> {
        self.commanded.iter_mut().rev().find(|one| one.is_of(agent, place) && !one.is_over)
    }

    pub(super) fn mark_over(&mut self, agent: &AgentId, place: Option<&Place>) {
        let theirs = self.commanded.iter_mut().filter(|one| one.is_of(agent, place));
        theirs.for_each(|one| one.is_over = true);
    }

    pub(super) fn order(&mut self, recorder: &RecorderId, kind: CommandKind) -> Result<CommandId> {
        let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
        let id = CommandId(id.into());
        let command = Command { id: id.clone(), deadline: self.clock.now().plus(DEADLINE), kind };
        let moment = self.moment();
        let Some(known) = self.recorders.get_mut(recorder) else { return Ok(id) };
        let effects = known.end.send_command(command, moment);
        self.perform(recorder, effects)?;
        Ok(id)
    }

    /// A recorder has connected. What it does is compared with what is wanted at its place: commands may have
    /// been lost, or there was no recorder to command. Footage that was interrupted is then in one recording
    /// up to here and in another from here on.
    pub(super) fn resume(&mut self, recorder: &RecorderId, status: &link::RecorderStatus) -> Result<()> {
        let Some(place) = self.recorders.get(recorder).map(|known| known.place.clone()) else {
            return Ok(());
        };
        let is_here = |one: &CommandedFootage| match &one.recorder {
            Some(own) => own == recorder,
            None => one.place.as_ref() == Some(&place),
        };
        let wanted: Vec<usize> =
            (0..self.commanded.len()).filter(|at| is_here(&self.commanded[*at])).collect();
        let wanted = wanted.into_iter().filter(|at| !self.commanded[*at].is_over);
        let wanted: Vec<(usize, CaptureMode)> = wanted.map(|at| (at, self.commanded[at].capture)).collect();
        let is_of = |at: &usize, running: &RunningRecording| {
            let mut known = self.commanded.iter().filter(|one| one.is_recording(&running.recording));
            let one = &self.commanded[*at];
            match known.next() {
                Some(_) => one.is_recording(&running.recording),
                None => one.may_continue_as(running, status.offset_ms),
            }
        };
        let runs = |at: &usize| status.recordings.iter().any(|running| is_of(at, running));
        let running: Vec<usize> = wanted.iter().map(|(at, _)| *at).filter(runs).collect();
        let differences = reconcile(&wanted, &status.recordings, is_of);
        running.into_iter().for_each(|at| self.commanded[at].recorder = Some(recorder.clone()));
        for difference in differences {
            match difference {
                Difference::Missing(at) => self.start(recorder, at, None)?,
                Difference::Other(recording, capture) => {
                    let why = "the recorder is back".to_owned();
                    self.order(recorder, CommandKind::SetMode { recording, capture, why })?;
                }
                Difference::Unwanted(recording) => {
                    let why = "nothing wants it any longer".to_owned();
                    self.order(recorder, CommandKind::Stop { recording, why })?;
                }
            }
        }
        Ok(())
    }

    /// A command was answered. A start that was not tried is commanded again while it is wanted.
    pub(super) fn answered(
        &mut self,
        recorder: &RecorderId,
        id: &CommandId,
        result: &CommandResult,
    ) -> Result<()> {
        let started = self.commanded.iter().position(|one| one.start.as_ref() == Some(id));
        let Some(at) = started else { return Ok(()) };
        self.commanded[at].start = None;
        if let CommandResult::Refused { seated: Some(other), message, .. } = result {
            return self.take_refusal(recorder, at, other, message);
        }
        let is_untried = matches!(
            result,
            CommandResult::Refused { refusal: CommandRefusal::Late | CommandRefusal::Busy, .. }
        );
        if is_untried && !self.commanded[at].is_over { self.start(recorder, at, None) } else { Ok(()) }
    }

    /// Somebody else is logged in at the recorder, or the agent is under another name.
    fn take_refusal(&mut self, recorder: &RecorderId, at: usize, other: &AgentId, why: &str) -> Result<()> {
        let one = &mut self.commanded[at];
        let is_new = one.refused_for.replace(other.clone()).as_ref() != Some(other);
        let agent = one.agent.clone();
        // The footage is not this recording.
        let recording = match one.continued.pop() {
            Some((recording, _)) => {
                one.has_run = true;
                recording
            }
            None => {
                one.recorder = None;
                one.recording.clone()
            }
        };
        let id = one.recording.clone();
        if is_new && !one.is_over && self.is_same(other, &agent) {
            return self.start(recorder, at, Some(other.clone()));
        }
        tracing::warn!(%recorder, why, "the recorder refused to record an agent who does not sit there");
        self.effects.write(IndexUpdate::Refused { id, recording, why: why.to_owned() });
        self.update_footage(vec![agent]);
        Ok(())
    }

    /// Starts what this recorder refused because somebody else sat there, who does not any more.
    pub(super) fn start_refused(&mut self, recorder: &RecorderId, seated: Option<&AgentId>) -> Result<()> {
        let Some(place) = self.recorders.get(recorder).map(|known| known.place.clone()) else {
            return Ok(());
        };
        for at in 0..self.commanded.len() {
            let one = &self.commanded[at];
            let is_refused = !one.is_over && one.start.is_none() && one.place.as_ref() == Some(&place);
            let Some(other) = one.refused_for.as_ref().filter(|_| is_refused) else { continue };
            if seated != Some(other) && seated.is_none_or(|name| self.is_same(name, &one.agent)) {
                self.commanded[at].refused_for = None;
                self.start(recorder, at, None)?;
            }
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
            if let Some(one) = self.commanded.iter_mut().find(|one| one.is_recording(&running.recording)) {
                one.has_run |= one.names().last() == Some(&running.recording);
                continue;
            }
            let continues = |one: &&mut CommandedFootage| {
                one.recorder.as_ref() == Some(recorder) && one.may_continue_as(running, status.offset_ms)
            };
            if let Some(one) = self.commanded.iter_mut().rev().find(continues) {
                let since = running.since.shifted_ms(status.offset_ms.unwrap_or(0));
                one.continued.push((running.recording.clone(), since));
                one.has_run = true;
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
                let (footage, calls) = (footage.clone(), self.calls_of(footage));
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

    /// The calls of this footage's segments.
    fn calls_of(&self, footage: &Footage) -> CallSummaries {
        let calls = footage.segments.iter().filter_map(|segment| {
            let (interaction, call) = (&segment.interaction, segment.call.as_ref()?);
            let known = self.engine.call_summary(call, interaction)?;
            Some(((interaction.clone(), call.clone()), known))
        });
        calls.collect()
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
        let calls = self.calls_of(&footage);
        self.effects.write(IndexUpdate::Footage { id, stretches, footage, calls, is_final: true });
    }
}

/// Index of the commands for this footage, whose start late events may have moved since.
fn nearest(commanded: &[CommandedFootage], footage: &Footage, seen: &[usize]) -> Option<usize> {
    let fits = |one: &CommandedFootage| {
        one.is_of(&footage.agent, footage.place.as_ref())
            && one.from.plus(SLACK) >= footage.from
            && footage.to.is_none_or(|to| one.from <= to)
    };
    let fitting = commanded.iter().enumerate().filter(|(at, one)| !seen.contains(at) && fits(one));
    let off = |one: &CommandedFootage| to_ms(one.from).abs_diff(to_ms(footage.from));
    fitting.min_by_key(|(_, one)| off(one)).map(|(at, _)| at)
}
