//! Footage that was commanded: its start and stop at a recorder, the recordings that it became, and its rows in the index.

use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::link::{self, Command, CommandId, CommandKind};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Place, RecordingId, Utc};
use serde_json::json;

use super::work::Row;
use super::{Known, Loop, now};
use crate::db::Begun;
use crate::error::{Error, Result};
use crate::secret;
use crate::time::to_ms;

/// A recorder that does not obey within this does not at all.
const DEADLINE: Duration = Duration::from_secs(30);
/// Footage whose recorder was told begins at its event, give or take what the telling took.
const SLACK: Duration = Duration::from_secs(5);

/// Footage that was commanded and is not final.
pub struct Running {
    pub agent: AgentId,
    pub from: Utc,
    /// The one that was asked for. Names the footage, too.
    pub recording: RecordingId,
    /// Those that went on for it and when each began: a recorder that was killed in its midst begins another.
    pub next: Vec<(RecordingId, Utc)>,
    /// None where nobody could be told.
    pub recorder: Option<String>,
    pub capture: CaptureMode,
    pub is_over: bool,
    /// It has rows in the index.
    pub stands: bool,
}

/// What one recording covers of footage, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub recording: Option<RecordingId>,
    from: Option<i64>,
    to: Option<i64>,
}

impl Stretch {
    /// What of a segment lies on it.
    pub fn cut(&self, from: i64, to: Option<i64>) -> Option<(i64, Option<i64>)> {
        let from = self.from.map_or(from, |own| own.max(from));
        let to = match (self.to, to) {
            (Some(own), Some(to)) => Some(own.min(to)),
            (own, to) => own.or(to),
        };
        to.is_none_or(|to| from < to).then_some((from, to))
    }
}

impl Running {
    /// One behind the other; what is between two of them is the earlier one's, whose gap it is.
    fn stretches(&self) -> Vec<Stretch> {
        let first = self.recorder.as_ref().map(|_| self.recording.clone());
        let mut all = vec![Stretch { recording: first, from: None, to: None }];
        for (recording, since) in &self.next {
            let since = Some(to_ms(*since));
            if let Some(before) = all.last_mut() {
                before.to = since;
            }
            all.push(Stretch { recording: Some(recording.clone()), from: since, to: None });
        }
        all
    }

    pub(super) fn is_recording(&self, recording: &RecordingId) -> bool {
        self.recording == *recording || self.next.iter().any(|(next, _)| next == recording)
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
            (None, None) => Some("nobody knows where the agent sits".to_owned()),
            (Some(place), None) => Some(format!("no recorder is connected at {place}")),
        };
        self.work.begin(Begun {
            recording: recording.clone(),
            recorder: recorder.clone(),
            agent: agent.clone(),
            place,
            from,
            why: why.clone(),
            missing,
        });
        self.running.push(Running {
            agent: agent.clone(),
            from,
            recording: recording.clone(),
            next: Vec::new(),
            recorder: recorder.clone(),
            capture,
            is_over: false,
            stands: false,
        });
        match recorder {
            Some(recorder) => self.tell(&recorder, CommandKind::Start { recording, agent, capture, why }),
            None => Ok(()),
        }
    }

    /// The one that connected last, if there are two.
    fn recorder_at(&self, place: &Place) -> Option<String> {
        let newest = self.at_place.get(place).and_then(|id| self.recorders.get_key_value(id));
        let is_there = |(_, known): &(&String, &Known)| known.place == *place && known.line.is_some();
        newest.filter(is_there).or_else(|| self.recorders.iter().find(is_there)).map(|(id, _)| id.clone())
    }

    fn new_recording(&mut self) -> RecordingId {
        self.salt = self.salt.wrapping_mul(0x9e37_79b1).wrapping_add(1);
        RecordingId::new(now(), self.salt)
    }

    pub(super) fn stop(&mut self, agent: &AgentId, why: String) -> Result<()> {
        let running = self.current(agent).and_then(|running| {
            let recorder = running.recorder.clone()?;
            Some((recorder, running.recording.clone()))
        });
        self.over(agent);
        match running {
            Some((recorder, recording)) => self.tell(&recorder, CommandKind::Stop { recording, why }),
            None => Ok(()),
        }
    }

    pub(super) fn set_mode(&mut self, agent: &AgentId, capture: CaptureMode, why: String) -> Result<()> {
        let Some(running) = self.current(agent) else { return Ok(()) };
        running.capture = capture;
        let recording = running.recording.clone();
        match running.recorder.clone() {
            Some(recorder) => self.tell(&recorder, CommandKind::SetMode { recording, capture, why }),
            None => Ok(()),
        }
    }

    fn current(&mut self, agent: &AgentId) -> Option<&mut Running> {
        self.running.iter_mut().rev().find(|running| running.agent == *agent && !running.is_over)
    }

    pub(super) fn over(&mut self, agent: &AgentId) {
        let of_agent = self.running.iter_mut().filter(|running| running.agent == *agent);
        of_agent.for_each(|running| running.is_over = true);
    }

    fn tell(&mut self, recorder: &str, kind: CommandKind) -> Result<()> {
        let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
        let command = Command { id: CommandId(id.into()), deadline: now().plus(DEADLINE), kind };
        let moment = self.moment();
        let Some(known) = self.recorders.get_mut(recorder) else { return Ok(()) };
        let effects = known.end.send_command(command, moment);
        self.perform(recorder, effects)
    }

    /// A recorder is back. What it was told it does still, unless it is not what it was: then it is told again, and what of the
    /// footage it had is one recording, what follows another.
    pub(super) fn resume(&mut self, recorder: &str, status: &link::RecorderStatus) -> Result<()> {
        let is_done = |running: &Running| status.recordings.iter().any(|known| known.agent == running.agent);
        let mut orders = Vec::new();
        for running in &self.running {
            if running.recorder.as_deref() == Some(recorder) && !running.is_over && !is_done(running) {
                orders.push(CommandKind::Start {
                    recording: running.recording.clone(),
                    agent: running.agent.clone(),
                    capture: running.capture,
                    why: "the recorder is back, and the agent is recorded still".to_owned(),
                });
            }
        }
        for order in orders {
            self.tell(recorder, order)?;
        }
        Ok(())
    }

    /// What a recorder says that it records.
    pub(super) fn runs(&mut self, recorder: &str, status: &link::RecorderStatus) -> Result<()> {
        let known = self.recorders.get(recorder).filter(|_| !status.recordings.is_empty());
        let Some(place) = known.map(|known| known.place.clone()) else { return Ok(()) };
        let mut touched = Vec::new();
        for said in &status.recordings {
            self.work.write(Row::Runs {
                recorder: recorder.to_owned(),
                place: place.clone(),
                said: said.clone(),
                offset_ms: status.offset_ms,
            });
            if self.running.iter().any(|running| running.is_recording(&said.recording)) {
                continue;
            }
            let of_it = |running: &&mut Running| {
                running.recorder.as_deref() == Some(recorder) && running.agent == said.agent
            };
            if let Some(running) = self.running.iter_mut().rev().find(of_it) {
                let since = said.since.shifted_ms(status.offset_ms.unwrap_or(0));
                running.next.push((said.recording.clone(), since));
                touched.push(said.agent.clone());
            }
        }
        self.stand(touched);
        Ok(())
    }

    /// Brings the index in line with what stands of these agents, so that a call can be watched while it goes on; it is put right
    /// until it is final.
    pub(super) fn stand(&mut self, mut agents: Vec<AgentId>) {
        agents.sort();
        agents.dedup();
        for agent in &agents {
            let mut seen = Vec::new();
            for footage in self.engine.provisional_footage(agent) {
                let Some(at) = nearest(&self.running, footage, &seen) else { continue };
                seen.push(at);
                let running = &mut self.running[at];
                running.stands = true;
                let (own, stretches) = (running.recording.clone(), running.stretches());
                let (footage, calls) = (footage.clone(), self.calls.of(footage));
                self.work.write(Row::Stands { own, stretches, footage, calls, is_final: false });
            }
            for (at, running) in self.running.iter_mut().enumerate() {
                if running.agent == *agent && running.stands && !seen.contains(&at) {
                    running.stands = false;
                    let (own, stretches) = (running.recording.clone(), running.stretches());
                    self.work.write(Row::Gone { own, stretches });
                }
            }
        }
    }

    /// Final, and in the index.
    pub(super) fn forget(&mut self, footage: &Footage) {
        if let Some(at) = nearest(&self.running, footage, &[]) {
            self.running.remove(at);
        }
    }

    /// Final: whose footage it is, and the segments on it.
    pub(super) fn settle(&mut self, footage: Footage) {
        let (own, stretches) = match nearest(&self.running, &footage, &[]) {
            Some(at) => {
                let running = self.running.remove(at);
                (running.recording.clone(), running.stretches())
            }
            None => (self.new_recording(), vec![Stretch { recording: None, from: None, to: None }]),
        };
        let calls = self.calls.of(&footage);
        self.work.write(Row::Stands { own, stretches, footage, calls, is_final: true });
    }
}

/// The one that was commanded for this footage: late events may have moved its start since.
fn nearest(running: &[Running], footage: &Footage, seen: &[usize]) -> Option<usize> {
    let fits = |running: &Running| {
        running.agent == footage.agent
            && running.from.plus(SLACK) >= footage.from
            && footage.to.is_none_or(|to| running.from <= to)
    };
    let fitting = running.iter().enumerate().filter(|(at, running)| !seen.contains(at) && fits(running));
    let off = |running: &Running| to_ms(running.from).abs_diff(to_ms(footage.from));
    fitting.min_by_key(|(_, running)| off(running)).map(|(at, _)| at)
}

impl Running {
    /// Of before this start: it goes on, or its recorder knows better.
    pub(super) fn again(
        agent: AgentId,
        from: Utc,
        capture: CaptureMode,
        known: crate::db::Commanded,
    ) -> Option<Running> {
        let id = |text: String| serde_json::from_value::<RecordingId>(json!(text)).ok();
        let next = known.next.into_iter().filter_map(|(recording, since)| {
            let since = Utc(jiff::Timestamp::from_millisecond(since).ok()?);
            Some((id(recording)?, since))
        });
        Some(Running {
            agent,
            from,
            recording: id(known.footage)?,
            next: next.collect(),
            recorder: known.recorder,
            capture,
            is_over: false,
            stands: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_cut_where_one_recording_follows_another() {
        let id = |salt| Some(RecordingId::new(Utc::MIN, salt));
        let first = Stretch { recording: id(1), from: None, to: Some(100) };
        let second = Stretch { recording: id(2), from: Some(100), to: None };
        assert_eq!(first.cut(10, Some(50)), Some((10, Some(50))));
        assert_eq!(second.cut(10, Some(50)), None);
        assert_eq!(first.cut(10, None), Some((10, Some(100))));
        assert_eq!(second.cut(10, None), Some((100, None)));
        assert_eq!(first.cut(100, Some(120)), None);
        assert_eq!(second.cut(90, Some(120)), Some((100, Some(120))));
    }
}
