//! Obeys a server, where the file has a [link]: its commands say what is wanted, in place of policies.
//!
//! What desktops tell goes to the server, and comes back as commands. A pause does not wait for that: it holds here at once,
//! and until the desktop resumes, whatever the server says.

use std::time::Instant;

use deskreel_contract::{CaptureMode, RecordingAbout};
use deskreel_link::LinkHandle;
use deskreel_model::event::{Event, Request};
use deskreel_model::link::{self, Command, CommandKind, CommandRefusal, CommandResult};
use deskreel_model::{Failure, Fault, RecordingId};
use deskreel_recorder::Control;
use tokio::sync::oneshot;

use super::{Seat, Wanted};
use crate::waiting::{Reply, Until};
use deskreel_desk::status::Phase;

pub struct Served {
    link: LinkHandle,
    /// What the server said last of the screen.
    asked: CaptureMode,
    /// What the desktop asked for, why, and until when.
    held: Option<(CaptureMode, String, Option<Instant>)>,
    /// As it was told last.
    told: link::RecorderStatus,
}

impl Served {
    pub fn new(link: LinkHandle) -> Served {
        Served { link, asked: CaptureMode::Live, held: None, told: link::RecorderStatus::default() }
    }

    /// The most private of both, and why, where the desktop says so.
    fn mode(&self) -> (CaptureMode, Option<&str>) {
        match &self.held {
            Some((capture, why, _)) if *capture >= self.asked => (*capture, Some(why)),
            _ => (self.asked, None),
        }
    }
}

impl Seat {
    pub(super) fn tell_server(&self, event: &Event) {
        if let Some(served) = &self.served {
            served.link.send_event(event);
        }
    }

    pub(super) fn command(&mut self, command: Command) {
        let result = match command.kind {
            CommandKind::Start { recording, agent, capture, why } => {
                if let Some(served) = &mut self.served {
                    served.asked = capture;
                }
                // A pause of the desktop's holds for what begins, too.
                let capture = self.served.as_ref().map_or(capture, |served| served.mode().0);
                let is_known = self.wanted.as_ref().is_some_and(|w| w.ordered.as_ref() == Some(&recording));
                if !is_known {
                    let capture_why = why.clone();
                    let ordered = Some(recording);
                    self.begin_anew(Wanted { agent, capture, why, capture_why, ordered });
                }
                match &self.hindered {
                    Some(why) => CommandResult::Failed { failure: Failure::new(Fault::Device, why.clone()) },
                    None => CommandResult::Done,
                }
            }
            CommandKind::Stop { recording, why } => self.server_stops(&recording, &why),
            CommandKind::SetMode { recording, capture, why } if self.is_of(&recording) => {
                if let Some(served) = &mut self.served {
                    served.asked = capture;
                }
                self.apply_capture(&why);
                return self.answer_once_captured(command.id);
            }
            CommandKind::Tag { recording, name, value } if self.is_of(&recording) => {
                self.tags.insert(name, value);
                CommandResult::Done
            }
            CommandKind::SetMode { recording, .. } | CommandKind::Tag { recording, .. } => {
                CommandResult::refused(CommandRefusal::Unknown, format!("no recording {recording} runs here"))
            }
            CommandKind::Unknown => CommandResult::refused(CommandRefusal::Unsupported, "no such command"),
        };
        if let Some(served) = &self.served {
            served.link.answer(command.id, result);
        }
    }

    /// Whether what runs is the server's recording: itself, or one that went on for it.
    fn is_of(&self, recording: &RecordingId) -> bool {
        let is_wanted = self.wanted.as_ref().is_some_and(|wanted| wanted.ordered.as_ref() == Some(recording));
        is_wanted || self.status.recording.as_ref().is_some_and(|running| running.recording == *recording)
    }

    fn server_stops(&mut self, recording: &RecordingId, why: &str) -> CommandResult {
        if !self.is_of(recording) {
            // It has ended already, here or with an earlier start of this program.
            return CommandResult::Done;
        }
        self.wanted = None;
        let running = self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping);
        if let Some(running) = running.map(|running| running.recording.clone()) {
            self.stop(&running, why);
        }
        CommandResult::Done
    }

    /// Brings the recording in line with what server and desktop ask for.
    fn apply_capture(&mut self, why: &str) {
        let Some(served) = &self.served else { return };
        let (capture, desktop) = served.mode();
        let why = desktop.unwrap_or(why).to_owned();
        let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.capture != capture) else { return };
        (wanted.capture, wanted.capture_why) = (capture, why.clone());
        if let Some(running) = &self.status.recording {
            self.lanes.control(&running.recording, Control::SetMode { capture, why });
        }
    }

    fn answer_once_captured(&mut self, id: link::CommandId) {
        let (Some(served), Some(wanted)) = (&self.served, &self.wanted) else { return };
        let link = served.link.clone();
        let running = self.status.recording.as_ref().filter(|running| running.capture != wanted.capture);
        let Some(running) = running else { return link.answer(id, CommandResult::Done) };
        let (reply, answer) = oneshot::channel();
        self.waiting.push(Until::ModeHolds(running.recording.clone(), wanted.capture), reply);
        tokio::task::spawn_local(async move {
            link.answer(
                id,
                match answer.await {
                    Ok(Ok(_)) => CommandResult::Done,
                    Ok(Err(refused)) => CommandResult::refused(CommandRefusal::Other, refused.to_string()),
                    Err(_) => CommandResult::refused(CommandRefusal::Other, "the recorder is going down"),
                },
            );
        });
    }

    /// A desktop's request, of which the server knows by now. True where the answer is taken care of.
    pub(super) fn answer_served(&mut self, request: &Request, reply: Reply) -> Option<Reply> {
        let Some(served) = &mut self.served else { return Some(reply) };
        let until =
            |limit: &Option<u64>| limit.map(|ms| Instant::now() + std::time::Duration::from_millis(ms));
        let held = |capture, limit| Some((capture, "asked by the agent desktop".to_owned(), until(limit)));
        match request {
            Request::Pause { limit_ms } => served.held = held(CaptureMode::Paused, limit_ms),
            Request::Mask { limit_ms } => served.held = held(CaptureMode::Masked, limit_ms),
            Request::Resume => served.held = None,
            Request::Start | Request::Stop | Request::Tag { .. } => {}
        }
        self.apply_capture("");
        let running = self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping);
        match (request, running) {
            (Request::Start, None) => self.waiting.push(Until::Begun, reply),
            (Request::Stop, Some(running)) => {
                self.waiting.push(Until::Sealed(running.recording.clone()), reply);
            }
            // The server pauses and resumes too, for the same reason; it may be a moment behind.
            (Request::Resume, Some(running)) if running.capture != CaptureMode::Live => {
                self.waiting.push(Until::ModeHolds(running.recording.clone(), CaptureMode::Live), reply);
            }
            _ => return Some(reply),
        }
        None
    }

    /// A pause that has reached its limit, and how things stand.
    pub(super) fn look_at_link(&mut self) {
        let Some(served) = &mut self.served else { return };
        let is_over = |(_, _, until): &mut (CaptureMode, String, Option<Instant>)| {
            until.is_some_and(|until| until <= Instant::now())
        };
        if served.held.take_if(is_over).is_some() {
            self.apply_capture("the pause has reached its limit");
        }
    }

    pub(super) fn tell_status(&mut self) {
        let Some(served) = &mut self.served else { return };
        let running = self.status.recording.as_ref().map(|running| link::RunningRecording {
            recording: running.recording.clone(),
            agent: running.agent.clone(),
            capture: running.capture,
            since: running.since,
        });
        let status = link::RecorderStatus {
            agent: self.status.agent.as_ref().map(|seated| seated.agent.clone()),
            recordings: running.into_iter().collect(),
            problems: self.status.health.problems.clone(),
            waiting: self.status.spool.sinks.iter().map(|sink| sink.pending).sum(),
            offset_ms: None,
            uncertainty_ms: None,
        };
        if status != served.told {
            served.link.send_status(status.clone());
            served.told = status;
        }
    }

    /// The server knows what a recording belongs to; nothing has to become final here.
    pub(super) fn release_served(&mut self, recording: &RecordingId, agent: Option<String>) {
        if self.served.is_some() {
            let tags = std::mem::take(&mut self.tags);
            let place = Some(self.place.to_string());
            self.stock.release(recording, RecordingAbout { agent, place, tags, ..RecordingAbout::default() });
        }
    }
}
