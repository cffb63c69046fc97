//! Drives the real control loop, on a real index, through a simulated day.

use std::path::Path;

use deskreel_contract::{Decision, Fact, PolicyAnswer, Role};
use deskreel_deployment::DecisionClock;
use deskreel_interaction::{Engine, Policy};
use deskreel_model::link::Command;
use deskreel_model::{PolicyRules, Utc};
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use super::plan::{Agenda, DayPlan, Happening, Mishap, has_place, plan};
use super::random::Random;
use super::seat::Seat;
use super::truth::{Call, Spans, Truth};
use crate::control::{ControlInput, Loop};
use crate::db::Db;
use crate::ingest::Ingest;
use crate::store::Store;

/// Beginning of the day, in milliseconds since 1970; the simulator counts from there.
pub const DAY: i64 = 1_767_600_000_000;
/// Length of a fragment.
pub const FRAGMENT_MS: i64 = 10_000;

pub fn utc(at: i64) -> Utc {
    Utc(Timestamp::from_millisecond(DAY + at).expect("a time of the day"))
}

pub struct Simulator {
    pub now: i64,
    end: i64,
    clock: DecisionClock,
    pub db: Db,
    pub ingest: Ingest,
    /// `None` while it does not run.
    pub server: Option<Loop>,
    pub server_up: Spans,
    /// The server is about to be killed, and its updates of the index are lost.
    pub loses_updates: bool,
    pub seats: Vec<Seat>,
    pub calls: Vec<Call>,
    agenda: Agenda,
    random: Random,
    /// Events that the switch could not hand over, and when it connects again.
    kept: Vec<Value>,
    switch_connects: i64,
    connections: u64,
    kills: u32,
    pub differences: Vec<String>,
}

impl Simulator {
    pub async fn new(day: DayPlan, random: Random, folder: &Path) -> Simulator {
        let folder = folder.display();
        let db = Db::open(&format!("sqlite://{folder}/index.db")).await.expect("an index");
        let store = Store::open(&format!("file://{folder}/store")).await.expect("a store");
        let mut seats = Vec::new();
        for agent in 0..day.agents {
            let (recorder, _) = db.enrol(&format!("pc-{agent}").as_str().into()).await.expect("a recorder");
            seats.push(Seat::new(agent, recorder, random.between(-3000, 3000)));
        }
        let mut agenda = Agenda::default();
        let (calls, end) = plan(&day, &random, &mut agenda);
        let mut simulator = Simulator {
            now: 0,
            end,
            clock: DecisionClock::simulated(utc(0)),
            ingest: Ingest::start(db.clone(), store),
            db,
            server: None,
            server_up: Spans::default(),
            loses_updates: false,
            seats,
            calls,
            agenda,
            random,
            kept: Vec::new(),
            switch_connects: 0,
            connections: 0,
            kills: 0,
            differences: Vec::new(),
        };
        simulator.start_server().await;
        simulator
    }

    pub async fn run(&mut self) {
        while let Some((at, happening)) = self.agenda.next() {
            if at > self.end || !self.differences.is_empty() {
                break;
            }
            self.now = at;
            self.clock.set(utc(at));
            self.happen(happening).await;
        }
        if self.differences.is_empty() {
            self.flush().await;
            self.compare(true).await;
        }
    }

    pub fn summary(&self) -> String {
        let recordings: usize = self.seats.iter().map(|seat| seat.recordings.len()).sum();
        let (calls, seats, hours) = (self.calls.len(), self.seats.len(), self.end / 3_600_000);
        format!("{calls} calls of {seats} agents in {hours} h, {recordings} recordings, {} kills", self.kills)
    }

    pub fn truth<'a>(&'a self, call: &'a Call) -> Truth<'a> {
        let (seat, server) = (&self.seats[call.seat], &self.server_up);
        Truth { call, seat, server, has_place: has_place(call.seat) }
    }

    async fn happen(&mut self, happening: Happening) {
        let now = self.now;
        match happening {
            Happening::Tick => self.tick().await,
            Happening::Event(event) => {
                self.kept.push(event);
                self.report_events().await;
            }
            Happening::Mishap(seat, mishap) => self.begin_mishap(seat, mishap).await,
            Happening::End(seat, mishap) => self.end_mishap(seat, mishap).await,
            Happening::Connect(seat) => self.connect(seat).await,
            Happening::Obey(seat, start, command) if self.seats[seat].starts == start => {
                if self.seats[seat].is_on {
                    let inputs = self.seats[seat].obey(command, now);
                    self.exchange(inputs).await;
                }
            }
            Happening::Obey(..) => {}
            Happening::LoseUpdates => {
                self.flush().await;
                self.loses_updates = true;
                self.server.iter_mut().for_each(|server| server.effects.lose_updates());
            }
            Happening::Kill => self.kill_server().await,
            Happening::Start => self.start_server().await,
            Happening::Deliver => self.deliver().await,
            Happening::Compare => {
                self.flush().await;
                self.compare(false).await;
            }
        }
    }

    // The server.

    async fn start_server(&mut self) {
        let engine = Engine::new(vec![policy()], PolicyRules::default());
        let server = Loop::open(&self.db, engine, self.clock.clone()).await.expect("a start");
        self.server = Some(server);
        self.loses_updates = false;
        self.server_up.begin(self.now);
        self.switch_connects = self.now + self.random.between(0, 5000);
    }

    async fn kill_server(&mut self) {
        self.flush().await;
        self.server = None;
        self.kills += 1;
        self.server_up.end(self.now);
        for seat in &mut self.seats {
            seat.lose_line(false, self.now);
        }
    }

    /// Waits until everything is in the index; a server that has lost its updates waits for nothing.
    async fn flush(&mut self) {
        let (answer, flushed) = oneshot::channel();
        if let Some(server) = &mut self.server {
            server.turn(Some(vec![ControlInput::Flush(answer)])).await;
            let _ = flushed.await;
        }
    }

    async fn tick(&mut self) {
        let now = self.now;
        if let Some(server) = &mut self.server {
            server.turn(None).await;
        }
        let inputs = self.seats.iter_mut().flat_map(|seat| seat.tick(now)).collect();
        self.exchange(inputs).await;
        self.report_events().await;
    }

    /// Hands over the events that the switch has.
    async fn report_events(&mut self) {
        if self.server.is_none() || self.now < self.switch_connects || self.kept.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.kept);
        for event in events.iter().filter(|event| event["type"] == "call.established") {
            let number: usize = event["call"].as_str().and_then(|call| call.parse().ok()).expect("a call");
            self.calls[number].reported = Some(self.now);
        }
        self.exchange(vec![ControlInput::Events { feed: "switch".to_owned(), events, stored: None }]).await;
    }

    /// Passes messages in both directions until all is said.
    async fn exchange(&mut self, mut inputs: Vec<ControlInput>) {
        loop {
            if let Some(server) = self.server.as_mut().filter(|_| !inputs.is_empty()) {
                server.turn(Some(std::mem::take(&mut inputs))).await;
            }
            inputs.clear();
            for index in 0..self.seats.len() {
                let (answers, commands) = self.seats[index].hear(self.now);
                inputs.extend(answers);
                commands.into_iter().for_each(|command| self.obey_later(index, command));
                self.reconnect_later(index);
            }
            if inputs.is_empty() {
                return;
            }
        }
    }

    fn obey_later(&mut self, seat: usize, command: Command) {
        let one = &mut self.seats[seat];
        // In the order of the commands.
        one.obeys_at = (one.obeys_at + 1).max(self.now + self.random.between(20, 400));
        self.agenda.add(one.obeys_at, Happening::Obey(seat, one.starts, command));
    }

    // The seats.

    async fn connect(&mut self, seat: usize) {
        let one = &mut self.seats[seat];
        one.is_connecting = false;
        if self.server.is_none() || !one.is_on || !one.has_network || one.has_line() {
            return;
        }
        self.connections += 1;
        let inputs = one.connect(self.connections, self.now);
        self.exchange(inputs).await;
    }

    /// A line that the server has closed is opened again.
    fn reconnect_later(&mut self, seat: usize) {
        let one = &mut self.seats[seat];
        if one.is_on && one.has_network && !one.has_line() && !one.is_connecting {
            one.is_connecting = true;
            self.agenda.add(self.now + self.random.between(1000, 10_000), Happening::Connect(seat));
        }
    }

    async fn begin_mishap(&mut self, seat: usize, mishap: Mishap) {
        let (one, now) = (&mut self.seats[seat], self.now);
        let inputs = match mishap {
            Mishap::LineCut | Mishap::LineDead => {
                one.has_network = false;
                one.lose_line(mishap == Mishap::LineDead, now).into_iter().collect()
            }
            Mishap::PowerLost | Mishap::PowerLostSilently => {
                one.crash(mishap == Mishap::PowerLostSilently, now).into_iter().collect()
            }
            Mishap::DiskFull => one.fill_disk(now),
        };
        self.exchange(inputs).await;
    }

    async fn end_mishap(&mut self, seat: usize, mishap: Mishap) {
        let (one, now) = (&mut self.seats[seat], self.now);
        let inputs = match mishap {
            Mishap::LineCut | Mishap::LineDead => {
                one.has_network = true;
                one.give_up_line();
                Vec::new()
            }
            Mishap::PowerLost | Mishap::PowerLostSilently => {
                one.boot(now);
                Vec::new()
            }
            Mishap::DiskFull => one.free_disk(now),
        };
        self.exchange(inputs).await;
    }
}

/// Each call is recorded, and is an interaction.
fn policy() -> Policy {
    Policy::from_fn("policy.day", |fact| {
        let fact: Fact = serde_json::from_str(fact).map_err(|error| error.to_string())?;
        let mut decisions = Vec::new();
        for call in fact.changed_calls().filter(|call| call.is_up()) {
            decisions.push(Decision::start(format!("call {}", call.call)).for_call(&call.call));
            decisions.push(Decision::map("a call", &call.interaction, Role::Primary).for_call(&call.call));
        }
        serde_json::to_string(&PolicyAnswer { state: fact.state, decisions })
            .map_err(|error| error.to_string())
    })
}
