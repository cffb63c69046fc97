//! The loop of the daemon: takes events in sequence and carries out what [`seat`](crate::seat) decides.
//!
//! Requests of desktops, events of feeds, commands of a server, reports of recordings, a new pipeline file,
//! the lock of the session, deliveries and time all arrive in [`Supervisor::serve`], which is the only place
//! that changes anything. Each becomes a [`seat::Event`]; each [`seat::Effect`] is carried out by
//! [`Hands::perform`] before the next event is taken. Nothing here decides what is recorded, and nothing in
//! `seat` waits, reads a clock or touches a disk.

mod hands;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use deskreel_desk::status::HealthProblem;
use deskreel_desk::{Ask, Ends};
use deskreel_host::Catalog;
use deskreel_interaction::{Engine, Output, Policy};
use deskreel_link::LinkHandle;
use deskreel_model::Utc;
use deskreel_model::event::Event as InteractionEvent;
use deskreel_model::link::{self, CommandRefusal, CommandResult};
use deskreel_platform::service::Watchdog;
use deskreel_platform::session_lock::{self, LockState};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use crate::delivery::Progress;
use crate::desk_events;
use crate::event_log::EventLog;
use crate::recording_slots::{Equipment, RecordingSlots, SlotMessage};
use crate::seat::{self, Event, Now, ReplyId, State};
use crate::spool::SeatSpool;
use crate::surroundings::SurroundingsReader;
use crate::unsettled::Unsettled;
use deskreel_deployment::DecisionClock;
use deskreel_desk::status::{Health, HealthPart};

use hands::Hands;

/// Longest wait without an event: final segments and the check for room may be this late.
const TICK: Duration = Duration::from_secs(1);
/// Limit for recordings to end when the daemon does. A stop takes two seconds at most.
const END_LIMIT: Duration = Duration::from_secs(4);

/// Another pipeline file without mistakes, or why the one before stays.
pub type Reload = Result<(Equipment, Vec<Policy>, Catalog), String>;

/// The parts that a supervisor is made of.
pub struct Parts {
    pub engine: Engine,
    pub clock: DecisionClock,
    /// The log, and the events in it from before this start, with their times of arrival.
    pub events: (EventLog, Vec<(InteractionEvent, Utc)>),
    pub slots: (RecordingSlots, mpsc::UnboundedReceiver<SlotMessage>),
    pub spool: (SeatSpool, mpsc::UnboundedReceiver<Progress>),
    pub unsettled: Unsettled,
    /// Events of feeds that are plugins.
    pub feeds: mpsc::Receiver<InteractionEvent>,
    pub reloads: mpsc::Receiver<Reload>,
    /// An agent from before this start is logged out if no desktop returns within this time. None without a
    /// desktop feed.
    pub patience: Option<Duration>,
    /// The line to the server that decides, if one does, and its commands.
    pub link: Option<LinkHandle>,
    pub commands: mpsc::Receiver<link::Command>,
    pub surroundings: SurroundingsReader,
}

pub struct Supervisor {
    state: State,
    hands: Hands,
    messages: mpsc::UnboundedReceiver<SlotMessage>,
    feeds: mpsc::Receiver<InteractionEvent>,
    reloads: mpsc::Receiver<Reload>,
    progress: mpsc::UnboundedReceiver<Progress>,
    commands: mpsc::Receiver<link::Command>,
    ends: Ends,
    patience: Option<Duration>,
    /// Watched if nothing is recorded while the session is locked.
    lock: Option<watch::Receiver<LockState>>,
    /// Number of the next request.
    next_reply: u64,
    started: Instant,
    /// The status that the server last received.
    sent_status: link::RecorderStatus,
    /// The problems that the log has last named.
    logged: Vec<HealthProblem>,
}

impl Supervisor {
    /// Takes in the events of the past before anything else happens. Carries out only those of their effects
    /// that still hold.
    pub fn new(parts: Parts, ends: Ends) -> Supervisor {
        let (events, past) = parts.events;
        let (slots, messages) = parts.slots;
        let (spool, progress) = parts.spool;
        let status = (**ends.status.borrow()).clone();
        let mut supervisor = Supervisor {
            state: State::new(status, parts.link.is_some()),
            hands: Hands {
                engine: parts.engine,
                clock: parts.clock,
                events,
                slots,
                spool,
                unsettled: parts.unsettled,
                link: parts.link,
                news: ends.news.clone(),
                was_ready: false,
                surroundings: parts.surroundings,
                replies: HashMap::new(),
            },
            messages,
            feeds: parts.feeds,
            reloads: parts.reloads,
            progress,
            commands: parts.commands,
            ends,
            patience: parts.patience,
            lock: None,
            next_reply: 0,
            started: Instant::now(),
            sent_status: link::RecorderStatus::default(),
            logged: Vec::new(),
        };
        past.into_iter().for_each(|(event, received)| supervisor.remember(event, received));
        let now = supervisor.hands.clock.now();
        if let Ok(started) = desk_events::host_started(now) {
            supervisor.hands.events.append(&started, now);
            supervisor.remember(started, now);
        }
        supervisor
    }

    /// Takes in an event of the past, which arrived at `received`.
    fn remember(&mut self, event: InteractionEvent, received: Utc) {
        self.take_in(Event::Remembered(Box::new(event.clone())));
        for output in self.hands.push(event, received) {
            match output {
                Output::Command(commanded) if self.hands.link.is_none() => {
                    self.take_in(Event::RememberedCommand(commanded));
                }
                output => drop(self.hands.take_output(output)),
            }
        }
    }

    /// Serves until `shutdown` completes; then ends every recording.
    pub async fn serve(mut self, shutdown: impl Future<Output = ()>) {
        self.hands.slots.prepare();
        self.watch_lock();
        self.take_in(Event::Started { patience: self.patience });
        self.publish();
        tokio::pin!(shutdown);
        // Only this loop feeds it, so it barks if the loop stands still.
        let mut watchdog = Watchdog::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let due = self.due();
            tokio::select! {
                // Recordings first, so that requests are answered by the state after their reports.
                biased;
                Some(message) = self.messages.recv() => self.slot_message(message),
                () = &mut shutdown => break,
                Some(ask) = self.ends.asks.recv() => self.asked(ask),
                Some(event) = self.feeds.recv() => self.take_in(Event::Entered(Box::new(event))),
                Some(command) = self.commands.recv() => self.ordered(command),
                Some(reload) = self.reloads.recv() => self.reload(reload),
                Some(progress) = self.progress.recv() => self.delivered(progress),
                Some(lock) = changed(&mut self.lock) => self.take_in(Event::Lock(lock)),
                () = tokio::time::sleep(due) => self.tick(),
                _ = tick.tick() => self.tick(),
            }
            self.publish();
            watchdog.feed();
        }
        self.end().await;
    }

    fn take_in(&mut self, event: Event) {
        let (started, clock) = (self.started, self.hands.clock.clone());
        let now = || Now { utc: clock.now(), uptime: started.elapsed() };
        let hands = &mut self.hands;
        seat::carry_out(&mut self.state, event, &now, &mut |effect| hands.perform(effect));
    }

    /// Time until something is due; at most until the next tick.
    fn due(&self) -> Duration {
        let engine =
            self.hands.engine.next_due().map_or(TICK, |due| due.saturating_since(self.hands.clock.now()));
        let retry = self.state.next_retry().map_or(TICK, |at| at.saturating_sub(self.started.elapsed()));
        engine.min(retry)
    }

    fn tick(&mut self) {
        self.hands.advance().into_iter().for_each(|event| self.take_in(event));
        let gone = self.hands.forget_closed_replies();
        if !gone.is_empty() {
            self.take_in(Event::GaveUp(gone));
        }
        self.hands.release_expired();
        self.take_in(Event::Tick);
    }

    fn asked(&mut self, Ask { act, reply }: Ask) {
        let id = ReplyId(self.next_reply);
        self.next_reply += 1;
        self.hands.replies.insert(id, reply);
        self.take_in(Event::Asked { act: Box::new(act), reply: id });
    }

    fn ordered(&mut self, command: link::Command) {
        let is_known = self.hands.has_folder(&command);
        self.take_in(Event::Ordered { command: Box::new(command), is_known });
    }

    fn slot_message(&mut self, message: SlotMessage) {
        let report = self.hands.slots.take_back(message);
        let event = self.hands.take_report(report);
        self.take_in(event);
    }

    fn delivered(&mut self, progress: Progress) {
        match &progress {
            Progress::Failed { sink, recording, reason } => {
                tracing::warn!(%sink, recording, reason, "not delivered; will be tried again");
            }
            Progress::Left { recording } => tracing::info!(%recording, "the recording has left the spool"),
            _ => {}
        }
        self.take_in(Event::Delivery(progress));
    }

    /// Running recordings keep the settings that they began with; decisions and recordings from now on follow
    /// the new file.
    fn reload(&mut self, reload: Reload) {
        let (name, error) = match reload {
            Ok((equipment, policies, catalog)) => {
                let (name, rules) = (equipment.graph.name.clone(), equipment.graph.deciders.rules.clone());
                let changed = self.hands.spool.change(&equipment.graph, &catalog);
                self.hands.slots.change(equipment);
                self.watch_lock();
                let caused = self.hands.change_policies(policies, rules);
                caused.into_iter().for_each(|event| self.take_in(event));
                (Some(name), changed.err().map(|error| format!("sinks: {error:#}")))
            }
            Err(error) => (None, Some(error)),
        };
        self.take_in(Event::Reloaded { name, error });
    }

    /// Watches the session's lock if the pipeline file, which may have changed, asks for it.
    fn watch_lock(&mut self) {
        let is_wanted = self.hands.slots.equipment().graph.recording.rests_while_locked;
        match &self.lock {
            None if is_wanted => self.lock = Some(session_lock::watch()),
            Some(_) if !is_wanted => {
                self.lock = None;
                self.take_in(Event::Lock(LockState { is_locked: false, unknown: None }));
            }
            _ => {}
        }
    }

    async fn end(&mut self) {
        self.take_in(Event::GoingDown);
        let wait = async {
            while !self.hands.slots.is_idle() {
                let Some(message) = self.messages.recv().await else { return };
                self.slot_message(message);
                self.publish();
            }
        };
        if tokio::time::timeout(END_LIMIT, wait).await.is_err() {
            tracing::error!("a recording did not end in time; the next start recovers it");
        }
        // Footage that is still wanted continues at the next start, and its segments become final then.
        self.hands.settle_final_footage();
        self.hands.spool.close();
        if let Some(link) = &self.hands.link {
            for command in self.state.unanswered() {
                let result = CommandResult::refused(CommandRefusal::Other, "the recorder is going down");
                link.answer(command, result);
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.send_status();
        self.log_health();
        let status = &self.state.status;
        self.ends.status.send_if_modified(|known| {
            let is_new = **known != *status;
            if is_new {
                *known = status.clone().into();
            }
            is_new
        });
    }

    /// Each change of the health is one line.
    fn log_health(&mut self) {
        let problems = &self.state.status.health.problems;
        if *problems == self.logged {
            return;
        }
        self.logged.clone_from(problems);
        match self.state.status.health.texts() {
            texts if texts.is_empty() => tracing::info!("healthy"),
            texts => tracing::warn!(problems = texts.join("; "), "not healthy"),
        }
    }

    fn send_status(&mut self) {
        let Some(link) = &self.hands.link else { return };
        let status = &self.state.status;
        let running = status.recording.as_ref().map(|running| link::RunningRecording {
            recording: running.recording.clone(),
            agent: running.agent.clone(),
            capture: running.capture,
            since: running.since,
        });
        let status = link::RecorderStatus {
            agent: status.agent.as_ref().map(|seated| seated.agent.clone()),
            recordings: running.into_iter().collect(),
            problems: problems_for_the_server(&status.health),
            waiting: status.spool.sinks.iter().map(|sink| sink.pending).sum(),
            offset_ms: None,
            uncertainty_ms: None,
        };
        if status != self.sent_status {
            link.send_status(status.clone());
            self.sent_status = status;
        }
    }
}

/// The server knows by itself whether the line is up.
fn problems_for_the_server(health: &Health) -> Vec<String> {
    let others = health.problems.iter().filter(|problem| problem.part != HealthPart::Link);
    others.map(|problem| problem.text.clone()).collect()
}

/// The next change of the lock; never completes if the lock is not watched.
async fn changed(lock: &mut Option<watch::Receiver<LockState>>) -> Option<LockState> {
    match lock {
        Some(lock) => lock.changed().await.ok().map(|()| lock.borrow_and_update().clone()),
        None => std::future::pending().await,
    }
}
