//! Carries out the effects of the seat: the policies, the event log, recordings, the spool, the line to the
//! server and the desk.

use std::collections::HashMap;
use std::path::PathBuf;

use deskreel_desk::news::{News, What};
use deskreel_desk::{Done, Refused};
use deskreel_interaction::{Engine, Note, Output, Policy};
use deskreel_link::LinkHandle;
use deskreel_model::event::Event as InteractionEvent;
use deskreel_model::link::{Command, CommandKind};
use deskreel_model::manifest::Outcome;
use deskreel_model::{AgentId, MediaTime, PolicyRules, RecordingId, Utc};
use deskreel_recorder::{Error, RecordingResult};
use tokio::sync::oneshot;

use crate::event_log::EventLog;
use crate::recording_slots::{RecordingSlots, SlotReport};
use crate::seat::{Effect, Ending, Event, ReplyId, Surroundings, Warning};
use crate::spool::SeatSpool;
use crate::surroundings::SurroundingsReader;
use crate::unsettled::Unsettled;
use deskreel_deployment::DecisionClock;

pub type Reply = oneshot::Sender<Result<Done, Refused>>;

pub struct Hands {
    pub engine: Engine,
    pub clock: DecisionClock,
    pub events: EventLog,
    pub slots: RecordingSlots,
    pub spool: SeatSpool,
    pub unsettled: Unsettled,
    /// Set if a server decides.
    pub link: Option<LinkHandle>,
    pub news: News,
    /// The last trial found that a recording could begin.
    pub was_ready: bool,
    pub surroundings: SurroundingsReader,
    /// Desktops that wait for a reply.
    pub replies: HashMap<ReplyId, Reply>,
}

impl Hands {
    /// Carries out one effect; returns the events that it causes.
    pub fn perform(&mut self, effect: Effect) -> Vec<Event> {
        match effect {
            Effect::Publish(what) => self.publish(what),
            Effect::PushEvent(event) => return self.push_event(*event),
            Effect::Admit { assigned, agent, why } => return vec![self.admit(assigned, agent, &why)],
            Effect::Begin(order) => self.slots.begin(order),
            Effect::Control(recording, control) => self.slots.control(&recording, control),
            Effect::Rest(rest) => self.slots.rest(rest),
            Effect::StandBy => self.slots.stand_by(),
            Effect::StandDown => self.slots.stand_down(),
            Effect::Prepare => self.slots.prepare(),
            Effect::StopAll => self.slots.stop_all(),
            Effect::Release(recording, about) => self.spool.release(&recording, about),
            Effect::CheckRoom { is_running } => return vec![self.check_room(is_running)],
            Effect::LookAround => return vec![Event::Surroundings(Box::new(self.look_around()))],
            Effect::Reply(reply, answer) => {
                if let Some(reply) = self.replies.remove(&reply) {
                    let _ = reply.send(answer);
                }
            }
            Effect::Answer(command, result) => {
                if let Some(link) = &self.link {
                    link.answer(command, result);
                }
            }
            Effect::Warn(Warning::NotStarted { agent, why }) => {
                tracing::warn!(%agent, why, "a recording could not begin");
            }
            Effect::Warn(Warning::DesktopGone { agent }) => {
                tracing::warn!(%agent, "logged out: the desktop has not returned since the recorder started");
            }
            Effect::Warn(Warning::Elsewhere { agent, place }) => {
                tracing::warn!(%agent, %place, "not recorded here: the agent sits at another place");
            }
            Effect::Then(event) => return vec![*event],
        }
        Vec::new()
    }

    fn publish(&self, what: What) {
        tracing::info!(?what, "news");
        self.news.tell(self.clock.now(), what);
    }

    // Events and policies.

    fn push_event(&mut self, event: InteractionEvent) -> Vec<Event> {
        let now = self.clock.now();
        self.events.append(&event, now);
        if let Some(link) = &self.link {
            link.send_event(&event);
        }
        let outputs = self.push(event, now);
        self.take_outputs(outputs)
    }

    /// Asks the policies about an event that arrived at `received`.
    pub fn push(&mut self, event: InteractionEvent, received: Utc) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.engine.push(event, received, &mut |output| outputs.push(output));
        outputs
    }

    /// Tells the policies the time.
    pub fn advance(&mut self) -> Vec<Event> {
        let mut outputs = Vec::new();
        self.engine.advance(self.clock.now(), &mut |output| outputs.push(output));
        self.take_outputs(outputs)
    }

    pub fn change_policies(&mut self, policies: Vec<Policy>, rules: PolicyRules) -> Vec<Event> {
        let mut outputs = Vec::new();
        self.engine.replace_policies(policies, rules, &mut |output| outputs.push(output));
        self.take_outputs(outputs)
    }

    fn take_outputs(&mut self, outputs: Vec<Output>) -> Vec<Event> {
        outputs.into_iter().filter_map(|output| self.take_output(output)).collect()
    }

    /// Commands become events of the seat, unless a server commands.
    pub fn take_output(&mut self, output: Output) -> Option<Event> {
        match output {
            Output::Command(commanded) => {
                return Some(Event::Commanded(commanded)).filter(|_| self.link.is_none());
            }
            Output::Touched(_) => {}
            Output::Footage(footage) => {
                for (recording, folder) in self.unsettled.settle(&footage) {
                    self.spool.settle(&recording, &folder, &footage);
                }
            }
            Output::Decision(decided) => {
                tracing::info!(agent = %decided.agent, policy = %decided.policy, action = %decided.action,
                    why = %decided.why, "decided");
            }
            Output::Note(Note::PolicyFailed { policy, agent, message, .. }) => {
                tracing::warn!(%policy, %agent, message, "a policy failed, or reports a problem");
            }
            Output::Note(note) => tracing::warn!(?note, "events are missing or late"),
        }
        None
    }

    /// Settles the footage that is final by now.
    pub fn settle_final_footage(&mut self) {
        let mut outputs = Vec::new();
        self.engine.advance(self.clock.now(), &mut |output| outputs.push(output));
        outputs.retain(|output| matches!(output, Output::Footage(_)));
        self.take_outputs(outputs);
    }

    // Recordings.

    fn admit(&mut self, assigned: Option<RecordingId>, agent: AgentId, why: &str) -> Event {
        let recording = assigned.unwrap_or_else(deskreel_recorder::new_id);
        if let Err(why) = self.spool.admit(&recording, &agent, why) {
            return Event::NotAdmitted { agent, why };
        }
        if self.link.is_none() {
            self.unsettled.began(recording.clone(), agent, self.clock.now(), self.folder(&recording));
        }
        Event::Admitted(recording)
    }

    /// Does the bookkeeping for a report of a recording slot, and makes an event of it.
    pub fn take_report(&mut self, report: SlotReport) -> Event {
        match report {
            SlotReport::Notice(recording, notice) => {
                self.spool.notice(&recording, &notice);
                Event::Notice(recording, notice)
            }
            SlotReport::Ended(recording, result) => {
                self.unsettled.ended(&recording, self.clock.now());
                self.spool.ended(&recording, &result);
                let ending = ending(result);
                Event::Ended(recording, ending)
            }
            SlotReport::StandbyEnded(result) => {
                if let Err(error) = &result {
                    tracing::warn!(error = error.with_causes(), "the standby failed; no pre-roll for now");
                }
                Event::StandbyEnded(result.map_err(|error| error.with_causes()))
            }
            SlotReport::Prepared(result) => {
                let was_ready = std::mem::replace(&mut self.was_ready, result.is_ok());
                if result.is_ok() && !was_ready {
                    tracing::info!("ready");
                }
                Event::Prepared(result)
            }
        }
    }

    fn check_room(&mut self, is_running: bool) -> Event {
        let must_end = if is_running { self.spool.must_end() } else { None };
        Event::Room { spool: self.spool.status(), must_end }
    }

    fn look_around(&mut self) -> Surroundings {
        self.surroundings.read(&self.spool, self.link.as_ref())
    }

    /// Hands over the recordings for which no footage will come any more.
    pub fn release_expired(&mut self) {
        for recording in self.unsettled.expired(self.engine.final_before()) {
            self.spool.release(&recording, Default::default());
        }
    }

    fn folder(&self, recording: &RecordingId) -> PathBuf {
        self.slots.equipment().graph.recording.directory.join(recording.as_str())
    }

    /// Returns whether the recording that a server wants to start is on disk already.
    pub fn has_folder(&self, command: &Command) -> bool {
        match &command.kind {
            CommandKind::Start { recording, .. } => self.folder(recording).exists(),
            _ => false,
        }
    }

    /// Forgets clients that no longer wait; returns their requests.
    pub fn forget_closed_replies(&mut self) -> Vec<ReplyId> {
        self.replies.extract_if(|_, reply| reply.is_closed()).map(|(id, _)| id).collect()
    }
}

fn ending(result: Result<RecordingResult, Error>) -> Ending {
    let manifest = match result {
        Ok(finished) => finished.manifest,
        Err(error) => return Ending::Failed(error.with_causes()),
    };
    let end = manifest.tracks.iter().filter_map(|track| track.end()).max();
    Ending::Sealed {
        duration: end.unwrap_or(MediaTime::ZERO),
        frames: manifest.tracks.iter().map(|track| track.frames().encoded).sum(),
        gaps: manifest.tracks.iter().map(|track| track.gaps.len()).sum(),
        outcome: manifest.outcome.unwrap_or(Outcome::Recovered),
    }
}
