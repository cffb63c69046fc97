//! Messages on the links of recorders, in both directions.

use deskreel_link::server::Effect;
use deskreel_link::{ClockReading, ServerEnd};
use deskreel_model::event::{Event, Kind};
use deskreel_model::link::{
    CommandKind, EventStreamId, FromRecorder, FromServer, Hello, RecorderStatus, RunningRecording, Welcome,
};
use deskreel_model::{Place, RecordingId};

use super::write_behind::{IndexUpdate, Presence, persist};
use super::{ControlInput, KnownRecorder, LinkConnection, Loop, NewEvent, presence, read};
use crate::account::hindrances::HindranceSource;
use crate::db::events::StreamPosition;
use crate::db::recorders::Recorder;
use crate::error::Result;
use crate::names::{PersonName, RecorderId, has_nul, is_recording_name};
use crate::time::to_ms;

/// Recordings of one status that are taken; a recorder has one or two.
const RECORDINGS: usize = 16;
/// A hundred years: a clock that is further off is not believed.
const LARGEST_OFFSET_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

/// An event of an agent desktop, received through its recorder.
pub(super) struct DesktopEvent {
    recorder: RecorderId,
    stream: EventStreamId,
    number: u64,
    /// `None`: it was not a valid event, which was logged.
    event: Option<Event>,
}

impl Loop {
    pub(super) async fn take_link(&mut self, input: ControlInput) -> Result<()> {
        match input {
            ControlInput::Events { .. } => Ok(()),
            ControlInput::Identities(identities) => {
                self.set_identities(identities);
                Ok(())
            }
            ControlInput::Flush(answer) => {
                self.write_unresolved();
                self.effects.write(IndexUpdate::Flush(answer));
                Ok(())
            }
            ControlInput::Ping(answer) => {
                let _ = answer.send(());
                Ok(())
            }
            ControlInput::Connected { recorder, connection } => self.connected(recorder, connection).await,
            ControlInput::Message { recorder, connection, text } => {
                self.message(&recorder, connection, &text).await
            }
            ControlInput::Disconnected { recorder, connection } => {
                match self.on_connection(&recorder, connection) {
                    Some(_) => self.lose_line(&recorder, to_ms(self.clock.now())),
                    None => Ok(()),
                }
            }
            ControlInput::Watched { recording, person, joins } => self.watched(&recording, &person, joins),
        }
    }

    fn watched(&mut self, recording: &RecordingId, person: &PersonName, joins: bool) -> Result<()> {
        let runs = |known: &KnownRecorder| {
            known.connection.is_some()
                && known.status.recordings.iter().any(|one| one.recording == *recording)
        };
        let Some((recorder, _)) = self.recorders.iter().find(|(_, known)| runs(known)) else { return Ok(()) };
        let recorder = recorder.clone();
        match self.viewers.ask(recording, person, joins, self.clock.elapsed()) {
            Some(command) => self.order(&recorder, command).map(drop),
            None => Ok(()),
        }
    }

    async fn connected(&mut self, recorder: Recorder, connection: LinkConnection) -> Result<()> {
        let moment = self.moment();
        let Recorder { id, place } = recorder;
        if !self.recorders.contains_key(&id) {
            let stored = persist(|| self.db.stored_stream(&id)).await?;
            let known = KnownRecorder {
                place: place.clone(),
                name: String::new(),
                end: ServerEnd::new(stored),
                connection: None,
                status: RecorderStatus::default(),
            };
            self.recorders.insert(id.clone(), known);
        }
        // An earlier line seems open. It has died without a word.
        let is_open = self.recorders.get(&id).is_some_and(|known| known.connection.is_some());
        if is_open && self.places.holds(&place, &id) {
            self.hinder_by_line(&place, self.last_heard(&id));
        }
        if let Some(known) = self.recorders.get_mut(&id) {
            known.place = place;
            known.end.connected(moment);
            known.connection = Some(connection);
        }
        Ok(())
    }

    async fn message(&mut self, recorder: &RecorderId, connection: u64, text: &str) -> Result<()> {
        let moment = self.moment();
        if self.on_connection(recorder, connection).is_none() {
            return Ok(());
        }
        let message = match read_message(text) {
            Ok(message) => Ok(self.without_foreign(recorder, message).await?),
            Err(error) => Err(format!("not a message of the link: {error}")),
        };
        if let Ok(FromRecorder::Hello(hello)) = &message {
            self.claim_place(recorder, hello)?;
        }
        let Some(known) = self.on_connection(recorder, connection) else { return Ok(()) };
        let effects = match message {
            Ok(message) => known.end.receive(message, moment),
            Err(reason) => vec![Effect::Close { reason }],
        };
        self.perform(recorder, effects)
    }

    /// The recorder's line has ended, or has not answered since then. Closes the connection.
    fn lose_line(&mut self, recorder: &RecorderId, since: i64) -> Result<()> {
        let Some(known) = self.recorders.get_mut(recorder).filter(|known| known.connection.is_some()) else {
            return Ok(());
        };
        known.end.disconnected();
        known.connection = None;
        let place = known.place.clone();
        self.effects.write(IndexUpdate::Presence { recorder: recorder.clone(), presence: None });
        if self.places.holds(&place, recorder) {
            self.places.lose(&place, recorder, self.clock.elapsed());
            self.hinder_by_line(&place, since);
            self.own_events.push(presence(&place, false, self.clock.now())?);
        }
        Ok(())
    }

    /// Gives a recorder that has said hello its place, unless another one has it.
    fn claim_place(&mut self, recorder: &RecorderId, hello: &Hello) -> Result<()> {
        let Some(known) = self.recorders.get_mut(recorder) else { return Ok(()) };
        known.name.clone_from(&hello.recorder);
        let place = known.place.clone();
        let Some(holder) = self.places.connect(&place, recorder, self.clock.elapsed()) else {
            return Ok(());
        };
        let is_wanted =
            |one: &RunningRecording| self.commanded.iter().any(|wanted| wanted.is_running_as(one, &place));
        let is_idle = self.recorders.get(&holder).is_none_or(|known| known.status.recordings.is_empty());
        if is_idle && hello.status.recordings.iter().any(is_wanted) {
            tracing::warn!(%place, %recorder, %holder, "the other recorder of the place is recording; it is commanded");
            self.places.take(&place, recorder);
            // It connects again and is told.
            return self.lose_line(&holder, to_ms(self.clock.now()));
        }
        tracing::warn!(%place, %recorder, %holder, "two recorders are connected at one place; only the first is commanded");
        Ok(())
    }

    /// The recorder that is commanded at this place instead of this one, as people know it.
    fn occupant(&self, recorder: &RecorderId) -> Option<String> {
        let place = &self.recorders.get(recorder)?.place;
        let holder = self.places.holder(place).filter(|holder| *holder != recorder)?;
        let name = self.recorders.get(holder).map_or("", |known| known.name.as_str());
        Some(if name.is_empty() { holder.to_string() } else { format!("{name} ({holder})") })
    }

    /// Closes the links of recorders whose place has become free: they connect again and get it.
    pub(super) fn offer_free_places(&mut self) -> Result<()> {
        let now = self.clock.elapsed();
        let waits = |(id, known): &(&RecorderId, &KnownRecorder)| {
            known.connection.is_some()
                && known.end.is_open()
                && !self.places.holds(&known.place, id)
                && self.places.is_free(&known.place, now)
        };
        let waiting: Vec<RecorderId> =
            self.recorders.iter().filter(waits).map(|(id, _)| id.clone()).collect();
        for recorder in waiting {
            tracing::info!(%recorder, "the other recorder of its place is gone; this one gets the place");
            self.lose_line(&recorder, to_ms(self.clock.now()))?;
        }
        Ok(())
    }

    /// When a message of this recorder last came, in milliseconds.
    fn last_heard(&self, recorder: &RecorderId) -> i64 {
        let ClockReading { monotonic, utc } = self.moment();
        let heard = self.recorders.get(recorder).map_or(monotonic, |known| known.end.last_message());
        to_ms(utc.minus(monotonic.saturating_sub(heard)))
    }

    /// No recorder is connected at this place since then.
    pub(super) fn hinder_by_line(&mut self, place: &Place, since: i64) {
        let cause = format!("no recorder is connected at {place}");
        self.set_hindrances(place, HindranceSource::Line, &[cause], since);
    }

    /// Removes reports that a recorder must not make: recordings of other recorders, which would be shown as
    /// footage of its own agent to people who may not see them, and an impossible clock.
    async fn without_foreign(
        &mut self,
        recorder: &RecorderId,
        message: FromRecorder,
    ) -> Result<FromRecorder> {
        let (mut status, hello) = match message {
            FromRecorder::Status(status) => (status, None),
            FromRecorder::Hello(mut hello) => (std::mem::take(&mut hello.status), Some(hello)),
            other => return Ok(other),
        };
        status.offset_ms = status.offset_ms.filter(|ms| ms.unsigned_abs() < LARGEST_OFFSET_MS);
        for running in std::mem::take(&mut status.recordings).into_iter().take(RECORDINGS) {
            if self.owns(recorder, &running).await? {
                status.recordings.push(running);
            } else {
                let recording = &running.recording;
                tracing::warn!(%recorder, %recording, "ignored a recording that belongs to another recorder");
            }
        }
        Ok(match hello {
            Some(hello) => FromRecorder::Hello(Hello { status, ..hello }),
            None => FromRecorder::Status(status),
        })
    }

    async fn owns(&mut self, recorder: &RecorderId, running: &RunningRecording) -> Result<bool> {
        let recording = &running.recording;
        if let Some(commanded) = self.commanded.iter().find(|one| one.is_recording(recording)) {
            let place = self.recorders.get(recorder).map(|known| &known.place);
            if commanded.recorder.as_ref() == Some(recorder) {
                return Ok(true);
            }
            // The run before may not have noted which recorder it commanded, and of two recorders at one
            // place either may have made it.
            if commanded.place.is_none() || commanded.place.as_ref() != place {
                return Ok(false);
            }
        }
        if !is_recording_name(recording.as_str()) {
            return Ok(false);
        }
        let state = persist(|| self.db.state(recording)).await?;
        Ok(state.is_none_or(|state| state.recorder == *recorder))
    }

    /// The recorder, if this is its current connection.
    fn on_connection(&mut self, recorder: &RecorderId, connection: u64) -> Option<&mut KnownRecorder> {
        let known = self.recorders.get_mut(recorder)?;
        known.connection.as_ref().is_some_and(|own| own.number == connection).then_some(known)
    }

    pub(super) fn perform(&mut self, recorder: &RecorderId, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Send(FromServer::Welcome(welcome)) => {
                    let place = self.recorders.get(recorder).map(|known| known.place.clone());
                    let welcome = Welcome { place, occupied_by: self.occupant(recorder), ..welcome };
                    self.effects.send(recorder, FromServer::Welcome(welcome));
                }
                Effect::Send(message) => self.effects.send(recorder, message),
                Effect::Present(hello) => self.present(recorder, &hello)?,
                Effect::Status(status) => self.take_status(recorder, status)?,
                Effect::Event { stream, number, event } => {
                    let event = read(&feed_of(recorder), event).and_then(check_desktop_event);
                    let event =
                        event.inspect_err(|reason| tracing::warn!(%recorder, reason, "event skipped"));
                    let (recorder, event) = (recorder.clone(), event.ok());
                    self.desktop_events.push(DesktopEvent { recorder, stream, number, event });
                }
                Effect::Lost { from, to, .. } => {
                    tracing::warn!(%recorder, from, to, "events of a desktop were lost")
                }
                Effect::Answered { id, result } => {
                    tracing::info!(%recorder, %id, ?result, "command answered");
                    self.answered(recorder, &id, &result)?;
                }
                Effect::Overdue { id } => tracing::warn!(%recorder, %id, "command not answered in time"),
                Effect::Close { reason } => {
                    tracing::warn!(%recorder, reason, "link closed");
                    self.lose_line(recorder, self.last_heard(recorder))?;
                }
            }
        }
        Ok(())
    }

    fn present(&mut self, recorder: &RecorderId, hello: &Hello) -> Result<()> {
        let occupied_by = self.occupant(recorder);
        let is_commanded = occupied_by.is_none();
        let presence_now = Presence { program: hello.program.clone(), occupied_by };
        self.effects
            .write(IndexUpdate::Presence { recorder: recorder.clone(), presence: Some(presence_now) });
        let place = self.recorders.get(recorder).map(|known| known.place.clone());
        let Some(place) = place.filter(|_| is_commanded) else { return Ok(()) };
        self.set_hindrances(&place, HindranceSource::Line, &[], to_ms(self.clock.now()));
        self.own_events.push(presence(&place, true, self.clock.now())?);
        self.hand_over(recorder, &place);
        self.resume(recorder, &hello.status)
    }

    fn take_status(&mut self, recorder: &RecorderId, mut status: RecorderStatus) -> Result<()> {
        // A recorder that has just connected does not know the offset of its clock yet: the last one counts.
        let before = self.recorders.get(recorder).and_then(|known| known.status.offset_ms);
        status.offset_ms = status.offset_ms.or(before);
        self.effects.write(IndexUpdate::Status { recorder: recorder.clone(), status: status.clone() });
        let place = self.recorders.get(recorder).map(|known| known.place.clone());
        let is_commanded = place.as_ref().is_some_and(|place| self.places.holds(place, recorder));
        if let Some(place) = place.filter(|_| is_commanded) {
            let now = to_ms(self.clock.now());
            self.set_hindrances(&place, HindranceSource::Recorder, &status.problems, now);
        }
        self.take_running(recorder, &status);
        if let Some(known) = self.recorders.get_mut(recorder) {
            known.status = status.clone();
        }
        if is_commanded {
            return self.start_refused(recorder, status.agent.as_ref());
        }
        // It may have been the place's only recorder when these began.
        for RunningRecording { recording, .. } in status.recordings {
            let why = "another recorder is connected at this place".to_owned();
            self.order(recorder, CommandKind::Stop { recording, why })?;
        }
        Ok(())
    }

    /// Takes the events that desktops have sent. They are stored together with their position in each
    /// recorder's stream, so that a restart neither loses an event nor takes one twice.
    pub(super) async fn take_desktop_events(&mut self) -> Result<()> {
        let received = std::mem::take(&mut self.desktop_events);
        let positions: Vec<_> = received
            .iter()
            .map(|DesktopEvent { recorder, stream, number, .. }| StreamPosition {
                recorder,
                stream,
                number: *number,
            })
            .collect();
        let events = received.iter().filter_map(|one| {
            let event = one.event.clone()?;
            let offset = self.recorders.get(&one.recorder).and_then(|known| known.status.offset_ms);
            let corrected = offset.filter(|ms| *ms != 0).map(|ms| event.at.shifted_ms(ms));
            Some(NewEvent { feed: feed_of(&one.recorder), event, corrected })
        });
        self.take_events(events.collect(), &positions).await?;
        for DesktopEvent { recorder, stream, number, .. } in &received {
            let known = self.recorders.get_mut(recorder);
            let effects = known.map(|known| known.end.stored(stream, *number)).unwrap_or_default();
            self.perform(recorder, effects)?;
        }
        Ok(())
    }

    pub(super) fn send(&self, recorder: &RecorderId, message: &FromServer) {
        let known = self.recorders.get(recorder);
        let Some(connection) = known.and_then(|known| known.connection.as_ref()) else { return };
        if let Ok(text) = serde_json::to_string(message) {
            let _ = connection.send.send(text);
        }
    }

    pub(super) fn moment(&self) -> ClockReading {
        ClockReading { monotonic: self.clock.elapsed(), utc: self.clock.now() }
    }
}

/// The feed that events of this recorder's desktops belong to.
fn feed_of(recorder: &RecorderId) -> String {
    format!("desktop-{recorder}")
}

/// PostgreSQL stores no text with a NUL.
fn read_message(text: &str) -> std::result::Result<FromRecorder, String> {
    if has_nul(text) {
        return Err("a text contains the character NUL".to_owned());
    }
    FromRecorder::parse(text).map_err(|error| error.to_string())
}

/// A desktop reports on agents and calls. The server itself knows which recorders are online.
fn check_desktop_event(event: Event) -> std::result::Result<Event, String> {
    match event.kind {
        Kind::Recorder { .. } => Err(format!("a desktop cannot send `{}`", event.kind.name())),
        _ => Ok(event),
    }
}
