//! The loop of the daemon: one seat, its agent, and what is recorded of its screen.
//!
//! Everything that happens comes in here, one thing after the other: what desktops ask, what recordings tell, time, and a
//! new pipeline file. Events go through the policies (`deskreel_interaction`), and what those command is done by
//! [`Lanes`]. What runs is what is *wanted*: a recording that ends though it is still wanted is followed by another.

use std::time::{Duration, Instant};

use deskreel_contract::Capture;
use deskreel_interaction::{Command, Commanded, Engine, Note, Output};
use deskreel_model::event::{Event, Kind, Request};
use deskreel_model::manifest::Outcome;
use deskreel_model::{AgentId, Fault, MediaTime, Place, RecordingId};
use deskreel_recorder::{Control, Error, Finished, Notice};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{acts, now};
use super::desk::{Act, Ask, Done, Ends, Refused};
use super::lanes::{Back, Lanes, Order, Told};
use super::news::What;
use super::past::Past;
use super::settled::Unsettled;
use super::status::{Phase, Running, Seated, Status};
use super::stock::Stock;
use super::waiting::{Reply, Until, Waiting, word};

/// How often time is looked at where nothing happens: final segments and the room on disk may wait so long.
const TICK: Duration = Duration::from_secs(1);
/// Before a recording that failed is tried again: the first, second, ... time; the last repeats.
const PAUSES_S: [u64; 5] = [0, 1, 2, 5, 15];
/// For recordings to end when the daemon does. A stop takes two seconds at most.
const END_LIMIT: Duration = Duration::from_secs(4);

/// Footage that the engine wants to be running.
struct Wanted {
    agent: AgentId,
    capture: Capture,
    why: String,
}

pub struct Seat {
    place: Place,
    engine: Engine,
    past: Past,
    lanes: Lanes,
    told: mpsc::UnboundedReceiver<Back>,
    /// Of feeds that are plugins.
    events: mpsc::Receiver<Event>,
    ends: Ends,
    stock: Stock,
    status: Status,
    wanted: Option<Wanted>,
    /// Why the last recording could not begin, while it is still wanted.
    hindered: Option<String>,
    /// Recordings in a row that ended by themselves, and when to try again.
    failures: usize,
    retry_at: Option<Instant>,
    waiting: Waiting,
    unsettled: Unsettled,
}

/// What a seat is made of.
pub struct Parts {
    pub engine: Engine,
    pub past: (Past, Vec<Event>),
    pub lanes: (Lanes, mpsc::UnboundedReceiver<Back>),
    pub stock: Stock,
    pub unsettled: Unsettled,
}

impl Seat {
    /// The events of the past are taken in before anything else happens: nothing is done for them but what still holds.
    pub fn new(parts: Parts, events: mpsc::Receiver<Event>, ends: Ends) -> Seat {
        let status = (**ends.status.borrow()).clone();
        let (past, remembered) = parts.past;
        let (lanes, told) = parts.lanes;
        let mut seat = Seat {
            place: status.place.clone(),
            engine: parts.engine,
            past,
            lanes,
            told,
            events,
            ends,
            stock: parts.stock,
            status,
            wanted: None,
            hindered: None,
            failures: 0,
            retry_at: None,
            waiting: Waiting::default(),
            unsettled: parts.unsettled,
        };
        seat.remember(remembered);
        seat
    }

    /// Serves until `shutdown` completes; then every recording is ended.
    pub async fn serve(mut self, shutdown: impl Future<Output = ()>) {
        self.lanes.prepare();
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
                () = tokio::time::sleep(due) => self.pass(),
                _ = tick.tick() => self.pass(),
            }
            self.publish();
        }
        self.end().await;
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
        let abandoned = self.unsettled.expired(now());
        abandoned.iter().for_each(|recording| self.stock.release(recording, None));
        self.look_at_room();
    }

    /// A recording that takes the last of the disk ends while its end can still be written.
    fn look_at_room(&mut self) {
        self.stock.refresh(&mut self.status.spool);
        let Some(running) = &self.status.recording else { return };
        if running.phase != Phase::Stopping
            && let Some(why) = self.stock.must_end(&self.status.spool)
        {
            let recording = running.recording.clone();
            self.hindered = Some(why.clone());
            self.stop(&recording, &why);
        }
    }

    // What is asked.

    fn act(&mut self, act: Act, reply: Reply) {
        let at = now();
        let seated = self.status.agent.as_ref().map(|seated| seated.agent.clone());
        let event = match &act {
            Act::LogIn { agent, seat } => {
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
            Act::Request { request, .. } => self.answer(&request, reply),
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
                let wanted = self.wanted.as_ref().map_or(Capture::Live, |wanted| wanted.capture);
                let is_hidden = wanted != Capture::Live;
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
                    self.waiting.push(Until::Captured(running.recording.clone(), wanted), reply);
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

    // What events lead to.

    fn take_in(&mut self, event: Event) {
        self.past.append(&event, now());
        self.note_agent(&event);
        let mut outputs = Vec::new();
        self.engine.push(event, &mut |output| outputs.push(output));
        self.obey(outputs);
    }

    fn note_agent(&mut self, event: &Event) {
        match &event.kind {
            Kind::LoggedIn { agent, .. } => {
                if self.status.agent.as_ref().is_none_or(|seated| seated.agent != *agent) {
                    self.status.agent = Some(Seated { agent: agent.clone(), since: event.at });
                    self.tell(What::LoggedIn { agent: agent.clone() });
                }
            }
            Kind::LoggedOut { agent } => {
                if self.status.agent.take_if(|seated| seated.agent == *agent).is_some() {
                    self.tell(What::LoggedOut { agent: agent.clone() });
                }
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
                    Output::Command(commanded) => self.want(&commanded),
                    other => self.obey(vec![other]),
                }
            }
        }
    }

    fn obey(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Command(commanded) => {
                    self.want(&commanded);
                    self.follow(commanded);
                }
                Output::Footage(footage) => {
                    for (recording, folder) in self.unsettled.settle(&footage) {
                        self.stock.settle(&recording, &folder, &footage);
                    }
                }
                Output::Decided(decided) => {
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

    fn want(&mut self, commanded: &Commanded) {
        let Commanded { agent, command, why, .. } = commanded;
        match command {
            Command::Start { capture } => {
                self.wanted = Some(Wanted { agent: agent.clone(), capture: *capture, why: why.clone() });
            }
            Command::Stop => drop(self.wanted.take_if(|wanted| wanted.agent == *agent)),
            Command::Capture { capture } => {
                if let Some(wanted) = self.wanted.as_mut().filter(|wanted| wanted.agent == *agent) {
                    wanted.capture = *capture;
                }
            }
        }
    }

    fn follow(&mut self, commanded: Commanded) {
        let running = self.status.recording.as_ref().filter(|running| running.phase != Phase::Stopping);
        let running = running.map(|running| running.recording.clone());
        match (commanded.command, running) {
            (Command::Start { .. }, running) => {
                if let Some(other) = running {
                    self.stop(&other, "another recording begins");
                }
                (self.failures, self.retry_at, self.hindered) = (0, None, None);
                self.strive();
            }
            (Command::Stop, Some(recording)) => self.stop(&recording, "nothing wants it any longer"),
            (Command::Capture { capture }, Some(recording)) => {
                self.lanes.control(&recording, Control::Capture { capture, why: commanded.why });
            }
            (Command::Stop | Command::Capture { .. }, None) => {}
        }
    }

    // What is recorded.

    /// Begins what is wanted and does not run.
    fn strive(&mut self) {
        let is_running = self.status.recording.as_ref().is_some_and(|running| running.phase != Phase::Stopping);
        let Some(wanted) = self.wanted.as_ref().filter(|_| !is_running) else { return };
        let (agent, capture, why) = (wanted.agent.clone(), wanted.capture, wanted.why.clone());
        let recording = deskreel_recorder::new_id();
        self.stock.refresh(&mut self.status.spool);
        if let Err(hindrance) = self.stock.admit(&recording, &agent, &why, &self.status.spool) {
            return self.not_started(agent, hindrance);
        }
        let since = now();
        self.unsettled.began(recording.clone(), agent.clone(), since, self.folder(&recording));
        self.tell(What::Starting {
            recording: recording.clone(),
            agent: agent.clone(),
            capture,
            why: why.clone(),
        });
        self.status.recording = Some(Running {
            recording: recording.clone(),
            agent: agent.clone(),
            phase: Phase::Starting,
            capture,
            why: why.clone(),
            since,
            media: MediaTime::ZERO,
            frames: Default::default(),
            bytes: 0,
            parts: 0,
            disk_full: false,
            encoder: None,
        });
        self.lanes.begin(Order { recording, agent, place: self.place.clone(), capture, why });
    }

    fn folder(&self, recording: &RecordingId) -> std::path::PathBuf {
        self.lanes.making().graph.recording.directory.join(recording.as_str())
    }

    /// It is tried again for as long as it is wanted.
    fn not_started(&mut self, agent: AgentId, why: String) {
        tracing::warn!(%agent, why, "a recording could not begin");
        let pause = PAUSES_S[(self.failures + 1).min(PAUSES_S.len() - 1)];
        self.failures += 1;
        self.retry_at = Some(Instant::now() + Duration::from_secs(pause));
        if self.hindered.as_ref() != Some(&why) {
            self.tell(What::NotStarted { agent, why: why.clone() });
        }
        self.hindered = Some(why);
    }

    fn stop(&mut self, recording: &RecordingId, why: &str) {
        self.lanes.control(recording, Control::Stop);
        if let Some(running) = self.status.recording.as_mut().filter(|r| r.recording == *recording) {
            running.phase = Phase::Stopping;
        }
        self.tell(What::Stopping { recording: recording.clone(), why: why.to_owned() });
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Notice(recording, notice) => self.notice(&recording, notice),
            Told::Ended(recording, result) => self.ended(recording, result),
            Told::Ready(ready) => {
                let problem = ready.err().map(|error| format!("a recording could not begin: {error}"));
                self.status.health.problems = problem.into_iter().collect();
            }
        }
    }

    fn notice(&mut self, recording: &RecordingId, notice: Notice) {
        let id = recording.clone();
        self.stock.notice(recording, &notice);
        let running = self.status.recording.as_mut().filter(|running| running.recording == *recording);
        match (notice, running) {
            (Notice::Recording { .. }, Some(running)) => {
                if running.phase == Phase::Starting {
                    running.phase = Phase::Recording;
                    (self.failures, self.hindered) = (0, None);
                    self.status.health.problems.clear();
                    self.tell(What::Started { recording: id });
                }
            }
            (Notice::Captured { at, capture }, running) => {
                if let Some(running) = running {
                    running.capture = capture;
                }
                let why = self.wanted.as_ref().map_or(String::new(), |wanted| wanted.why.clone());
                self.tell(What::Captured { recording: id, capture, media: at, why });
                self.waiting.captured(recording, capture);
            }
            (Notice::Incident { at, cause, detail }, _) => {
                self.tell(What::Incident { recording: id, media: at, cause, detail });
            }
            (Notice::Status(status), Some(running)) => {
                running.media = status.at;
                running.frames = status.frames;
                running.bytes = status.bytes;
                running.parts = status.parts;
                running.disk_full = status.disk_full;
            }
            (Notice::Encoder { encoder, .. }, Some(running)) => {
                running.encoder = Some(format!("{} ({})", encoder.plugin, encoder.candidate));
            }
            _ => {}
        }
    }

    fn ended(&mut self, recording: RecordingId, result: Result<Finished, Error>) {
        let was = self.status.recording.take_if(|running| running.recording == recording);
        let agent = was.as_ref().map(|running| running.agent.clone());
        let failure = match &result {
            Ok(finished) => self.sealed(&recording, finished),
            Err(error) => Some(error.to_string()),
        };
        self.unsettled.ended(&recording, now());
        self.stock.ended(&recording, &result);
        self.waiting.sealed(&recording);
        if was.is_none_or(|running| running.phase == Phase::Stopping) {
            return self.strive();
        }
        // It ended by itself. What still is wanted begins again, at once the first time.
        let why = failure.unwrap_or_else(|| "the source has nothing more to give".to_owned());
        if let Some(agent) = agent.filter(|_| self.wanted.is_some()) {
            self.not_started(agent, why);
        }
    }

    /// Why it is a failure, if it is one.
    fn sealed(&mut self, recording: &RecordingId, finished: &Finished) -> Option<String> {
        let manifest = &finished.manifest;
        let outcome = manifest.outcome.clone().unwrap_or(Outcome::Recovered);
        let duration = manifest.tracks.iter().filter_map(|track| track.end()).max();
        self.tell(What::Sealed {
            recording: recording.clone(),
            outcome: outcome.clone(),
            duration: duration.unwrap_or(MediaTime::ZERO),
            frames: manifest.tracks.iter().map(|track| track.frames().encoded).sum(),
            gaps: manifest.tracks.iter().map(|track| track.gaps.len()).sum(),
        });
        match outcome {
            Outcome::Failed { failure } => Some(failure.to_string()),
            _ => None,
        }
    }

    // The end.

    async fn end(&mut self) {
        self.tell(What::GoingDown);
        self.wanted = None;
        if let Some(running) = &mut self.status.recording {
            running.phase = Phase::Stopping;
        }
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
        self.publish();
    }

    fn tell(&self, what: What) {
        tracing::info!(?what, "news");
        self.ends.news.tell(now(), what);
    }

    fn publish(&self) {
        self.ends.status.send_if_modified(|known| {
            let is_new = **known != self.status;
            if is_new {
                *known = self.status.clone().into();
            }
            is_new
        });
    }
}
