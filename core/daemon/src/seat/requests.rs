//! Requests of agent desktops. Each becomes an event, and is answered once it holds or once it is clear that
//! it will not.

use deskreel_contract::CaptureMode;
use deskreel_desk::{Act, Done, Refused};
use deskreel_model::Fault;
use deskreel_model::event::Request;

use super::pending::{Condition, Waiter};
use super::{Effect, Event, Now, ReplyId, State, hides, word};
use crate::desk_events;

impl State {
    pub(super) fn asked(&mut self, act: Box<Act>, reply: ReplyId, now: Now, out: &mut Vec<Effect>) {
        let at = now.utc;
        let seated = self.seated().cloned();
        let event = match &*act {
            Act::LogIn { agent, seat } => {
                self.deadlines.desktop_return = None;
                if let Some(other) = seated.filter(|seated| seated != agent)
                    && let Ok(event) = desk_events::logged_out(&other, self.place(), at)
                {
                    out.push(Effect::Then(Box::new(Event::Entered(Box::new(event)))));
                }
                desk_events::logged_in(agent, seat, self.place(), at)
            }
            Act::Request { agent, .. } if seated.as_ref() != Some(agent) => {
                return out.push(Effect::Reply(reply, Err(Refused::NotLoggedIn(agent.clone()))));
            }
            // An agent who is not here is logged out already.
            Act::LogOut { agent } if seated.as_ref() != Some(agent) => {
                return out.push(Effect::Reply(reply, Ok(Done::default())));
            }
            Act::LogOut { agent } => desk_events::logged_out(agent, self.place(), at),
            Act::Tell(event) => Ok((**event).clone()),
            Act::Request { agent, request } => desk_events::requested(agent, request, at),
        };
        match event {
            Ok(event) => {
                out.push(Effect::Then(Box::new(Event::Entered(Box::new(event)))));
                out.push(Effect::Then(Box::new(Event::AnswerDue { act, reply })));
            }
            Err(error) => {
                let reason = error.to_string();
                out.push(Effect::Reply(reply, Err(Refused::Failed { fault: Fault::Bug, reason })));
            }
        }
    }

    /// Policies have decided on the request by now.
    pub(super) fn answer(&mut self, act: Act, reply: ReplyId, now: Now, out: &mut Vec<Effect>) {
        match act {
            Act::Request { request, .. } => {
                if !self.hold(&request, reply, now, out) {
                    self.answer_request(&request, reply, out);
                }
            }
            _ => out.push(Effect::Reply(reply, Ok(self.done()))),
        }
    }

    fn answer_request(&mut self, request: &Request, reply: ReplyId, out: &mut Vec<Effect>) {
        let not_allowed = |text: &str| Err(Refused::NotAllowed(text.to_owned()));
        let answer = match (request, self.current()) {
            (Request::Start | Request::Tag { .. }, Some(_)) => Ok(self.done()),
            (Request::Start, None) => match (&self.hindrances.last_start, &self.wanted) {
                (Some(why), Some(_)) => Err(Refused::Failed { fault: Fault::Device, reason: why.clone() }),
                _ => not_allowed("the policies of the pipeline file forbid it"),
            },
            (Request::Stop, Some(running)) => {
                Err(Refused::NotAllowed(format!("it continues: {}", running.why)))
            }
            (Request::Stop, None) => match &self.status.recording {
                Some(stopping) => {
                    let condition = Condition::Sealed(stopping.recording.clone());
                    return self.pending.push(condition, Waiter::Desktop(reply));
                }
                None => Err(Refused::NothingRecorded),
            },
            (_, None) => Err(Refused::NothingRecorded),
            (Request::Pause { .. } | Request::Mask { .. } | Request::Resume, Some(running)) => {
                let wanted = self.wanted.as_ref().map_or(CaptureMode::Live, |wanted| wanted.capture);
                let is_hidden = wanted != CaptureMode::Live;
                if is_hidden && !hides(request) {
                    Err(Refused::NotAllowed(format!(
                        "it stays {}: something else asks for that",
                        word(wanted)
                    )))
                } else if !is_hidden && hides(request) {
                    not_allowed("`pause = \"ignore\"` in [policy] of the pipeline file")
                } else if running.capture == wanted && self.is_recording() {
                    Ok(self.done())
                } else {
                    let condition = Condition::ModeHolds(running.recording.clone(), wanted);
                    return self.pending.push(condition, Waiter::Desktop(reply));
                }
            }
        };
        out.push(Effect::Reply(reply, answer));
    }

    fn is_recording(&self) -> bool {
        self.status.recording.as_ref().is_some_and(|r| r.phase == deskreel_desk::status::Phase::Recording)
    }

    fn done(&self) -> Done {
        let running = self.current();
        Done {
            recording: running.map(|running| running.recording.clone()),
            capture: running.map(|running| running.capture),
        }
    }
}
