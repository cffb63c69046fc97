//! Decides who is recorded: events come in, commands go out to recorders, and footage with its segments goes
//! to the index.
//!
//! One task takes everything in sequence, so that nothing here needs a lock: events of feeds and of desktops,
//! messages of recorders, and time. Events are stored with their time of arrival before they are interpreted.
//! A start replays them (`past.rs`), so that a restart changes nothing.

mod commanded;
#[cfg(test)]
mod day;
mod links;
mod past;
mod places;
mod reconcile;
pub mod rerun;
mod unresolved;
mod viewers;
mod write_behind;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deskreel_deployment::DecisionClock;
use deskreel_interaction::{Command as Wanted, Engine, Note, Output, Policy, RecorderCommand};
use deskreel_link::ServerEnd;
use deskreel_model::event::{Event, Kind};
use deskreel_model::link::RecorderStatus;
use deskreel_model::{Identities, Place, RecordingId, Utc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::account::hindrances::{HindranceSource, Hindrances};
use crate::config::Config;
use crate::db::Db;
use crate::db::events::{ReceivedEvent, StreamPosition, event_ids};
use crate::db::recorders::Recorder;
use crate::error::{Error, Result};
use crate::names::{PersonName, RecorderId};
use crate::time::to_ms;

use commanded::CommandedFootage;
use links::DesktopEvent;
use places::Places;
use unresolved::Unresolved;
use viewers::Viewers;
use write_behind::{BatchEffects, IndexUpdate, persist};

/// Inputs that may wait; a sender of more waits too.
const BACKLOG: usize = 4096;
/// Inputs that are taken at once; their events are stored in one transaction.
const BATCH: usize = 256;
const TICK: Duration = Duration::from_secs(1);
/// The feed of the server's own events: its starts, and the links of recorders.
const OWN_FEED: &str = "server";

enum ControlInput {
    Events {
        feed: String,
        events: Vec<Value>,
        stored: Option<oneshot::Sender<Result<Vec<Refusal>>>>,
    },
    Connected {
        recorder: Recorder,
        connection: LinkConnection,
    },
    Message {
        recorder: RecorderId,
        connection: u64,
        text: String,
    },
    Disconnected {
        recorder: RecorderId,
        connection: u64,
    },
    Watched {
        recording: RecordingId,
        person: PersonName,
        joins: bool,
    },
    Identities(Arc<Identities>),
    Flush(oneshot::Sender<()>),
    /// Answered at once.
    Ping(oneshot::Sender<()>),
}

/// An event that was not taken: its position among those that came with it, and why.
type Refusal = (usize, String);

/// A connection of a recorder's link. It is closed when this is dropped.
pub struct LinkConnection {
    pub number: u64,
    pub send: mpsc::UnboundedSender<String>,
}

/// Sends inputs to the task. Cheap to clone.
#[derive(Clone)]
pub struct Control(mpsc::Sender<ControlInput>);

impl Control {
    /// Takes events in this order. Returns the reasons why some are not events; all others are stored by
    /// then.
    pub async fn events(&self, feed: &str, events: Vec<Value>) -> Result<Vec<String>> {
        let (stored, answer) = oneshot::channel();
        self.send(ControlInput::Events { feed: feed.to_owned(), events, stored: Some(stored) }).await?;
        let refused = answer.await.map_err(|_| Error::GoingDown)??;
        Ok(refused.into_iter().map(|(index, reason)| format!("event {index}: {reason}")).collect())
    }

    /// Takes events in this order, and blocks the thread until they are stored. Returns for each nothing, or
    /// the reason why it is not an event.
    pub fn submit(&self, feed: &str, events: Vec<Value>) -> Result<Vec<Option<String>>> {
        let (stored, answer) = oneshot::channel();
        let mut reasons = vec![None; events.len()];
        let input = ControlInput::Events { feed: feed.to_owned(), events, stored: Some(stored) };
        self.0.blocking_send(input).map_err(|_| Error::GoingDown)?;
        for (index, reason) in answer.blocking_recv().map_err(|_| Error::GoingDown)?? {
            reasons[index] = Some(reason);
        }
        Ok(reasons)
    }

    /// Takes an event without reporting whether it was stored. Blocks the thread while too many inputs wait.
    pub fn emit(&self, feed: &str, event: Value) {
        let input = ControlInput::Events { feed: feed.to_owned(), events: vec![event], stored: None };
        let _ = self.0.blocking_send(input);
    }

    /// Takes events of the server itself, as [`Control::events`] does.
    pub async fn own_events(&self, events: Vec<Value>) -> Result<Vec<String>> {
        self.events(OWN_FEED, events).await
    }

    /// Finds agents by these names from now on.
    pub async fn set_identities(&self, identities: Arc<Identities>) -> Result<()> {
        self.send(ControlInput::Identities(identities)).await
    }

    pub async fn connected(&self, recorder: Recorder, connection: LinkConnection) -> Result<()> {
        self.send(ControlInput::Connected { recorder, connection }).await
    }

    pub async fn message(&self, recorder: &RecorderId, connection: u64, text: String) -> Result<()> {
        self.send(ControlInput::Message { recorder: recorder.clone(), connection, text }).await
    }

    pub async fn disconnected(&self, recorder: &RecorderId, connection: u64) {
        let _ = self.send(ControlInput::Disconnected { recorder: recorder.clone(), connection }).await;
    }

    /// Reports that somebody watches a running recording; `joins`: from now on. While too many inputs wait,
    /// does nothing: viewers ask again.
    pub fn watched(&self, recording: &RecordingId, person: &PersonName, joins: bool) {
        let input = ControlInput::Watched { recording: recording.clone(), person: person.clone(), joins };
        let _ = self.0.try_send(input);
    }

    /// Returns once all earlier inputs have their effect in the index.
    pub async fn flush(&self) {
        let (answer, flushed) = oneshot::channel();
        if self.send(ControlInput::Flush(answer)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// Returns true once all earlier inputs have their effect in the index, or false if the task has ended.
    pub async fn decides(&self) -> bool {
        let (answer, flushed) = oneshot::channel();
        self.send(ControlInput::Flush(answer)).await.is_ok() && flushed.await.is_ok()
    }

    /// Returns true once the loop has come round, whether the index takes its effects or not.
    pub async fn turns(&self) -> bool {
        let (answer, turned) = oneshot::channel();
        self.send(ControlInput::Ping(answer)).await.is_ok() && turned.await.is_ok()
    }

    async fn send(&self, input: ControlInput) -> Result<()> {
        self.0.send(input).await.map_err(|_| Error::GoingDown)
    }
}

/// A recorder that has connected since the server started.
struct KnownRecorder {
    place: Place,
    /// Its name for people.
    name: String,
    end: ServerEnd,
    connection: Option<LinkConnection>,
    status: RecorderStatus,
}

struct Loop {
    db: Db,
    engine: Engine,
    clock: DecisionClock,
    recorders: HashMap<RecorderId, KnownRecorder>,
    places: Places,
    /// The agents' other names.
    identities: Arc<Identities>,
    unresolved: Unresolved,
    commanded: Vec<CommandedFootage>,
    hindrances: Hindrances,
    effects: BatchEffects,
    desktop_events: Vec<DesktopEvent>,
    /// Events of the server itself that are not stored yet.
    own_events: Vec<Event>,
    viewers: Viewers,
    salt: u32,
}

/// Starts the task. It ends when every `Control` is dropped.
pub async fn start(config: &Config, db: &Db) -> Result<Control> {
    let (send, inputs) = mpsc::channel(BACKLOG);
    let engine = Engine::new(policies(config)?, config.graph.deciders.rules.clone());
    let clock = DecisionClock::start(db.newest_arrival().await?);
    let control = Loop::open(db, engine, clock).await?;
    tokio::spawn(control.serve(inputs));
    Ok(Control(send))
}

fn policies(config: &Config) -> Result<Vec<Policy>> {
    let policy = |node: &deskreel_pipeline::Node| {
        let id = &node.plugin.plugin;
        let refused = |reason: String| Error::Plugin { plugin: id.clone(), reason };
        let (found, _) =
            config.plugins.find(id).ok_or_else(|| refused("there is no such plugin".to_owned()))?;
        let library = deskreel_host::load(found).map_err(|error| refused(error.to_string()))?;
        Policy::open(library, id, node.plugin.settings.clone()).map_err(|error| refused(error.to_string()))
    };
    config.graph.deciders.policies.iter().map(policy).collect()
}

impl Loop {
    /// Takes up the earlier run that the index has.
    async fn open(db: &Db, engine: Engine, clock: DecisionClock) -> Result<Loop> {
        let mut control = Loop {
            db: db.clone(),
            engine,
            clock,
            recorders: HashMap::new(),
            places: Places::default(),
            identities: Arc::default(),
            unresolved: Unresolved::default(),
            commanded: Vec::new(),
            hindrances: Hindrances::default(),
            effects: BatchEffects::start(db),
            desktop_events: Vec::new(),
            own_events: Vec::new(),
            viewers: Viewers::default(),
            salt: std::process::id(),
        };
        control.set_identities(Arc::new(db.identities().await?));
        // Nobody is connected yet, whatever the run before could not note when it was killed.
        db.forget_links().await?;
        control.take_up().await?;
        Ok(control)
    }

    async fn serve(mut self, mut inputs: mpsc::Receiver<ControlInput>) {
        let mut tick = tokio::time::interval(TICK);
        let mut batch = Vec::new();
        loop {
            let inputs = tokio::select! {
                count = inputs.recv_many(&mut batch, BATCH) => match count {
                    0 => return,
                    _ => Some(std::mem::take(&mut batch)),
                },
                _ = tick.tick() => None,
            };
            self.turn(inputs).await;
        }
    }

    /// Takes inputs; without any, checks what is due by time alone.
    async fn turn(&mut self, inputs: Option<Vec<ControlInput>>) {
        let result = match inputs {
            Some(inputs) => self.take(inputs).await,
            None => self.tick(),
        };
        if let Err(error) = result.and_then(|()| self.advance()) {
            tracing::error!(%error, "inputs dropped: could not process this batch");
        }
        if let Err(error) = self.take_own_events().await {
            tracing::error!(%error, "events of the server were not stored");
        }
        for (recorder, message) in self.effects.finish(&self.db).await {
            self.send(&recorder, &message);
        }
    }

    async fn take(&mut self, inputs: Vec<ControlInput>) -> Result<()> {
        let mut events = Vec::new();
        let mut answers = Vec::new();
        let mut rest = Vec::new();
        for input in inputs {
            match input {
                ControlInput::Events { feed, events: received, stored } => {
                    let mut wrong = Vec::new();
                    for (index, event) in received.into_iter().enumerate() {
                        match read(&feed, event) {
                            Ok(event) => events.push((feed.clone(), event)),
                            Err(reason) => wrong.push((index, reason)),
                        }
                    }
                    answers.extend(stored.map(|stored| (stored, wrong)));
                }
                other => rest.push(other),
            }
        }
        let result = self.take_events(events.into_iter().map(NewEvent::from).collect(), &[]).await;
        let failed = result.is_err();
        for (stored, wrong) in answers {
            let _ = stored.send(if failed { Err(Error::GoingDown) } else { Ok(wrong) });
        }
        result?;
        for input in rest {
            self.take_link(input).await?;
        }
        self.take_desktop_events().await
    }

    async fn take_own_events(&mut self) -> Result<()> {
        let own = std::mem::take(&mut self.own_events);
        let own = own.into_iter().map(|event| NewEvent::from((OWN_FEED.to_owned(), event)));
        self.take_events(own.collect(), &[]).await
    }

    /// Stores events, then interprets them. `positions` are those of the streams that they came on.
    async fn take_events(&mut self, events: Vec<NewEvent>, positions: &[StreamPosition<'_>]) -> Result<()> {
        if events.is_empty() && positions.is_empty() {
            return Ok(());
        }
        let now = self.store_events(&events, positions).await?;
        for event in events {
            self.push(event.corrected(), now)?;
        }
        Ok(())
    }

    /// Returns the time of their arrival.
    async fn store_events(&mut self, events: &[NewEvent], positions: &[StreamPosition<'_>]) -> Result<Utc> {
        let now = self.clock.now();
        let ids = event_ids(events.len(), to_ms(now))?.into_iter();
        let received = ids.zip(events).map(|(id, NewEvent { feed, event, corrected })| {
            let at = corrected.map(to_ms);
            ReceivedEvent { id, feed, received: to_ms(now), at, body: &event.json }
        });
        let received: Vec<_> = received.collect();
        persist(|| self.db.store_events(&received, positions)).await?;
        Ok(now)
    }

    /// Sets what hinders recordings at a place from now on.
    fn set_hindrances(&mut self, place: &Place, source: HindranceSource, causes: &[String], at: i64) {
        let salt = &mut self.salt;
        let id = || {
            *salt = next_salt(*salt);
            format!("{at:012x}{salt:08x}")
        };
        for row in self.hindrances.set(place, source, causes, at, id) {
            self.effects.write(IndexUpdate::Hindrance(row));
        }
    }

    fn push(&mut self, event: Event, received: Utc) -> Result<()> {
        let mut outputs = Vec::new();
        self.engine.push(event, received, &mut |output| outputs.push(output));
        self.obey(outputs)
    }

    /// Lets the engine do everything that is due by time alone.
    fn advance(&mut self) -> Result<()> {
        let mut outputs = Vec::new();
        self.engine.advance(self.clock.now(), &mut |output| outputs.push(output));
        self.obey(outputs)
    }

    /// Checks all links. There are thousands, so not with each input.
    fn tick(&mut self) -> Result<()> {
        // A later start knows since when the server did not run.
        self.effects.write(IndexUpdate::Alive(to_ms(self.clock.now())));
        self.write_unresolved();
        let moment = self.moment();
        let ids: Vec<RecorderId> = self.recorders.keys().cloned().collect();
        for id in ids {
            let Some(known) = self.recorders.get_mut(&id) else { continue };
            let effects = known.end.tick(moment);
            self.perform(&id, effects)?;
        }
        self.offer_free_places()
    }

    fn set_identities(&mut self, identities: Arc<Identities>) {
        if *identities != *self.identities {
            self.engine.set_identities(identities.clone());
            self.identities = identities;
        }
    }

    fn write_unresolved(&mut self) {
        for (name, events) in self.unresolved.take() {
            self.effects.write(IndexUpdate::Unresolved(name, events));
        }
    }

    fn obey(&mut self, outputs: Vec<Output>) -> Result<()> {
        let mut touched = Vec::new();
        for output in outputs {
            match output {
                Output::Command(commanded) => self.command(commanded)?,
                Output::Touched(agent) => touched.push(agent),
                Output::Footage(footage) => self.settle(footage),
                Output::Decision(decided) => {
                    let detail = serde_json::to_string(&decided).unwrap_or_default();
                    tracing::info!(%detail, "decided");
                }
                Output::Note(Note::PolicyFailed { policy, agent, message, .. }) => {
                    tracing::warn!(%policy, %agent, message, "a policy failed, or reports a problem");
                }
                Output::Note(Note::Unresolved { at, event }) => self.unresolved.count(&event, to_ms(at)),
                Output::Note(note) => tracing::warn!(?note, "events are missing or late"),
            }
        }
        self.update_footage(touched);
        Ok(())
    }

    fn command(&mut self, commanded: RecorderCommand) -> Result<()> {
        let RecorderCommand { agent, place, command, why, late_ms, at } = commanded;
        match command {
            Wanted::Start { capture } => {
                let from = at.minus(Duration::from_millis(late_ms));
                self.begin(agent, place, from, capture, why)
            }
            Wanted::Stop => self.stop(&agent, place.as_ref(), why),
            Wanted::SetMode { capture } => self.set_mode(&agent, place.as_ref(), capture, why),
        }
    }
}

fn next_salt(salt: u32) -> u32 {
    salt.wrapping_mul(0x9e37_79b1).wrapping_add(1)
}

/// An event that is not stored yet.
struct NewEvent {
    feed: String,
    event: Event,
    /// Its time by the server's clock, if the offset of the sender's clock is known.
    corrected: Option<Utc>,
}

impl NewEvent {
    fn corrected(self) -> Event {
        Event { at: self.corrected.unwrap_or(self.event.at), ..self.event }
    }
}

impl From<(String, Event)> for NewEvent {
    fn from((feed, event): (String, Event)) -> NewEvent {
        NewEvent { feed, event, corrected: None }
    }
}

/// Parses an event of a feed, with its feed added.
fn read(feed: &str, mut event: Value) -> std::result::Result<Event, String> {
    let Value::Object(fields) = &mut event else { return Err("not an object".to_owned()) };
    fields.insert("feed".to_owned(), json!(feed));
    let event = Event::parse(&event.to_string()).map_err(|error| error.to_string())?;
    match event.kind {
        Kind::HostStarted => Err(format!("only the host may send `{}`", event.kind.name())),
        _ => Ok(event),
    }
}

/// An event of the server itself.
fn own_event(mut event: Value, at: Utc) -> Result<Event> {
    event["at"] = json!(at.to_string());
    Event::parse(&event.to_string()).map_err(|error| Error::Corrupt(error.to_string()))
}

/// The event that a place's recorder is online or offline.
fn presence(place: &Place, online: bool, at: Utc) -> Result<Event> {
    let kind = if online { "recorder.connected" } else { "recorder.disconnected" };
    own_event(json!({ "type": kind, "place": place }), at)
}
