//! The recorder's end, without IO and clock.

use std::time::Duration;

use deskreel_model::Place;
use deskreel_model::link::{
    Command, CommandId, CommandResult, FromRecorder, FromServer, Hello, Status, StreamId, VERSION, Welcome,
};
use serde_json::Value;

use crate::Moment;
use crate::backlog::Backlog;
use crate::clock::Clock;
use crate::commands::{Commands, Verdict};

/// How long the server may take to say welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);
/// From one probe to the next; the first few follow each other at once, so that the offset is good from the start.
const PROBE_EVERY: Duration = Duration::from_secs(20);
const FIRST_PROBES: u32 = 4;
/// A probe that is not answered by then is lost.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// A server that says nothing for two probes is gone, though the connection seems to stand.
const SILENCE: Duration = Duration::from_secs(45);

/// Who is at this end.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// Version of the program.
    pub program: String,
    /// For people.
    pub recorder: String,
    pub place: Place,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send(FromRecorder),
    /// Not seen before, and in time: do it, and give [`RecorderEnd::answer`] what came of it.
    Do(Command),
    /// This connection is of no use.
    Close {
        reason: String,
        is_refused: bool,
    },
}

/// Where the line is. It begins `Cut`. `connected` sends the hello and waits for the welcome (`Greeting`), which opens it: only
/// then are events sent and commands taken, since only then both clocks can be compared. `cut` leads back from anywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Line {
    Cut,
    Greeting { since: Duration },
    Open,
}

#[derive(Debug)]
pub struct RecorderEnd {
    about: About,
    stream: StreamId,
    line: Line,
    status: Status,
    backlog: Backlog,
    commands: Commands,
    clock: Clock,
    probes: Probes,
    /// When the server last said anything.
    heard: Duration,
}

#[derive(Debug, Default)]
struct Probes {
    /// The number of the last one.
    number: u32,
    /// Of those on this connection.
    answered: u32,
    under_way: Option<Duration>,
    next: Duration,
}

impl RecorderEnd {
    /// `stream` must be another at each start of the program.
    pub fn new(about: About, stream: StreamId) -> RecorderEnd {
        RecorderEnd {
            about,
            stream,
            line: Line::Cut,
            status: Status::default(),
            backlog: Backlog::default(),
            commands: Commands::default(),
            clock: Clock::default(),
            probes: Probes::default(),
            heard: Duration::ZERO,
        }
    }

    pub fn is_open(&self) -> bool {
        self.line == Line::Open
    }

    /// Events that the server has not acknowledged, and how many were dropped for want of room.
    pub fn waiting(&self) -> (usize, u64) {
        (self.backlog.len(), self.backlog.lost())
    }

    /// By how many milliseconds our wall clock is behind the server's, and how wrong that may be.
    pub fn offset_ms(&self, now: Moment) -> Option<(i64, u64)> {
        self.clock.offset_ms(now)
    }

    pub fn connected(&mut self, now: Moment) -> Vec<Effect> {
        self.line = Line::Greeting { since: now.monotonic };
        self.heard = now.monotonic;
        self.backlog.rewind(now.monotonic);
        self.probes = Probes { number: self.probes.number, next: now.monotonic, ..Probes::default() };
        let hello = Hello {
            version: VERSION,
            program: self.about.program.clone(),
            recorder: self.about.recorder.clone(),
            place: self.about.place.clone(),
            stream: self.stream.clone(),
            first: self.backlog.first(),
            status: self.status_now(now),
        };
        vec![Effect::Send(FromRecorder::Hello(hello))]
    }

    pub fn cut(&mut self) {
        self.line = Line::Cut;
    }

    /// Something that a desktop told.
    pub fn tell(&mut self, event: Value, now: Moment) -> Vec<Effect> {
        self.backlog.push(event);
        self.due(now)
    }

    /// How things stand from now on.
    pub fn status(&mut self, status: Status, now: Moment) -> Vec<Effect> {
        if status == self.status {
            return Vec::new();
        }
        self.status = status;
        match self.is_open() {
            true => vec![Effect::Send(FromRecorder::Status(self.status_now(now)))],
            false => Vec::new(),
        }
    }

    fn status_now(&self, now: Moment) -> Status {
        let offset = self.clock.offset_ms(now);
        Status {
            offset_ms: offset.map(|(offset, _)| offset),
            uncertainty_ms: offset.map(|(_, uncertainty)| uncertainty),
            ..self.status.clone()
        }
    }

    /// What became of a command. The first answer stands.
    pub fn answer(&mut self, id: &CommandId, result: CommandResult) -> Vec<Effect> {
        let is_first = self.commands.answer(id, &result);
        match is_first && self.is_open() {
            true => vec![Effect::Send(FromRecorder::Answer { id: id.clone(), result })],
            false => Vec::new(),
        }
    }

    pub fn take(&mut self, message: FromServer, now: Moment) -> Vec<Effect> {
        self.heard = now.monotonic;
        match (self.line, message) {
            (Line::Greeting { since }, FromServer::Welcome(welcome)) => self.welcome(welcome, since, now),
            (Line::Greeting { .. } | Line::Open, FromServer::Refused { reason }) => {
                vec![Effect::Close { reason, is_refused: true }]
            }
            (Line::Open, FromServer::Heard { stream, number }) if stream == self.stream => {
                self.backlog.heard(number, now.monotonic);
                self.due(now)
            }
            (Line::Open, FromServer::Clock { probe, received, sent }) => {
                self.clocked(probe, received, sent, now)
            }
            (Line::Open, FromServer::Command(command)) => self.commanded(command, now),
            // A welcome too many, something newer than we are, or what comes before the welcome.
            _ => Vec::new(),
        }
    }

    fn welcome(&mut self, welcome: Welcome, since: Duration, now: Moment) -> Vec<Effect> {
        if welcome.version != VERSION {
            let reason = format!("the server speaks version {} of the link, and we do not", welcome.version);
            return vec![Effect::Close { reason, is_refused: true }];
        }
        self.line = Line::Open;
        self.clock.sample(since, welcome.now, welcome.now, now.monotonic);
        self.backlog.heard(welcome.heard, now.monotonic);
        self.due(now)
    }

    fn commanded(&mut self, command: Command, now: Moment) -> Vec<Effect> {
        let id = command.id.clone();
        // There is a sample from the welcome on.
        let Some(server) = self.clock.server(now.monotonic) else { return Vec::new() };
        match self.commands.take(command, server) {
            Verdict::Do(command) => vec![Effect::Do(command)],
            Verdict::Answer(result) => vec![Effect::Send(FromRecorder::Answer { id, result })],
            Verdict::Wait => Vec::new(),
        }
    }

    fn clocked(
        &mut self,
        probe: u32,
        received: deskreel_model::Utc,
        answered: deskreel_model::Utc,
        now: Moment,
    ) -> Vec<Effect> {
        let Some(sent) = self.probes.under_way.take_if(|_| probe == self.probes.number) else {
            return Vec::new();
        };
        self.clock.sample(sent, received, answered, now.monotonic);
        self.probes.answered += 1;
        let pause = if self.probes.answered < FIRST_PROBES { Duration::ZERO } else { PROBE_EVERY };
        self.probes.next = now.monotonic + pause;
        let mut effects = self.due(now);
        if self.probes.answered == FIRST_PROBES {
            effects.push(Effect::Send(FromRecorder::Status(self.status_now(now))));
        }
        effects
    }

    /// To be called about once a second.
    pub fn tick(&mut self, now: Moment) -> Vec<Effect> {
        let close = |reason: &str| vec![Effect::Close { reason: reason.to_owned(), is_refused: false }];
        match self.line {
            Line::Cut => Vec::new(),
            Line::Greeting { since } if now.monotonic.saturating_sub(since) >= WELCOME_LIMIT => {
                close("the server says no welcome")
            }
            _ if now.monotonic.saturating_sub(self.heard) >= SILENCE => close("the server has gone silent"),
            Line::Greeting { .. } => Vec::new(),
            Line::Open => self.due(now),
        }
    }

    /// Events and probes whose time has come.
    fn due(&mut self, now: Moment) -> Vec<Effect> {
        if !self.is_open() {
            return Vec::new();
        }
        let mut messages = self.backlog.due(now.monotonic);
        let probes = &mut self.probes;
        let is_lost = |sent: &mut Duration| now.monotonic.saturating_sub(*sent) >= PROBE_LIMIT;
        probes.under_way.take_if(is_lost);
        if probes.under_way.is_none() && now.monotonic >= probes.next {
            probes.number = probes.number.wrapping_add(1);
            probes.under_way = Some(now.monotonic);
            probes.next = now.monotonic + PROBE_EVERY;
            messages.push(FromRecorder::Probe { probe: probes.number });
        }
        messages.into_iter().map(Effect::Send).collect()
    }
}
