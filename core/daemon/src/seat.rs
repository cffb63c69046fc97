//! The loop of the daemon: one seat, its agent, and what is recorded of its screen.
//!
//! Everything that happens comes in here, one thing after the other: what desktops ask, what recordings tell, time, and a
//! new pipeline file. Events go through the policies (`deskreel_interaction`), and what those command is done by
//! [`Lanes`]. What runs is what is *wanted*: a recording that ends though it is still wanted is followed by another.

mod recordings;
mod requests;
mod server;

pub use server::Served;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use deskreel_contract::CaptureMode;
use deskreel_host::Catalog;
use deskreel_interaction::{Command, Engine, Note, Output, Policy, RecorderCommand};
use deskreel_model::event::{Event, Kind};
use deskreel_model::manifest::Cause;
use deskreel_model::{AgentId, Place, RecordingId, link};
use deskreel_recorder::{Control, Rest};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::delivery::Progress;
use super::lanes::{Back, Lanes, Making};
use super::lock::{self, Lock};
use super::past::Past;
use super::settled::Unsettled;
use super::stock::Stock;
use super::waiting::Waiting;
use super::{acts, now};
use deskreel_desk::news::What;
use deskreel_desk::status::{Phase, Running, Seated, Status};
use deskreel_desk::{Ask, Ends};

/// How often time is looked at where nothing happens: final segments and the room on disk may wait so long.
const TICK: Duration = Duration::from_secs(1);
/// Frames of a recording that count on, captured or skipped, come twice a second.
const STALLED: Duration = Duration::from_secs(5);
/// For recordings to end when the daemon does. A stop takes two seconds at most.
const END_LIMIT: Duration = Duration::from_secs(4);

/// Footage that the engine wants to be running.
struct Wanted {
    agent: AgentId,
    capture: CaptureMode,
    /// Why it is footage, and why it takes what it takes of the screen.
    why: String,
    capture_why: String,
    /// The id that a server has given it. A recording that goes on for it has an id of its own.
    ordered: Option<RecordingId>,
}

pub struct Seat {
    place: Place,
    engine: Engine,
    past: Past,
    lanes: Lanes,
    told: mpsc::UnboundedReceiver<Back>,
    events: mpsc::Receiver<Event>,
    reloads: mpsc::Receiver<Reload>,
    progress: mpsc::UnboundedReceiver<Progress>,
    ends: Ends,
    stock: Stock,
    status: Status,
    wanted: Option<Wanted>,
    /// Why the last recording could not begin, while it is still wanted.
    hindered: Option<String>,
    /// Recordings in a row that ended by themselves, and when to try again.
    failures: usize,
    retry_at: Option<Instant>,
    /// When the running recording last counted another frame.
    grew_at: Instant,
    /// A standby that failed is not begun again before.
    no_standby_until: Instant,
    /// When its encoders are tried out again.
    prepare_at: Option<Instant>,
    /// Why no recording could begin, as far as trying its encoders out shows.
    unready: Option<String>,
    /// Until then the desktop of the agent whom we remember may come back.
    orphaned_until: Option<Instant>,
    /// Why it cannot be seen whether the session is locked.
    unseen: Option<String>,
    waiting: Waiting,
    unsettled: Unsettled,
    /// Where nothing is recorded while the session is locked.
    lock: Option<watch::Receiver<Lock>>,
    /// Where a server decides.
    served: Option<Served>,
    commands: mpsc::Receiver<link::Command>,
    /// That the server has given the recording that runs.
    tags: BTreeMap<String, String>,
}

/// Another pipeline file, without mistakes, or why the one before stays.
pub type Reload = Result<(Making, Vec<Policy>, Catalog), String>;

/// What a seat is made of.
pub struct Parts {
    pub engine: Engine,
    pub past: (Past, Vec<Event>),
    pub lanes: (Lanes, mpsc::UnboundedReceiver<Back>),
    pub stock: (Stock, mpsc::UnboundedReceiver<Progress>),
    pub unsettled: Unsettled,
    /// Of feeds that are plugins.
    pub events: mpsc::Receiver<Event>,
    pub reloads: mpsc::Receiver<Reload>,
    /// An agent of before this start whose desktop does not come back for so long is logged out. None where there is no
    /// desktop feed.
    pub patience: Option<Duration>,
    /// Where a server decides, and what it commands.
    pub served: Option<Served>,
    pub commands: mpsc::Receiver<link::Command>,
}

impl Seat {
    /// The events of the past are taken in before anything else happens: nothing is done for them but what still holds.
    pub fn new(parts: Parts, ends: Ends) -> Seat {
        let status = (**ends.status.borrow()).clone();
        let (past, remembered) = parts.past;
        let (lanes, told) = parts.lanes;
        let (stock, progress) = parts.stock;
        let mut seat = Seat {
            place: status.place.clone(),
            engine: parts.engine,
            past,
            lanes,
            told,
            events: parts.events,
            reloads: parts.reloads,
            ends,
            stock,
            progress,
            status,
            wanted: None,
            hindered: None,
            failures: 0,
            retry_at: None,
            grew_at: Instant::now(),
            no_standby_until: Instant::now(),
            prepare_at: None,
            unready: Some("the first worker is loading".to_owned()),
            orphaned_until: None,
            unseen: None,
            waiting: Waiting::default(),
            unsettled: parts.unsettled,
            lock: None,
            served: parts.served,
            commands: parts.commands,
            tags: BTreeMap::new(),
        };
        seat.remember(remembered);
        if seat.status.agent.is_some() {
            seat.orphaned_until = parts.patience.map(|patience| Instant::now() + patience);
        }
        seat
    }

    /// Serves until `shutdown` completes; then every recording is ended.
    pub async fn serve(mut self, shutdown: impl Future<Output = ()>) {
        self.lanes.prepare();
        self.watch_lock();
        self.strive();
        self.publish();
        tokio::pin!(shutdown);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let due = self.due();
            tokio::select! {
                // Recordings first: what is asked is then answered by how things stand.
                biased;
                Some(back) = self.told.recv() => {
                    let told = self.lanes.take_back(back);
                    self.told(told);
                }
                () = &mut shutdown => break,
                Some(Ask { act, reply }) = self.ends.asks.recv() => self.act(act, reply),
                Some(event) = self.events.recv() => self.take_in(event),
                Some(command) = self.commands.recv() => self.command(command),
                Some(reload) = self.reloads.recv() => self.reload(reload),
                Some(progress) = self.progress.recv() => self.delivered(progress),
                Some(lock) = changed(&mut self.lock) => self.look_at_lock(lock),
                () = tokio::time::sleep(due) => self.pass(),
                _ = tick.tick() => self.pass(),
            }
            self.stand_by();
            self.publish();
        }
        self.end().await;
    }

    /// As the pipeline file says, which may be another one now.
    pub(super) fn watch_lock(&mut self) {
        let is_wanted = self.lanes.making().graph.recording.rests_while_locked;
        match &self.lock {
            None if is_wanted => self.lock = Some(lock::watch()),
            Some(_) if !is_wanted => {
                self.lock = None;
                self.look_at_lock(Lock { is_locked: false, unseen: None });
            }
            _ => {}
        }
    }

    fn look_at_lock(&mut self, lock: Lock) {
        self.unseen = lock.unseen;
        let why = "the session is locked".to_owned();
        self.lanes.rest(lock.is_locked.then_some(Rest { cause: Cause::Locked, why }));
        self.look_at_health();
    }

    /// Until something is due. The tick comes at the latest.
    fn due(&self) -> Duration {
        let engine = self.engine.next_due().map_or(TICK, |due| due.saturating_since(now()));
        let retry = self.retry_at.map_or(TICK, |at| at.saturating_duration_since(Instant::now()));
        engine.min(retry)
    }

    fn pass(&mut self) {
        let mut outputs = Vec::new();
        self.engine.advance(now(), &mut |output| outputs.push(output));
        self.obey(outputs);
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            self.strive();
        }
        if self.orphaned_until.take_if(|until| *until <= Instant::now()).is_some()
            && let Some(seated) = &self.status.agent
            && let Ok(event) = acts::logged_out(&seated.agent, now())
        {
            tracing::warn!(agent = %seated.agent, "logged out: the desktop has not come back since the recorder started");
            self.take_in(event);
        }
        for recording in self.unsettled.expired(now()) {
            self.stock.release(&recording, Default::default());
        }
        if self.prepare_at.take_if(|at| *at <= Instant::now()).is_some() && self.lanes.is_idle() {
            self.lanes.prepare();
        }
        self.look_at_link();
        self.look_at_room();
        self.look_at_health();
    }

    /// Healthy is who could record now, and whose footage grows while it should.
    fn look_at_health(&mut self) {
        let running = self.status.recording.as_ref();
        let grows = |running: &&Running| running.phase == Phase::Recording && running.resting.is_none();
        let stalled = running.filter(grows).filter(|_| self.grew_at.elapsed() > STALLED);
        let problems = &mut self.status.health.problems;
        problems.clear();
        problems.extend(self.status.stale.clone());
        problems.extend(self.unready.clone());
        problems.extend(
            self.unseen.as_ref().map(|why| format!("it cannot be seen whether the session is locked: {why}")),
        );
        problems.extend(self.hindered.as_ref().map(|why| format!("a recording could not begin: {why}")));
        problems.extend(stalled.map(|running| format!("recording {} no longer grows", running.recording)));
        problems.extend(running.filter(|r| r.disk_full).map(|_| "the disk is full".to_owned()));
    }

    fn take_in(&mut self, event: Event) {
        self.past.append(&event, now());
        self.note_agent(&event);
        self.tell_server(&event);
        let mut outputs = Vec::new();
        self.engine.push(event, &mut |output| outputs.push(output));
        self.obey(outputs);
    }

    fn note_agent(&mut self, event: &Event) {
        let seated = &mut self.status.agent;
        match &event.kind {
            Kind::LoggedIn { agent, .. } if seated.as_ref().is_none_or(|seated| seated.agent != *agent) => {
                *seated = Some(Seated { agent: agent.clone(), since: event.at });
                self.tell(What::LoggedIn { agent: agent.clone() });
            }
            Kind::LoggedOut { agent } if seated.as_ref().is_some_and(|seated| seated.agent == *agent) => {
                *seated = None;
                self.tell(What::LoggedOut { agent: agent.clone() });
            }
            _ => {}
        }
    }

    /// Events of before this start. Of what they commanded only the last holds.
    fn remember(&mut self, events: Vec<Event>) {
        for event in events {
            match &event.kind {
                Kind::LoggedIn { agent, .. } => {
                    self.status.agent = Some(Seated { agent: agent.clone(), since: event.at });
                }
                Kind::LoggedOut { agent } => drop(self.status.agent.take_if(|s| s.agent == *agent)),
                _ => {}
            }
            let mut outputs = Vec::new();
            self.engine.push(event, &mut |output| outputs.push(output));
            for output in outputs {
                match output {
                    Output::Command(commanded) if self.served.is_none() => self.want(&commanded),
                    other => self.obey(vec![other]),
                }
            }
        }
    }

    fn obey(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                // What is done, the server says.
                Output::Command(_) if self.served.is_some() => {}
                Output::Touched(_) => {}
                Output::Command(commanded) => {
                    self.want(&commanded);
                    self.follow(commanded);
                }
                Output::Footage(footage) => {
                    for (recording, folder) in self.unsettled.settle(&footage) {
                        self.stock.settle(&recording, &folder, &footage);
                    }
                }
                Output::Decision(decided) => {
                    tracing::info!(agent = %decided.agent, policy = %decided.policy, action = %decided.action,
                        why = %decided.why, "decided");
                }
                Output::Note(Note::PolicyFailed { policy, message, .. }) => {
                    tracing::warn!(%policy, message, "a policy failed; what it wanted before stands");
                }
                Output::Note(note) => tracing::warn!(?note, "events are missing or late"),
            }
        }
    }

    fn want(&mut self, commanded: &RecorderCommand) {
        let RecorderCommand { agent, command, why, .. } = commanded;
        match command {
            Command::Start { capture } => {
                let (agent, why) = (agent.clone(), why.clone());
                let capture_why = why.clone();
                self.wanted = Some(Wanted { agent, capture: *capture, why, capture_why, ordered: None });
            }
            Command::Stop => drop(self.wanted.take_if(|wanted| wanted.agent == *agent)),
            Command::SetMode { capture } => {
                if let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.agent == *agent) {
                    wanted.capture = *capture;
                    wanted.capture_why.clone_from(why);
                }
            }
        }
    }

    /// What was wanted before is not any more.
    fn begin_anew(&mut self, wanted: Wanted) {
        let running = self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping);
        let running = running.map(|running| running.recording.clone());
        self.wanted = Some(wanted);
        self.replace(running);
    }

    fn replace(&mut self, running: Option<RecordingId>) {
        if let Some(other) = running {
            self.stop(&other, "another recording begins");
        }
        (self.failures, self.retry_at, self.hindered) = (0, None, None);
        self.strive();
    }

    fn follow(&mut self, commanded: RecorderCommand) {
        let running = self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping);
        let running = running.map(|running| running.recording.clone());
        match (commanded.command, running) {
            (Command::Start { .. }, running) => self.replace(running),
            (Command::Stop, Some(recording)) => self.stop(&recording, "nothing wants it any longer"),
            (Command::SetMode { capture }, Some(recording)) => {
                self.lanes.control(&recording, Control::SetMode { capture, why: commanded.why });
            }
            (Command::Stop | Command::SetMode { .. }, None) => {}
        }
    }

    /// Recordings that run are made as they were begun; what is decided from now on, and what begins, goes by the new file.
    fn reload(&mut self, reload: Reload) {
        let error = match reload {
            Ok((making, policies, catalog)) => {
                let rules = making.graph.policy_rules.clone();
                self.status.pipeline.clone_from(&making.graph.name);
                let changed = self.stock.change(&making.graph, &catalog);
                self.lanes.change(making);
                self.watch_lock();
                let mut outputs = Vec::new();
                self.engine.replace_policies(policies, rules, &mut |output| outputs.push(output));
                self.obey(outputs);
                changed.err().map(|error| format!("sinks: {error:#}"))
            }
            Err(error) => Some(error),
        };
        self.status.stale.clone_from(&error);
        self.tell(What::Reloaded { error });
    }

    async fn end(&mut self) {
        self.tell(What::GoingDown);
        self.wanted = None;
        if let Some(running) = &mut self.status.recording {
            running.phase = Phase::Stopping;
        }
        self.lanes.stand_down();
        self.lanes.stop_all();
        let wait = async {
            while !self.lanes.is_idle() {
                let Some(back) = self.told.recv().await else { return };
                let told = self.lanes.take_back(back);
                self.told(told);
                self.publish();
            }
        };
        if tokio::time::timeout(END_LIMIT, wait).await.is_err() {
            tracing::error!("a recording did not end in time; the next start recovers it");
        }
        // Footage that still is wanted goes on at the next start, and its segments become final then.
        let mut outputs = Vec::new();
        self.engine.advance(now(), &mut |output| outputs.push(output));
        let footage = outputs.into_iter().filter(|output| matches!(output, Output::Footage(_)));
        let footage = footage.collect();
        self.obey(footage);
        self.stock.close();
        self.publish();
    }

    fn tell(&self, what: What) {
        tracing::info!(?what, "news");
        self.ends.news.tell(now(), what);
    }

    fn publish(&mut self) {
        self.tell_status();
        self.ends.status.send_if_modified(|known| {
            let is_new = **known != self.status;
            if is_new {
                *known = self.status.clone().into();
            }
            is_new
        });
    }
}

/// The lock, once it has changed; never, where it is not looked at.
async fn changed(lock: &mut Option<watch::Receiver<Lock>>) -> Option<Lock> {
    match lock {
        Some(lock) => lock.changed().await.ok().map(|()| lock.borrow_and_update().clone()),
        None => std::future::pending().await,
    }
}
