//! What recorders say on their links, and what is said to them.

use deskreel_link::server::Effect;
use deskreel_link::{Moment, ServerEnd};
use deskreel_model::event::Event;
use deskreel_model::link::{FromRecorder, FromServer, Status, StreamId};

use super::work::{Row, persist};
use super::{Input, Known, Loop, now, presence, read};
use crate::db::recorders::Recorder;
use crate::error::Result;

/// An event of an agent desktop, which its recorder has handed on.
pub(super) struct FromDesktop {
    recorder: String,
    stream: StreamId,
    number: u64,
    /// None: it was none, which was said.
    event: Option<Event>,
}

impl Loop {
    pub(super) async fn link(&mut self, input: Input) -> Result<()> {
        let moment = self.moment();
        match input {
            Input::Events { .. } => Ok(()),
            Input::Asked(answer) => {
                self.work.write(Row::Asked(answer));
                Ok(())
            }
            Input::Connected { recorder: Recorder { recorder, place }, line } => {
                if !self.recorders.contains_key(&recorder) {
                    let heard = persist(|| self.db.heard(&recorder)).await?;
                    let known = Known {
                        place: place.as_str().into(),
                        end: ServerEnd::new(heard),
                        line: None,
                        status: Status::default(),
                    };
                    self.recorders.insert(recorder.clone(), known);
                }
                self.at_place.insert(place.as_str().into(), recorder.clone());
                if let Some(known) = self.recorders.get_mut(&recorder) {
                    known.place = place.as_str().into();
                    known.end.connected(moment);
                    known.line = Some(line);
                }
                Ok(())
            }
            Input::Said { recorder, connection, text } => {
                let Some(known) = self.of(&recorder, connection) else { return Ok(()) };
                let effects = match FromRecorder::parse(&text) {
                    Ok(message) => known.end.take(message, moment),
                    Err(error) => {
                        vec![Effect::Close { reason: format!("not a message of the link: {error}") }]
                    }
                };
                self.perform(&recorder, effects)
            }
            Input::Gone { recorder, connection } => {
                let Some(known) = self.of(&recorder, connection) else { return Ok(()) };
                known.end.cut();
                known.line = None;
                let place = known.place.clone();
                self.work.write(Row::Present { recorder, program: None });
                self.push(presence(&place, false)?)
            }
        }
    }

    fn of(&mut self, recorder: &str, connection: u64) -> Option<&mut Known> {
        let known = self.recorders.get_mut(recorder)?;
        known.line.as_ref().is_some_and(|line| line.connection == connection).then_some(known)
    }

    pub(super) fn perform(&mut self, recorder: &str, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.work.tell(recorder, message),
                Effect::Present(hello) => {
                    let program = Some(hello.program.clone());
                    self.work.write(Row::Present { recorder: recorder.to_owned(), program });
                    if let Some(place) = self.recorders.get(recorder).map(|known| known.place.clone()) {
                        self.push(presence(&place, true)?)?;
                    }
                    self.resume(recorder, &hello.status)?;
                }
                Effect::Status(status) => {
                    self.work.write(Row::Doing { recorder: recorder.to_owned(), status: status.clone() });
                    self.runs(recorder, &status)?;
                    if let Some(known) = self.recorders.get_mut(recorder) {
                        known.status = status;
                    }
                }
                Effect::Event { stream, number, event } => {
                    let event = read(&format!("desktop-{recorder}"), event);
                    let event =
                        event.inspect_err(|reason| tracing::warn!(recorder, reason, "an event is skipped"));
                    let recorder = recorder.to_owned();
                    self.desktops.push(FromDesktop { recorder, stream, number, event: event.ok() });
                }
                Effect::Lost { from, to, .. } => {
                    tracing::warn!(recorder, from, to, "events of a desktop are lost")
                }
                Effect::Answered { id, result } => tracing::info!(recorder, %id, ?result, "answered"),
                Effect::Overdue { id } => tracing::warn!(recorder, %id, "a command is not answered"),
                Effect::Close { reason } => {
                    tracing::warn!(recorder, reason, "a link is closed");
                    if let Some(known) = self.recorders.get_mut(recorder) {
                        known.end.cut();
                        known.line = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes in what desktops have said: stored together with how far each was heard, so that a start between the two neither loses
    /// an event nor hears it twice.
    pub(super) async fn desktops(&mut self) -> Result<()> {
        let told = std::mem::take(&mut self.desktops);
        let heard: Vec<_> =
            told.iter().map(|told| (told.recorder.as_str(), &told.stream, told.number)).collect();
        let events =
            told.iter().filter_map(|told| Some((format!("desktop-{}", told.recorder), told.event.clone()?)));
        self.events(events.collect(), &heard).await?;
        for FromDesktop { recorder, stream, number, .. } in &told {
            let known = self.recorders.get_mut(recorder);
            let effects = known.map(|known| known.end.stored(stream, *number)).unwrap_or_default();
            self.perform(recorder, effects)?;
        }
        Ok(())
    }

    pub(super) fn send(&self, recorder: &str, message: &FromServer) {
        let Some(line) = self.recorders.get(recorder).and_then(|known| known.line.as_ref()) else { return };
        if let Ok(text) = serde_json::to_string(message) {
            let _ = line.send.send(text);
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { monotonic: self.began.elapsed(), utc: now() }
    }
}
