//! What desktops ask: each request becomes an event, and is answered once it is so.

use deskreel_contract::CaptureMode;
use deskreel_model::Fault;
use deskreel_model::event::Request;

use super::Seat;
use crate::waiting::{Reply, Until, word};
use crate::{acts, now};
use deskreel_desk::status::Phase;
use deskreel_desk::{Act, Done, Refused};

impl Seat {
    pub(super) fn act(&mut self, act: Act, reply: Reply) {
        let at = now();
        let seated = self.status.agent.as_ref().map(|seated| seated.agent.clone());
        let event = match &act {
            Act::LogIn { agent, seat } => {
                self.orphaned_until = None;
                if let Some(other) = seated.filter(|seated| seated != agent)
                    && let Ok(event) = acts::logged_out(&other, at)
                {
                    self.take_in(event);
                }
                acts::logged_in(agent, seat, &self.place, at)
            }
            Act::Request { agent, .. } if seated.as_ref() != Some(agent) => {
                return drop(reply.send(Err(Refused::NotLoggedIn(agent.clone()))));
            }
            // Whoever logs out twice is out.
            Act::LogOut { agent } if seated.as_ref() != Some(agent) => {
                return drop(reply.send(Ok(Done::default())));
            }
            Act::LogOut { agent } => acts::logged_out(agent, at),
            Act::Tell(event) => Ok((**event).clone()),
            Act::Request { agent, request } => acts::requested(agent, request, at),
        };
        match event {
            Ok(event) => self.take_in(event),
            Err(error) => {
                let reason = error.to_string();
                return drop(reply.send(Err(Refused::Failed { fault: Fault::Bug, reason })));
            }
        }
        match act {
            Act::Request { request, .. } => {
                if let Some(reply) = self.answer_served(&request, reply) {
                    self.answer(&request, reply);
                }
            }
            _ => drop(reply.send(Ok(self.done()))),
        }
    }

    /// Answers a request once it is so, or says why it is not going to be.
    fn answer(&mut self, request: &Request, reply: Reply) {
        let refuse = |reply: Reply, refused| drop(reply.send(Err(refused)));
        let not_allowed = |text: &str| Refused::NotAllowed(text.to_owned());
        let running = self.status.recording.as_ref();
        let current = running.filter(|running| running.phase != Phase::Stopping);
        match (request, current) {
            (Request::Start | Request::Tag { .. }, Some(_)) => drop(reply.send(Ok(self.done()))),
            (Request::Start, None) => match (&self.hindered, &self.wanted) {
                (Some(why), Some(_)) => {
                    refuse(reply, Refused::Failed { fault: Fault::Device, reason: why.clone() });
                }
                _ => refuse(reply, not_allowed("the policies of the pipeline file forbid it")),
            },
            (Request::Stop, Some(running)) => {
                let why = format!("it goes on: {}", running.why);
                refuse(reply, Refused::NotAllowed(why));
            }
            (Request::Stop, None) => match running {
                Some(stopping) => self.waiting.push(Until::Sealed(stopping.recording.clone()), reply),
                None => refuse(reply, Refused::NothingRecorded),
            },
            (Request::Tag { .. } | Request::Pause { .. } | Request::Mask { .. } | Request::Resume, None) => {
                refuse(reply, Refused::NothingRecorded);
            }
            (Request::Pause { .. } | Request::Mask { .. } | Request::Resume, Some(running)) => {
                let wanted = self.wanted.as_ref().map_or(CaptureMode::Live, |wanted| wanted.capture);
                let is_hidden = wanted != CaptureMode::Live;
                let asks_to_hide = !matches!(request, Request::Resume);
                if is_hidden != asks_to_hide {
                    let why = match is_hidden {
                        true => format!("it stays {}: something else still asks for that", word(wanted)),
                        false => "`pause = \"ignore\"` in [policy] of the pipeline file".to_owned(),
                    };
                    refuse(reply, Refused::NotAllowed(why));
                } else if running.capture == wanted && running.phase == Phase::Recording {
                    drop(reply.send(Ok(self.done())));
                } else {
                    self.waiting.push(Until::ModeHolds(running.recording.clone(), wanted), reply);
                }
            }
        }
    }

    fn done(&self) -> Done {
        let running = self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping);
        Done {
            recording: running.map(|running| running.recording.clone()),
            capture: running.map(|running| running.capture),
        }
    }
}
