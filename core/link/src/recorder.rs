//! The recorder's end of the link, without IO or clock.

use std::time::Duration;

use deskreel_model::Place;
use deskreel_model::link::{
    Command, CommandId, CommandResult, EventStreamId, FromRecorder, FromServer, Hello, RecorderStatus,
    VERSION, Welcome,
};
use serde_json::Value;

use crate::ClockReading;
use crate::backlog::Backlog;
use crate::clock::ServerClock;
use crate::commands::{CommandResponse, Commands};

/// Time for the server to send its welcome.
const WELCOME_LIMIT: Duration = Duration::from_secs(10);
/// Time between clock probes. The first few follow each other at once, so that the offset is good from the
/// start.
const PROBE_EVERY: Duration = Duration::from_secs(20);
const FIRST_PROBES: u32 = 4;
/// A probe without an answer after this time is lost.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// A server that is silent for two probes is gone, even if the connection seems open.
const SILENCE: Duration = Duration::from_secs(45);

/// The recorder at this end.
#[derive(Debug, Clone, PartialEq)]
pub struct RecorderIdentity {
    /// Version of the program.
    pub program: String,
    /// The recorder's name, for people.
    pub recorder: String,
    pub place: Place,
}

/// An action for the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send(FromRecorder),
    /// A new command, in time: do it, and pass the result to [`RecorderEnd::answer`].
    Do(Command),
    /// Close this connection; it is of no further use.
    Close {
        reason: String,
        is_refused: bool,
    },
}

/// State of the connection's handshake. It begins with `Cut`. `connected` sends the hello and waits for the
/// welcome (`Greeting`), which leads to `Open`. Events are sent and commands accepted only then, since only
/// then both clocks can be compared. `disconnected` leads back to `Cut` from any state.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Handshake {
    Cut,
    Greeting { since: Duration },
    Open,
}

#[derive(Debug)]
pub struct RecorderEnd {
    identity: RecorderIdentity,
    stream: EventStreamId,
    handshake: Handshake,
    status: RecorderStatus,
    backlog: Backlog,
    commands: Commands,
    clock: ServerClock,
    probes: ClockProbes,
    /// When the server's last message came.
    last_message: Duration,
    /// This recorder's place, by the server's last welcome.
    place_at_server: Option<Place>,
    /// Another recorder at this place, by the server's last welcome.
    occupied_by: Option<String>,
}

#[derive(Debug, Default)]
struct ClockProbes {
    /// The number of the last probe.
    number: u32,
    /// Answered probes of this connection.
    answered: u32,
    /// When the probe that is under way was sent.
    under_way: Option<Duration>,
    next: Duration,
}

impl RecorderEnd {
    /// `stream` must be new at each start of the program.
    pub fn new(identity: RecorderIdentity, stream: EventStreamId) -> RecorderEnd {
        RecorderEnd {
            identity,
            stream,
            handshake: Handshake::Cut,
            status: RecorderStatus::default(),
            backlog: Backlog::default(),
            commands: Commands::default(),
            clock: ServerClock::default(),
            probes: ClockProbes::default(),
            last_message: Duration::ZERO,
            place_at_server: None,
            occupied_by: None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.handshake == Handshake::Open
    }

    /// The number of events that the server has not acknowledged, and of those that were dropped for lack of
    /// room.
    pub fn waiting(&self) -> (usize, u64) {
        (self.backlog.len(), self.backlog.lost())
    }

    /// Milliseconds by which our wall clock is behind the server's, and the greatest error of that.
    pub fn offset_ms(&self, now: ClockReading) -> Option<(i64, u64)> {
        self.clock.offset_ms(now)
    }

    pub fn connected(&mut self, now: ClockReading) -> Vec<Effect> {
        self.handshake = Handshake::Greeting { since: now.monotonic };
        self.last_message = now.monotonic;
        self.backlog.rewind(now.monotonic);
        self.probes =
            ClockProbes { number: self.probes.number, next: now.monotonic, ..ClockProbes::default() };
        let hello = Hello {
            version: VERSION,
            program: self.identity.program.clone(),
            recorder: self.identity.recorder.clone(),
            place: self.identity.place.clone(),
            stream: self.stream.clone(),
            first: self.backlog.first(),
            status: self.status_now(now),
        };
        vec![Effect::Send(FromRecorder::Hello(hello))]
    }

    pub fn disconnected(&mut self) {
        self.handshake = Handshake::Cut;
    }

    /// Sends an event from a desktop.
    pub fn send_event(&mut self, event: Value, now: ClockReading) -> Vec<Effect> {
        self.backlog.push(event);
        self.due(now)
    }

    /// Sends the recorder's status if it has changed.
    pub fn set_status(&mut self, status: RecorderStatus, now: ClockReading) -> Vec<Effect> {
        if status == self.status {
            return Vec::new();
        }
        self.status = status;
        match self.is_open() {
            true => vec![Effect::Send(FromRecorder::Status(self.status_now(now)))],
            false => Vec::new(),
        }
    }

    fn status_now(&self, now: ClockReading) -> RecorderStatus {
        let offset = self.clock.offset_ms(now);
        RecorderStatus {
            offset_ms: offset.map(|(offset, _)| offset),
            uncertainty_ms: offset.map(|(_, uncertainty)| uncertainty),
            ..self.status.clone()
        }
    }

    /// Answers a command. Only the first answer counts.
    pub fn answer(&mut self, id: &CommandId, result: CommandResult) -> Vec<Effect> {
        let is_first = self.commands.answer(id, &result);
        match is_first && self.is_open() {
            true => vec![Effect::Send(FromRecorder::Answer { id: id.clone(), result })],
            false => Vec::new(),
        }
    }

    /// This recorder's place as the server has it, by its last welcome.
    pub fn place_at_server(&self) -> Option<&Place> {
        self.place_at_server.as_ref()
    }

    /// The name of another recorder that is connected at this place and is commanded instead, by the server's
    /// last welcome.
    pub fn occupied_by(&self) -> Option<&str> {
        self.occupied_by.as_deref()
    }

    pub fn receive(&mut self, message: FromServer, now: ClockReading) -> Vec<Effect> {
        self.last_message = now.monotonic;
        match (self.handshake, message) {
            (Handshake::Greeting { since }, FromServer::Welcome(welcome)) => {
                self.receive_welcome(welcome, since, now)
            }
            (Handshake::Greeting { .. } | Handshake::Open, FromServer::Refused { reason }) => {
                vec![Effect::Close { reason, is_refused: true }]
            }
            (Handshake::Open, FromServer::Heard { stream, number }) if stream == self.stream => {
                self.backlog.acknowledge(number, now.monotonic);
                self.due(now)
            }
            (Handshake::Open, FromServer::Clock { probe, received, sent }) => {
                self.receive_clock(probe, received, sent, now)
            }
            (Handshake::Open, FromServer::Command(command)) => self.receive_command(command, now),
            // A second welcome, a message that is newer than we are, or a message before the welcome.
            _ => Vec::new(),
        }
    }

    fn receive_welcome(&mut self, welcome: Welcome, since: Duration, now: ClockReading) -> Vec<Effect> {
        if welcome.version != VERSION {
            let reason = format!(
                "the server speaks version {} of the link, which this recorder does not; update the recorder",
                welcome.version
            );
            return vec![Effect::Close { reason, is_refused: true }];
        }
        self.handshake = Handshake::Open;
        self.place_at_server = welcome.place;
        self.occupied_by = welcome.occupied_by;
        self.clock.sample(since, welcome.now, welcome.now, now.monotonic);
        self.backlog.acknowledge(welcome.heard, now.monotonic);
        self.due(now)
    }

    fn receive_command(&mut self, command: Command, now: ClockReading) -> Vec<Effect> {
        let id = command.id.clone();
        // There has been a sample since the welcome.
        let Some(server) = self.clock.server(now.monotonic) else { return Vec::new() };
        match self.commands.take(command, server) {
            CommandResponse::Do(command) => vec![Effect::Do(command)],
            CommandResponse::Answer(result) => vec![Effect::Send(FromRecorder::Answer { id, result })],
            CommandResponse::Wait => Vec::new(),
        }
    }

    fn receive_clock(
        &mut self,
        probe: u32,
        received: deskreel_model::Utc,
        answered: deskreel_model::Utc,
        now: ClockReading,
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

    /// Sends everything that is due. Call it about once a second.
    pub fn tick(&mut self, now: ClockReading) -> Vec<Effect> {
        let close = |reason: &str| vec![Effect::Close { reason: reason.to_owned(), is_refused: false }];
        match self.handshake {
            Handshake::Cut => Vec::new(),
            Handshake::Greeting { since } if now.monotonic.saturating_sub(since) >= WELCOME_LIMIT => {
                close("the server has sent no welcome")
            }
            _ if now.monotonic.saturating_sub(self.last_message) >= SILENCE => {
                close("the server has fallen silent")
            }
            Handshake::Greeting { .. } => Vec::new(),
            Handshake::Open => self.due(now),
        }
    }

    /// Returns the events and probes that are due.
    fn due(&mut self, now: ClockReading) -> Vec<Effect> {
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
            messages.push(FromRecorder::ClockProbe { probe: probes.number });
        }
        messages.into_iter().map(Effect::Send).collect()
    }
}
