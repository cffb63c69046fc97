//! What recorders say on their links, and what is said to them.

use deskreel_link::server::Effect;
use deskreel_link::{ClockReading, ServerEnd};
use deskreel_model::event::{Event, Kind};
use deskreel_model::link::{EventStreamId, FromRecorder, FromServer, Hello, RecorderStatus};

use super::work::{Row, persist};
use super::{Input, Known, Loop, now, presence, read};
use crate::api::{has_nul, judge_recording};
use crate::db::recorders::Recorder;
use crate::error::Result;

/// Recordings of one status that are heeded; a recorder has one or two.
const RECORDINGS: usize = 16;
/// A hundred years.
const LIFETIME_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

/// An event of an agent desktop, which its recorder has handed on.
pub(super) struct FromDesktop {
    recorder: String,
    stream: EventStreamId,
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
                        status: RecorderStatus::default(),
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
                if self.of(&recorder, connection).is_none() {
                    return Ok(());
                }
                let message = match read_message(&text) {
                    Ok(message) => Ok(self.own(&recorder, message).await?),
                    Err(error) => Err(format!("not a message of the link: {error}")),
                };
                let Some(known) = self.of(&recorder, connection) else { return Ok(()) };
                let effects = match message {
                    Ok(message) => known.end.receive(message, moment),
                    Err(reason) => vec![Effect::Close { reason }],
                };
                self.perform(&recorder, effects)
            }
            Input::Gone { recorder, connection } => {
                let Some(known) = self.of(&recorder, connection) else { return Ok(()) };
                known.end.disconnected();
                known.line = None;
                let place = known.place.clone();
                self.work.write(Row::Present { recorder, program: None });
                self.push(presence(&place, false)?)
            }
        }
    }

    /// Without what a status may not say. A recording of another recorder would be shown to whom it may not be, as footage of an agent
    /// at this one; a clock that is off by a lifetime is none.
    async fn own(&mut self, recorder: &str, message: FromRecorder) -> Result<FromRecorder> {
        let (mut status, hello) = match message {
            FromRecorder::Status(status) => (status, None),
            FromRecorder::Hello(mut hello) => (std::mem::take(&mut hello.status), Some(hello)),
            other => return Ok(other),
        };
        status.offset_ms = status.offset_ms.filter(|ms| ms.unsigned_abs() < LIFETIME_MS);
        let said = std::mem::take(&mut status.recordings);
        for said in said.into_iter().take(RECORDINGS) {
            let commanded = self.running.iter().find(|running| running.is_recording(&said.recording));
            let is_own = match commanded {
                Some(running) => running.recorder.as_deref() == Some(recorder),
                None if judge_recording(said.recording.as_str()).is_err() => false,
                None => {
                    let standing = persist(|| self.db.standing(said.recording.as_str())).await?;
                    standing.is_none_or(|standing| standing.recorder == recorder)
                }
            };
            match is_own {
                true => status.recordings.push(said),
                false => {
                    tracing::warn!(recorder, recording = %said.recording, "this is no recording of this recorder");
                }
            }
        }
        Ok(match hello {
            Some(hello) => FromRecorder::Hello(Hello { status, ..hello }),
            None => FromRecorder::Status(status),
        })
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
                    let event = read(&format!("desktop-{recorder}"), event).and_then(of_desktop);
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
                        known.end.disconnected();
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

    pub(super) fn moment(&self) -> ClockReading {
        ClockReading { monotonic: self.began.elapsed(), utc: now() }
    }
}

/// PostgreSQL keeps no text with a NUL.
fn read_message(text: &str) -> std::result::Result<FromRecorder, String> {
    if has_nul(text) {
        return Err("a text has the character NUL".to_owned());
    }
    FromRecorder::parse(text).map_err(|error| error.to_string())
}

/// A desktop knows of agents and calls. Which recorders are there, the server knows itself; of feeds it can only mean its own.
fn of_desktop(event: Event) -> std::result::Result<Event, String> {
    match event.kind {
        Kind::Recorder { .. } => Err(format!("`{}` is not for a desktop to say", event.kind.name())),
        _ => Ok(event),
    }
}
