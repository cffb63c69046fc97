//! A recorder at an agent's place, as the server sees it: the real recorder's end of the link, and a model of
//! what is recorded. It knows only what comes over the link. All times are true ones, in milliseconds.

use deskreel_link::recorder::Effect;
use deskreel_link::{ClockReading, RecorderEnd};
use deskreel_model::link::{
    Command, EventStreamId, FromRecorder, FromServer, RecorderStatus, RunningRecording,
};
use deskreel_model::{AgentId, Utc};
use tokio::sync::mpsc;

use super::recording::{FULL, ModelRecording, WantedRecording};
use super::simulator::utc;
use super::truth::Spans;
use crate::control::{ControlInput, LinkConnection};
use crate::db::recorders::Recorder;

pub struct Seat {
    pub agent: AgentId,
    pub recorder: Recorder,
    /// Distinguishes the recordings that it names itself.
    pub salt: u32,
    /// How far the PC's clock is ahead.
    skew_ms: i64,
    pub end: RecorderEnd,
    line: Option<Line>,
    /// Counts starts of the PC.
    pub starts: u32,
    pub is_on: bool,
    pub has_network: bool,
    pub is_full: bool,
    /// It will try to open a line.
    pub is_connecting: bool,
    /// When it carries out the last command that has come.
    pub obeys_at: i64,
    pub wanted: Option<WantedRecording>,
    pub recordings: Vec<ModelRecording>,
    /// When the server could command this recorder, and when the disk was full.
    pub connected: Spans,
    pub full: Spans,
    /// When a line died without a word.
    pub silent_deaths: Vec<i64>,
}

struct Line {
    number: u64,
    messages: mpsc::UnboundedReceiver<String>,
    /// Nothing passes any more, and the server does not know.
    is_dead: bool,
}

impl Seat {
    pub fn new(number: usize, recorder: Recorder, skew_ms: i64) -> Seat {
        let end = new_end(&recorder, 0);
        Seat {
            agent: format!("a{number}").as_str().into(),
            recorder,
            salt: 0x80_0000 + 256 * number as u32,
            skew_ms,
            end,
            line: None,
            starts: 0,
            is_on: true,
            has_network: true,
            is_full: false,
            is_connecting: false,
            obeys_at: 0,
            wanted: None,
            recordings: Vec::new(),
            connected: Spans::default(),
            full: Spans::default(),
            silent_deaths: Vec::new(),
        }
    }

    pub fn clocks(&self, now: i64) -> ClockReading {
        let monotonic = std::time::Duration::from_millis(now.unsigned_abs());
        ClockReading { monotonic, utc: self.own_time(now) }
    }

    /// The wall clock of the PC.
    pub fn own_time(&self, now: i64) -> Utc {
        utc(now + self.skew_ms)
    }

    pub fn has_line(&self) -> bool {
        self.line.is_some()
    }

    // The line.

    pub fn connect(&mut self, number: u64, now: i64) -> Vec<ControlInput> {
        let (send, messages) = mpsc::unbounded_channel();
        self.line = Some(Line { number, messages, is_dead: false });
        self.connected.begin(now);
        let (recorder, connection) = (self.recorder.clone(), LinkConnection { number, send });
        self.end.disconnected();
        let hello = self.end.connected(self.clocks(now));
        let mut inputs = vec![ControlInput::Connected { recorder, connection }];
        inputs.extend(self.messages(hello).0);
        inputs
    }

    /// The line is lost; `silent`: the server does not notice.
    pub fn lose_line(&mut self, silent: bool, now: i64) -> Option<ControlInput> {
        let line = self.line.as_mut()?;
        if !line.is_dead {
            self.connected.end(now);
        }
        if silent {
            line.is_dead = true;
            self.silent_deaths.push(now);
            return None;
        }
        let connection = line.number;
        self.line = None;
        self.end.disconnected();
        Some(ControlInput::Disconnected { recorder: self.recorder.id.clone(), connection })
    }

    /// Takes the messages that have arrived. Returns what it answers at once, and commands to obey later.
    pub fn hear(&mut self, now: i64) -> (Vec<ControlInput>, Vec<Command>) {
        let (mut inputs, mut commands) = (Vec::new(), Vec::new());
        while let Some(line) = self.line.as_mut().filter(|line| !line.is_dead) {
            match line.messages.try_recv() {
                Ok(text) => {
                    let message = FromServer::parse(&text).expect("a message of the server");
                    let effects = self.end.receive(message, self.clocks(now));
                    let (more, ordered) = self.messages(effects);
                    inputs.extend(more);
                    commands.extend(ordered);
                }
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.lose_line(false, now);
                }
            }
        }
        (inputs, commands)
    }

    pub fn tick(&mut self, now: i64) -> Vec<ControlInput> {
        let effects = self.end.tick(self.clocks(now));
        self.messages(effects).0
    }

    pub fn messages(&mut self, effects: Vec<Effect>) -> (Vec<ControlInput>, Vec<Command>) {
        let (mut inputs, mut commands) = (Vec::new(), Vec::new());
        let connection = self.line.as_ref().filter(|line| !line.is_dead).map(|line| line.number);
        for effect in effects {
            match (effect, connection) {
                (Effect::Send(message), Some(connection)) => {
                    let text = serde_json::to_string::<FromRecorder>(&message).expect("JSON");
                    inputs.push(ControlInput::Message {
                        recorder: self.recorder.id.clone(),
                        connection,
                        text,
                    });
                }
                (Effect::Do(command), _) => commands.push(command),
                // A dead line is lost for good when the simulator says so.
                (Effect::Send(_) | Effect::Close { .. }, _) => {}
            }
        }
        (inputs, commands)
    }

    pub fn report(&mut self, now: i64) -> Vec<ControlInput> {
        let running = self.recordings.iter().filter(|one| one.ended.is_none()).map(|one| RunningRecording {
            recording: one.id.clone(),
            agent: self.agent.clone(),
            capture: Default::default(),
            since: self.own_time(one.began),
        });
        let problems = if self.is_full { vec![FULL.to_owned()] } else { Vec::new() };
        let status = RecorderStatus { recordings: running.collect(), problems, ..Default::default() };
        let effects = self.end.set_status(status, self.clocks(now));
        self.messages(effects).0
    }

    // Mishaps.

    pub fn fill_disk(&mut self, now: i64) -> Vec<ControlInput> {
        self.is_full = true;
        self.full.begin(now);
        self.end_running(now);
        self.report(now)
    }

    pub fn free_disk(&mut self, now: i64) -> Vec<ControlInput> {
        self.is_full = false;
        self.full.end(now);
        if self.is_on {
            self.strive(now);
        }
        self.report(now)
    }

    /// The PC loses power: what it wanted is forgotten, what it recorded is not.
    pub fn crash(&mut self, silent: bool, now: i64) -> Option<ControlInput> {
        self.is_on = false;
        self.end_running(now);
        self.wanted = None;
        self.lose_line(silent, now)
    }

    pub fn boot(&mut self, now: i64) {
        self.is_on = true;
        self.starts += 1;
        self.line = None;
        self.end = new_end(&self.recorder, self.starts);
        self.report(now);
    }

    /// The line that died silently is given up.
    pub fn give_up_line(&mut self) {
        self.line = None;
        self.end.disconnected();
    }
}

fn new_end(recorder: &Recorder, start: u32) -> RecorderEnd {
    let name = recorder.place.to_string();
    let identity = deskreel_link::recorder::RecorderIdentity {
        program: "1.0".to_owned(),
        recorder: name.clone(),
        place: recorder.place.clone(),
    };
    RecorderEnd::new(identity, EventStreamId(format!("{name}-{start}").into()))
}
