//! Commands of a server, if the pipeline file has a `[link]`: they decide instead of policies.
//!
//! Requests of desktops go to the server and come back as commands. A pause does not wait for that: it holds
//! here at once, and until the desktop resumes, whatever the server says.

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_model::event::Request;
use deskreel_model::identities::are_alike;
use deskreel_model::link::{Command, CommandId, CommandKind, CommandRefusal, CommandResult};
use deskreel_model::{AgentId, Failure, Fault, RecordingId};
use deskreel_recorder::Control;

use super::pending::{Condition, Waiter};
use super::{Effect, Event, Now, ReplyId, Seating, State, WantedFootage};

/// The wishes of a server and of the desktop for the recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServerOrders {
    /// The mode that the server last asked for.
    capture: CaptureMode,
    /// A pause or mask of the desktop.
    hold: Option<Hold>,
    /// Tags that the server set on the running recording.
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
struct Hold {
    capture: CaptureMode,
    /// End of the hold, as uptime; `None`: until the desktop resumes.
    until: Option<Duration>,
}

const HOLD_REASON: &str = "asked by the agent desktop";

impl ServerOrders {
    /// The more private of the two wishes, and the reason if it is the desktop's.
    fn effective(&self) -> (CaptureMode, Option<&'static str>) {
        match &self.hold {
            Some(hold) if hold.capture >= self.capture => (hold.capture, Some(HOLD_REASON)),
            _ => (self.capture, None),
        }
    }

    pub(super) fn take_tags(&mut self) -> BTreeMap<String, String> {
        std::mem::take(&mut self.tags)
    }
}

impl State {
    pub(super) fn ordered(&mut self, command: Command, is_known: bool, out: &mut Vec<Effect>) {
        let Command { id, kind, .. } = command;
        let result = match kind {
            CommandKind::Start { recording, agent, capture, why, seated } => {
                let is_wanted = self.wanted.as_ref().is_some_and(|w| w.assigned.as_ref() == Some(&recording));
                let seating = Seating { known_as: seated, sat_here: self.seated().is_some() };
                if let Some(other) = self.other_agent(&agent, &seating).filter(|_| !is_wanted) {
                    let result = CommandResult::refused_for(other, self.place(), &agent);
                    return out.push(Effect::Answer(id, result));
                }
                let capture = self.set_server_mode(capture);
                if !is_wanted {
                    self.wanted = Some(WantedFootage {
                        agent,
                        capture,
                        capture_why: why.clone(),
                        why,
                        assigned: Some(recording),
                        is_assigned_taken: is_known,
                        seating,
                    });
                    self.replace(out);
                }
                return out.push(Effect::Then(Box::new(Event::OrderDue(id))));
            }
            CommandKind::Stop { recording, why } => {
                // If the recording is not here, it has ended already, now or before an earlier restart.
                if self.belongs_to(&recording) {
                    self.wanted = None;
                    if let Some(running) = self.current_id() {
                        self.stop(&running, &why, out);
                    }
                }
                CommandResult::Done
            }
            CommandKind::SetMode { recording, capture, why } if self.belongs_to(&recording) => {
                self.set_server_mode(capture);
                self.apply_mode(&why, out);
                return self.answer_once_mode_holds(id, out);
            }
            CommandKind::Tag { recording, name, value } if self.belongs_to(&recording) => {
                self.server.iter_mut().for_each(|server| {
                    server.tags.insert(name.clone(), value.clone());
                });
                CommandResult::Done
            }
            CommandKind::Watch { recording, seconds, joins } if self.belongs_to(&recording) => {
                if let Some(running) = self.current_id() {
                    let time = Duration::from_secs(seconds.into());
                    out.push(Effect::Control(running, Control::Watch { time, joins }));
                }
                CommandResult::Done
            }
            CommandKind::SetMode { recording, .. }
            | CommandKind::Tag { recording, .. }
            | CommandKind::Watch { recording, .. } => {
                CommandResult::refused(CommandRefusal::Unknown, format!("no recording {recording} runs here"))
            }
            CommandKind::Unknown => {
                CommandResult::refused(CommandRefusal::Unsupported, "this recorder does not know the command")
            }
        };
        out.push(Effect::Answer(id, result));
    }

    /// The agent who is logged in here, unless it is the agent of this footage. If the desktop of this PC
    /// does not log agents in, there is none.
    pub(super) fn other_agent(&self, agent: &AgentId, seating: &Seating) -> Option<&AgentId> {
        let is_agent = |seated: &AgentId| {
            seating.known_as.as_ref() == Some(seated) || are_alike(seated.as_str(), agent.as_str())
        };
        self.seated().filter(|seated| !is_agent(seated))
    }

    /// Ends the footage of an agent if another one has logged in since. The screen shows the new agent's
    /// work, even if the server does not know that yet.
    pub(super) fn end_footage_of_predecessor(&mut self, out: &mut Vec<Effect>) {
        let Some(mut wanted) = self.wanted.take_if(|_| self.server.is_some()) else { return };
        let Some(other) = self.other_agent(&wanted.agent, &wanted.seating).cloned() else {
            wanted.seating.sat_here = true;
            self.wanted = Some(wanted);
            return;
        };
        if !wanted.seating.sat_here {
            self.wanted = Some(wanted);
            return;
        }
        if let Some(running) = self.current_id() {
            self.stop(&running, &format!("{other} has logged in here"), out);
        }
    }

    /// Returns the mode that holds with it: a pause of the desktop also covers what begins now.
    fn set_server_mode(&mut self, capture: CaptureMode) -> CaptureMode {
        let Some(server) = &mut self.server else { return capture };
        server.capture = capture;
        server.effective().0
    }

    /// Returns whether the running or wanted footage is this recording of the server, or continues it.
    fn belongs_to(&self, recording: &RecordingId) -> bool {
        let is_wanted =
            self.wanted.as_ref().is_some_and(|wanted| wanted.assigned.as_ref() == Some(recording));
        is_wanted || self.status.recording.as_ref().is_some_and(|running| running.recording == *recording)
    }

    pub(super) fn answer_start(&mut self, command: CommandId, out: &mut Vec<Effect>) {
        let result = match &self.hindrances.last_start {
            Some(why) => CommandResult::Failed { failure: Failure::new(Fault::Device, why.clone()) },
            None => CommandResult::Done,
        };
        out.push(Effect::Answer(command, result));
    }

    /// Brings the recording in line with what the server and the desktop ask for.
    fn apply_mode(&mut self, why: &str, out: &mut Vec<Effect>) {
        let Some(server) = &self.server else { return };
        let (capture, hold_reason) = server.effective();
        let why = hold_reason.unwrap_or(why).to_owned();
        let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.capture != capture) else { return };
        (wanted.capture, wanted.capture_why) = (capture, why.clone());
        if let Some(running) = &self.status.recording {
            out.push(Effect::Control(running.recording.clone(), Control::SetMode { capture, why }));
        }
    }

    fn answer_once_mode_holds(&mut self, id: CommandId, out: &mut Vec<Effect>) {
        // A recording that stops changes its mode no more: its end is the answer.
        let asked = self.server.as_ref().map_or(CaptureMode::Live, |server| server.effective().0);
        let capture = self.wanted.as_ref().map_or(asked, |wanted| wanted.capture);
        match self.status.recording.as_ref().filter(|running| running.capture != capture) {
            None => out.push(Effect::Answer(id, CommandResult::Done)),
            Some(running) => {
                let condition = Condition::ModeHolds(running.recording.clone(), capture);
                self.pending.push(condition, Waiter::Server(id));
            }
        }
    }

    /// A desktop's request, which the server has by now. Returns whether the reply is taken care of.
    pub(super) fn hold(
        &mut self,
        request: &Request,
        reply: ReplyId,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(server) = &mut self.server else { return false };
        let hold = |capture, limit: &Option<u64>| {
            Some(Hold { capture, until: limit.map(|ms| now.uptime + Duration::from_millis(ms)) })
        };
        match request {
            Request::Pause { limit_ms } => server.hold = hold(CaptureMode::Paused, limit_ms),
            Request::Mask { limit_ms } => server.hold = hold(CaptureMode::Masked, limit_ms),
            Request::Resume => server.hold = None,
            Request::Start | Request::Stop | Request::Tag { .. } => {}
        }
        self.apply_mode("", out);
        let condition = match (request, self.current()) {
            (Request::Start, None) => Condition::Begun,
            (Request::Stop, Some(running)) => Condition::Sealed(running.recording.clone()),
            // The server pauses and resumes too, for the same reason; its command may arrive a moment later.
            (Request::Resume, Some(running)) if running.capture != CaptureMode::Live => {
                Condition::ModeHolds(running.recording.clone(), CaptureMode::Live)
            }
            _ => return false,
        };
        self.pending.push(condition, Waiter::Desktop(reply));
        true
    }

    /// Ends a hold that has reached its limit.
    pub(super) fn end_hold(&mut self, now: Now, out: &mut Vec<Effect>) {
        let Some(server) = &mut self.server else { return };
        let is_over = |hold: &mut Hold| hold.until.is_some_and(|until| until <= now.uptime);
        if server.hold.take_if(is_over).is_some() {
            self.apply_mode("the pause has reached its limit", out);
        }
    }
}
