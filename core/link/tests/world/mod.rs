//! Both ends and a line between them, with a database at the server and a daemon at the recorder, in
//! simulated time.

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_link::ClockReading;
use deskreel_link::recorder::{self, RecorderEnd, RecorderIdentity};
use deskreel_link::server::{self, ServerEnd};
use deskreel_model::link::{
    Command, CommandId, CommandKind, CommandResult, EventStreamId, FromRecorder, FromServer,
};
use deskreel_model::{RecordingId, Utc};
use serde_json::{Value, json};

/// Step of simulated time, in milliseconds.
const STEP_MS: u64 = 20;

#[derive(Debug, Clone)]
pub struct Faults {
    /// Lost messages in a hundred.
    pub lost: u64,
    /// Repeated messages in a hundred.
    pub repeated: u64,
    /// Longest delay each way; later messages may overtake.
    pub delay_ms: u64,
    /// Messages in a thousand that break the connection.
    pub cut: u64,
    /// Longest time to store an event.
    pub disk_ms: u64,
    pub seed: u64,
}

impl Faults {
    pub fn none() -> Faults {
        Faults { lost: 0, repeated: 0, delay_ms: 1, cut: 0, disk_ms: 1, seed: 0 }
    }
}

#[derive(Debug)]
struct Flying<M> {
    due_ms: u64,
    message: M,
}

#[derive(Debug, Default)]
pub struct CommandFate {
    takes_ms: u64,
    deadline: u64,
    pub done: u32,
    pub done_late_ms: u64,
    pub answered: u32,
    /// Different answers that the recorder has sent.
    pub results: Vec<CommandResult>,
}

pub struct World {
    now_ms: u64,
    faults: Faults,
    /// The server's clock minus the recorder's.
    ahead_ms: i64,
    recorder: RecorderEnd,
    server: ServerEnd,
    is_connected: bool,
    connects_ms: u64,
    is_silent: bool,
    to_server: Vec<Flying<FromRecorder>>,
    to_recorder: Vec<Flying<FromServer>>,
    /// The daemon's commands, with the time at which each will be done.
    doing: Vec<(u64, CommandId)>,
    /// Events that the database is writing, with the time at which each will be stored.
    writing: Vec<(u64, EventStreamId, u64, u64)>,
    stored: Option<(EventStreamId, u64)>,
    unanswered: BTreeMap<CommandId, Command>,
    pub durable: Vec<u64>,
    pub events_sent: u64,
    pub commands: BTreeMap<CommandId, CommandFate>,
    pub lost: Vec<(u64, u64)>,
    pub overdue: Vec<CommandId>,
    pub closed: Vec<String>,
    pub sent_events: usize,
    pub sent_commands: usize,
}

fn recorder_end(stream: &str) -> RecorderEnd {
    let identity = RecorderIdentity {
        program: "0.1.0".to_owned(),
        recorder: "pc-12".to_owned(),
        place: "seat-12".into(),
    };
    RecorderEnd::new(identity, EventStreamId(stream.into()))
}

impl World {
    pub fn new(faults: Faults, ahead_ms: i64) -> World {
        World {
            now_ms: 0,
            faults,
            ahead_ms,
            recorder: recorder_end("first"),
            server: ServerEnd::new(None),
            is_connected: false,
            connects_ms: 0,
            is_silent: false,
            to_server: Vec::new(),
            to_recorder: Vec::new(),
            doing: Vec::new(),
            writing: Vec::new(),
            stored: None,
            unanswered: BTreeMap::new(),
            durable: Vec::new(),
            events_sent: 0,
            commands: BTreeMap::new(),
            lost: Vec::new(),
            overdue: Vec::new(),
            closed: Vec::new(),
            sent_events: 0,
            sent_commands: 0,
        }
    }

    fn utc(ms: i64) -> Utc {
        Utc(jiff::Timestamp::from_millisecond(1_767_603_600_000 + ms).unwrap())
    }

    fn at_recorder(&self) -> ClockReading {
        ClockReading {
            monotonic: Duration::from_millis(self.now_ms + 77),
            utc: Self::utc(self.now_ms as i64),
        }
    }

    fn at_server(&self) -> ClockReading {
        let utc = Self::utc(self.now_ms as i64 + self.ahead_ms);
        ClockReading { monotonic: Duration::from_millis(self.now_ms + 123_456), utc }
    }

    /// SplitMix64.
    fn chance(&mut self, limit: u64) -> u64 {
        self.faults.seed = self.faults.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = self.faults.seed;
        let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit.max(1)
    }

    /// The times at which a message arrives: none, one or two.
    fn arrivals(&mut self) -> Vec<u64> {
        if !self.is_connected || self.is_silent || self.chance(100) < self.faults.lost {
            return Vec::new();
        }
        let copies = if self.chance(100) < self.faults.repeated { 2 } else { 1 };
        (0..copies).map(|_| self.now_ms + 1 + self.chance(self.faults.delay_ms)).collect()
    }

    pub fn send_event(&mut self) {
        self.events_sent += 1;
        let effects = self.recorder.send_event(json!({ "n": self.events_sent }), self.at_recorder());
        self.recorder_does(effects);
    }

    pub fn command(&mut self, deadline_ms: u64, takes_ms: u64) {
        let id = CommandId(format!("c{:03}", self.commands.len()).into());
        let deadline = self.now_ms + deadline_ms;
        let kind = CommandKind::Start {
            seated: None,
            recording: RecordingId::new(Self::utc(0), self.commands.len() as u32),
            agent: "ann".into(),
            capture: CaptureMode::Live,
            why: "call".to_owned(),
        };
        let command = Command { id: id.clone(), deadline: Self::utc(deadline as i64 + self.ahead_ms), kind };
        self.commands.insert(id.clone(), CommandFate { takes_ms, deadline, ..CommandFate::default() });
        self.unanswered.insert(id, command.clone());
        let effects = self.server.send_command(command, self.at_server());
        self.server_does(effects);
    }

    pub fn command_again(&mut self) {
        let Some(command) = self.unanswered.values().next_back().cloned() else { return };
        let effects = self.server.send_command(command, self.at_server());
        self.server_does(effects);
    }

    pub fn cut(&mut self) {
        if self.is_connected {
            self.server.disconnected();
            self.cut_unseen();
        }
    }

    /// The connection breaks, but the server takes it for open.
    pub fn cut_unseen(&mut self) {
        if self.is_connected {
            self.is_connected = false;
            self.connects_ms = self.now_ms + self.chance(3000);
            self.recorder.disconnected();
            self.to_server.clear();
            self.to_recorder.clear();
        }
    }

    /// Nothing arrives any more, but the connection seems open.
    pub fn fall_silent(&mut self) {
        self.is_silent = true;
    }

    pub fn restart_server(&mut self) {
        self.cut();
        self.writing.clear();
        self.server = ServerEnd::new(self.stored.clone());
        for command in self.unanswered.values().cloned().collect::<Vec<_>>() {
            let effects = self.server.send_command(command, self.at_server());
            self.server_does(effects);
        }
    }

    pub fn restart_recorder(&mut self) {
        self.cut();
        self.recorder = recorder_end("second");
        self.events_sent = 0;
    }

    pub fn fail_to_store(&mut self) {
        if !self.writing.is_empty() {
            self.writing.clear();
            self.server.not_stored();
        }
    }

    pub fn heal(&mut self) {
        self.faults = Faults { seed: self.faults.seed, ..Faults::none() };
    }

    pub fn waiting(&self) -> usize {
        self.recorder.waiting().0
    }

    pub fn offset_ms(&self) -> Option<(i64, u64)> {
        self.recorder.offset_ms(self.at_recorder())
    }

    pub fn run(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self.now_ms < end {
            self.now_ms += STEP_MS;
            self.step();
        }
    }

    fn step(&mut self) {
        if !self.is_connected && self.now_ms >= self.connects_ms && !self.is_silent {
            self.is_connected = true;
            self.server.connected(self.at_server());
            let effects = self.recorder.connected(self.at_recorder());
            self.recorder_does(effects);
        }
        for message in due(&mut self.to_server, self.now_ms) {
            let effects = self.server.receive(message, self.at_server());
            self.server_does(effects);
        }
        for message in due(&mut self.to_recorder, self.now_ms) {
            let effects = self.recorder.receive(message, self.at_recorder());
            self.recorder_does(effects);
        }
        let now = self.now_ms;
        let done: Vec<_> = self.doing.extract_if(.., |(at, _)| *at <= now).collect();
        for (_, id) in done {
            let effects = self.recorder.answer(&id, CommandResult::Done);
            self.recorder_does(effects);
        }
        let written: Vec<_> = self.writing.extract_if(.., |(at, ..)| *at <= now).collect();
        for (_, stream, number, event) in written {
            self.durable.push(event);
            self.stored = Some((stream.clone(), number));
            let effects = self.server.stored(&stream, number);
            self.server_does(effects);
        }
        if self.now_ms.is_multiple_of(1000) {
            let effects = self.recorder.tick(self.at_recorder());
            self.recorder_does(effects);
            let effects = self.server.tick(self.at_server());
            self.server_does(effects);
        }
    }

    fn recorder_does(&mut self, effects: Vec<recorder::Effect>) {
        for effect in effects {
            match effect {
                recorder::Effect::Send(message) => {
                    match &message {
                        FromRecorder::Event { .. } => self.sent_events += 1,
                        FromRecorder::Answer { id, result } => {
                            let results = &mut self.commands.get_mut(id).unwrap().results;
                            if !results.contains(result) {
                                results.push(result.clone());
                            }
                        }
                        _ => {}
                    }
                    for due_ms in self.arrivals() {
                        let text = serde_json::to_string(&message).unwrap();
                        let message = FromRecorder::parse(&text).unwrap();
                        self.to_server.push(Flying { due_ms, message });
                    }
                    self.perhaps_cut();
                }
                recorder::Effect::Do(command) => {
                    let now = self.now_ms;
                    let fate = self.commands.get_mut(&command.id).unwrap();
                    fate.done += 1;
                    fate.done_late_ms = now.saturating_sub(fate.deadline);
                    self.doing.push((now + fate.takes_ms, command.id));
                }
                recorder::Effect::Close { reason, .. } => {
                    self.closed.push(format!("the recorder: {reason}"));
                    // The server does not notice on a dead connection.
                    if self.is_silent { self.recorder.disconnected() } else { self.cut() }
                }
            }
        }
    }

    fn server_does(&mut self, effects: Vec<server::Effect>) {
        for effect in effects {
            match effect {
                server::Effect::Send(message) => {
                    self.sent_commands += usize::from(matches!(message, FromServer::Command(_)));
                    for due_ms in self.arrivals() {
                        let text = serde_json::to_string(&message).unwrap();
                        let message = FromServer::parse(&text).unwrap();
                        self.to_recorder.push(Flying { due_ms, message });
                    }
                    self.perhaps_cut();
                }
                server::Effect::Event { stream, number, event } => {
                    let event = event.get("n").and_then(Value::as_u64).unwrap();
                    // A disk writes in order.
                    let before = self.writing.last().map_or(0, |(at, ..)| *at);
                    let at = before.max(self.now_ms + self.chance(self.faults.disk_ms));
                    self.writing.push((at, stream, number, event));
                }
                server::Effect::Lost { from, to, .. } => self.lost.push((from, to)),
                server::Effect::Answered { id, .. } => {
                    self.unanswered.remove(&id);
                    self.commands.get_mut(&id).unwrap().answered += 1;
                }
                server::Effect::Overdue { id } => self.overdue.push(id),
                server::Effect::Present(_) | server::Effect::Status(_) => {}
                server::Effect::Close { reason } => {
                    self.closed.push(format!("the server: {reason}"));
                    if self.is_silent { self.server.disconnected() } else { self.cut() }
                }
            }
        }
    }

    fn perhaps_cut(&mut self) {
        if self.faults.cut > 0 && self.chance(1000) < self.faults.cut {
            self.cut();
        }
    }
}

/// Removes the messages that have arrived, in the order of arrival.
fn due<M>(flying: &mut Vec<Flying<M>>, now_ms: u64) -> Vec<M> {
    let mut arrived: Vec<_> = flying.extract_if(.., |flying| flying.due_ms <= now_ms).collect();
    arrived.sort_by_key(|flying| flying.due_ms);
    arrived.into_iter().map(|flying| flying.message).collect()
}
