//! Decides: events in, commands to recorders out, and what footage belongs to into the index.
//!
//! One task does it all, one thing after the other, so that nothing here needs a lock: events of feeds and of desktops, what
//! recorders say on their links, and time. Events are stored before they are interpreted; a start takes in those of the last
//! hours again, so that calls go on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use deskreel_interaction::{Command as Wanted, Engine, Note, Output, Policy, RecorderCommand};
use deskreel_link::ServerEnd;
use deskreel_model::event::Event;
use deskreel_model::link::RecorderStatus;
use deskreel_model::{Place, Utc};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::db::Db;
use crate::db::decided::{Heard, Received, event_ids};
use crate::db::recorders::Recorder;
use crate::error::{Error, Result};

mod calls;
mod links;
mod running;
mod work;

use links::FromDesktop;
use running::Running;
use work::{Work, persist};

pub use calls::Call;
use calls::Calls;
pub use running::Stretch;

/// Inputs that wait. Who brings more waits too.
const BACKLOG: usize = 4096;
/// So many events are stored in one transaction.
const BATCH: usize = 256;
const TICK: Duration = Duration::from_secs(1);
/// Events that a start takes in again; nobody is in a call for longer.
const REMEMBERED: Duration = Duration::from_secs(12 * 3600);

/// Of footage that ended so long before the last event, everything was written.
const UNWRITTEN: Duration = Duration::from_secs(300);

enum Input {
    Events { feed: String, events: Vec<Value>, stored: Option<oneshot::Sender<Result<Vec<String>>>> },
    Connected { recorder: Recorder, line: Line },
    Said { recorder: String, connection: u64, text: String },
    Gone { recorder: String, connection: u64 },
    Asked(oneshot::Sender<()>),
}

/// Where a recorder's connection takes messages. Closed when this is dropped.
pub struct Line {
    pub connection: u64,
    pub send: mpsc::UnboundedSender<String>,
}

/// A way in. Cheap to clone.
#[derive(Clone)]
pub struct Control(mpsc::Sender<Input>);

impl Control {
    /// Takes events in, in this order. For each one that is none, why; the others are stored once this returns.
    pub async fn events(&self, feed: &str, events: Vec<Value>) -> Result<Vec<String>> {
        let (stored, answer) = oneshot::channel();
        self.send(Input::Events { feed: feed.to_owned(), events, stored: Some(stored) }).await?;
        answer.await.map_err(|_| Error::GoingDown)?
    }

    /// The same from a thread that may wait, for who does not care what becomes of it.
    pub fn emit(&self, feed: &str, event: Value) {
        let _ =
            self.0.blocking_send(Input::Events { feed: feed.to_owned(), events: vec![event], stored: None });
    }

    pub async fn connected(&self, recorder: Recorder, line: Line) -> Result<()> {
        self.send(Input::Connected { recorder, line }).await
    }

    pub async fn said(&self, recorder: &str, connection: u64, text: String) -> Result<()> {
        self.send(Input::Said { recorder: recorder.to_owned(), connection, text }).await
    }

    pub async fn gone(&self, recorder: &str, connection: u64) {
        let _ = self.send(Input::Gone { recorder: recorder.to_owned(), connection }).await;
    }

    /// Once everything that came before is in the index.
    pub async fn written(&self) {
        let (answer, written) = oneshot::channel();
        if self.send(Input::Asked(answer)).await.is_ok() {
            let _ = written.await;
        }
    }

    async fn send(&self, input: Input) -> Result<()> {
        self.0.send(input).await.map_err(|_| Error::GoingDown)
    }
}

/// A recorder that has been here since the server started.
struct Known {
    place: Place,
    end: ServerEnd,
    line: Option<Line>,
    status: RecorderStatus,
}

struct Loop {
    db: Db,
    engine: Engine,
    calls: Calls,
    recorders: HashMap<String, Known>,
    /// Which recorder connected there last: a search through thousands would cost each start a tenth of a millisecond.
    at_place: HashMap<Place, String>,
    running: Vec<Running>,
    work: Work,
    desktops: Vec<FromDesktop>,
    began: Instant,
    salt: u32,
}

/// Starts the task. It ends when nobody can reach it any more.
pub async fn start(config: &Config, db: &Db) -> Result<Control> {
    let (send, inputs) = mpsc::channel(BACKLOG);
    let engine = Engine::new(policies(config)?, config.graph.deciders.rules.clone());
    let mut control = Loop {
        db: db.clone(),
        engine,
        calls: Calls::default(),
        recorders: HashMap::new(),
        at_place: HashMap::new(),
        running: Vec::new(),
        work: Work::start(db),
        desktops: Vec::new(),
        began: Instant::now(),
        salt: std::process::id(),
    };
    control.remember().await?;
    tokio::spawn(control.serve(inputs));
    Ok(Control(send))
}

fn policies(config: &Config) -> Result<Vec<Policy>> {
    let one = |node: &deskreel_pipeline::Node| {
        let id = &node.plugin.plugin;
        let refused = |reason: String| Error::Plugin { plugin: id.clone(), reason };
        let (found, _) =
            config.plugins.find(id).ok_or_else(|| refused("there is no such plugin".to_owned()))?;
        let library = deskreel_host::load(found).map_err(|error| refused(error.to_string()))?;
        Policy::open(library, id, node.plugin.settings.clone()).map_err(|error| refused(error.to_string()))
    };
    config.graph.deciders.policies.iter().map(one).collect()
}

impl Loop {
    async fn serve(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut tick = tokio::time::interval(TICK);
        let mut batch = Vec::new();
        loop {
            let result = tokio::select! {
                count = inputs.recv_many(&mut batch, BATCH) => match count {
                    0 => return,
                    _ => self.take(std::mem::take(&mut batch)).await,
                },
                _ = tick.tick() => self.tick(),
            };
            if let Err(error) = result.and_then(|()| self.pass()) {
                tracing::error!(%error, "what has just come is not decided over");
            }
            for (recorder, message) in self.work.done(&self.db).await {
                self.send(&recorder, &message);
            }
        }
    }

    /// Events of before this start: for calls that are still on.
    async fn remember(&mut self) -> Result<()> {
        // Until a recorder connects nothing is begun there; what is wanted by then begins then.
        for place in self.db.places_of_recorders().await? {
            let event = presence(&place.as_str().into(), false)?;
            self.engine.push(event, &mut |_| {});
        }
        let since = now().minus(REMEMBERED);
        let mut touched = Vec::new();
        let mut finals = Vec::new();
        let mut newest = since;
        for body in self.db.events_since(crate::time::to_ms(since)).await? {
            let Ok(event) = Event::parse(&body) else { continue };
            newest = newest.max(event.at);
            self.calls.hear(&event);
            let mut outputs = Vec::new();
            self.engine.push(event, &mut |output| outputs.push(output));
            for output in outputs {
                match output {
                    Output::Command(commanded) => self.recall(&commanded).await?,
                    Output::Touched(agent) => touched.push(agent),
                    Output::Footage(footage) => finals.push(footage),
                    Output::Decision(_) | Output::Note(_) => {}
                }
            }
        }
        // What the last start had not written yet. What had ended long before is in the index.
        for footage in finals {
            match footage.to.is_none_or(|to| to.plus(UNWRITTEN) >= newest) {
                true => self.settle(footage),
                false => self.forget(&footage),
            }
        }
        self.stand(touched);
        Ok(())
    }

    /// What a recorder was told before this start it does still, or knows better.
    async fn recall(&mut self, commanded: &RecorderCommand) -> Result<()> {
        match commanded.command {
            Wanted::Start { capture } => {
                let from = commanded.at.minus(Duration::from_millis(commanded.late_ms));
                let known = self.db.footage_at(commanded.agent.as_str(), crate::time::to_ms(from)).await?;
                let agent = commanded.agent.clone();
                self.running.extend(known.and_then(|known| Running::again(agent, from, capture, known)));
            }
            Wanted::Stop => self.over(&commanded.agent),
            Wanted::SetMode { capture } => {
                let of_agent = self.running.iter_mut().filter(|running| running.agent == commanded.agent);
                of_agent.for_each(|running| running.capture = capture);
            }
        }
        Ok(())
    }

    async fn take(&mut self, inputs: Vec<Input>) -> Result<()> {
        let mut events = Vec::new();
        let mut answers = Vec::new();
        let mut rest = Vec::new();
        for input in inputs {
            match input {
                Input::Events { feed, events: told, stored } => {
                    let mut wrong = Vec::new();
                    for (index, event) in told.into_iter().enumerate() {
                        match read(&feed, event) {
                            Ok(event) => events.push((feed.clone(), event)),
                            Err(reason) => wrong.push(format!("event {index}: {reason}")),
                        }
                    }
                    answers.extend(stored.map(|stored| (stored, wrong)));
                }
                other => rest.push(other),
            }
        }
        let result = self.events(events, &[]).await;
        let failed = result.is_err();
        for (stored, wrong) in answers {
            let _ = stored.send(if failed { Err(Error::GoingDown) } else { Ok(wrong) });
        }
        result?;
        for input in rest {
            self.link(input).await?;
        }
        self.desktops().await
    }

    /// Stored first, then interpreted. `heard`: of these recorders so many are among them.
    async fn events(&mut self, events: Vec<(String, Event)>, heard: &[Heard<'_>]) -> Result<()> {
        if events.is_empty() && heard.is_empty() {
            return Ok(());
        }
        let ids = event_ids(events.len())?.into_iter();
        let received = ids.zip(&events).map(|(id, (feed, event))| {
            let at = crate::time::to_ms(event.at);
            Received { id, feed, at, body: &event.json }
        });
        let received: Vec<_> = received.collect();
        persist(|| self.db.store_events(&received, heard)).await?;
        for (_, event) in events {
            self.calls.hear(&event);
            self.push(event)?;
        }
        Ok(())
    }

    fn push(&mut self, event: Event) -> Result<()> {
        let mut outputs = Vec::new();
        self.engine.push(event, &mut |output| outputs.push(output));
        self.obey(outputs)
    }

    /// What time alone brings about.
    fn pass(&mut self) -> Result<()> {
        let mut outputs = Vec::new();
        self.engine.advance(now(), &mut |output| outputs.push(output));
        self.obey(outputs)
    }

    /// Looks at every recorder, of which there are thousands: not with each input.
    fn tick(&mut self) -> Result<()> {
        let moment = self.moment();
        let ids: Vec<String> = self.recorders.keys().cloned().collect();
        for id in ids {
            let Some(known) = self.recorders.get_mut(&id) else { continue };
            let effects = known.end.tick(moment);
            self.perform(&id, effects)?;
        }
        Ok(())
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
                Output::Note(Note::PolicyFailed { policy, message, .. }) => {
                    tracing::warn!(%policy, message, "a policy failed; what it wanted before stands");
                }
                Output::Note(note) => tracing::warn!(?note, "events are missing or late"),
            }
        }
        self.stand(touched);
        Ok(())
    }

    fn command(&mut self, commanded: RecorderCommand) -> Result<()> {
        let RecorderCommand { agent, place, command, why, late_ms, at } = commanded;
        match command {
            Wanted::Start { capture } => {
                let from = at.minus(Duration::from_millis(late_ms));
                self.begin(agent, place, from, capture, why)
            }
            Wanted::Stop => self.stop(&agent, why),
            Wanted::SetMode { capture } => self.set_mode(&agent, capture, why),
        }
    }
}

/// An event as it is to be stored: with its feed.
fn read(feed: &str, mut event: Value) -> std::result::Result<Event, String> {
    let Value::Object(fields) = &mut event else { return Err("not an object".to_owned()) };
    fields.insert("feed".to_owned(), json!(feed));
    Event::parse(&event.to_string()).map_err(|error| error.to_string())
}

fn presence(place: &Place, online: bool) -> Result<Event> {
    let kind = if online { "recorder.connected" } else { "recorder.disconnected" };
    let event = json!({ "type": kind, "at": now().to_string(), "place": place });
    Event::parse(&event.to_string()).map_err(|error| Error::Corrupt(error.to_string()))
}

fn now() -> Utc {
    Utc(jiff::Timestamp::now())
}
