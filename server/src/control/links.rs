//! What recorders say on their links, and what is said to them.

use deskreel_link::server::Effect;
use deskreel_link::{Moment, ServerEnd};
use deskreel_model::link::{FromRecorder, FromServer, Status};

use super::{Input, Known, Loop, now, presence, read};
use crate::db::recorders::Recorder;
use crate::error::Result;

impl Loop {
    pub(super) async fn link(&mut self, input: Input) -> Result<()> {
        let moment = self.moment();
        match input {
            Input::Events { .. } => Ok(()),
            Input::Connected { recorder: Recorder { recorder, place }, line } => {
                let known = self.recorders.entry(recorder).or_insert_with(|| Known {
                    place: place.as_str().into(),
                    end: ServerEnd::new(None),
                    line: None,
                    status: Status::default(),
                });
                known.place = place.as_str().into();
                known.end.connected(moment);
                known.line = Some(line);
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
                self.perform(&recorder, effects).await
            }
            Input::Gone { recorder, connection } => {
                let Some(known) = self.of(&recorder, connection) else { return Ok(()) };
                known.end.cut();
                known.line = None;
                let place = known.place.clone();
                self.db.presence(&recorder, None).await?;
                self.push(presence(&place, false)?).await
            }
        }
    }

    fn of(&mut self, recorder: &str, connection: u64) -> Option<&mut Known> {
        let known = self.recorders.get_mut(recorder)?;
        known.line.as_ref().is_some_and(|line| line.connection == connection).then_some(known)
    }

    pub(super) async fn perform(&mut self, recorder: &str, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Send(message) => self.send(recorder, &message),
                Effect::Present(hello) => {
                    let place = self.recorders.get(recorder).map(|known| known.place.clone());
                    self.db.presence(recorder, Some(&hello.program)).await?;
                    if let Some(place) = place {
                        self.push(presence(&place, true)?).await?;
                    }
                    Box::pin(self.resume(recorder, &hello.status)).await?;
                }
                Effect::Status(status) => {
                    let doing = serde_json::to_string(&status).unwrap_or_default();
                    self.db.doing(recorder, &doing, status.offset_ms).await?;
                    Box::pin(self.runs(recorder, &status)).await?;
                    if let Some(known) = self.recorders.get_mut(recorder) {
                        known.status = status;
                    }
                }
                Effect::Event { stream, number, event } => {
                    match read(&format!("desktop-{recorder}"), event) {
                        Ok(event) => {
                            Box::pin(self.events(vec![(format!("desktop-{recorder}"), event)])).await?;
                        }
                        Err(reason) => tracing::warn!(recorder, reason, "an event is skipped"),
                    }
                    let known = self.recorders.get_mut(recorder);
                    let more = known.map(|known| known.end.stored(&stream, number)).unwrap_or_default();
                    Box::pin(self.perform(recorder, more)).await?;
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

    fn send(&self, recorder: &str, message: &FromServer) {
        let Some(line) = self.recorders.get(recorder).and_then(|known| known.line.as_ref()) else { return };
        if let Ok(text) = serde_json::to_string(message) {
            let _ = line.send.send(text);
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { monotonic: self.began.elapsed(), utc: now() }
    }
}
