//! The server's end of the link to one recorder, without IO or clock.
//!
//! One [`ServerEnd`] represents a recorder, whether or not that is connected. The server keeps in its
//! database what must outlive a restart: the number of the last stored event, and the unanswered commands. It
//! restores the end from these:
//!
//! ```text
//! let mut end = ServerEnd::new(last_stored);
//! unanswered_commands.for_each(|command| end.send_command(command, now));
//! // a connection, authenticated by the recorder's token:
//! end.connected(now);
//! for each message: for effect in end.receive(FromRecorder::parse(text)?, now) { .. }
//! // Effect::Event: store it, then
//! end.stored(&stream, number)       // -> Send(Heard)
//! // once a second:
//! end.tick(now)
//! // when the connection has ended:
//! end.disconnected()
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_model::link::{
    Command, CommandId, CommandResult, EventStreamId, FromRecorder, FromServer, Hello, RecorderStatus,
    VERSION, Welcome,
};
use serde_json::Value;

use crate::{ClockReading, REMEMBER_FOR, RESEND_AFTER};

/// Time for a recorder to send its hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// A recorder probes every 20 s. One that is silent for three times as long is gone, even if the connection
/// seems open.
const SILENCE: Duration = Duration::from_secs(60);

/// An action for the caller.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send(FromServer),
    /// The recorder is connected and can be commanded.
    Present(Box<Hello>),
    Status(RecorderStatus),
    /// An event; each comes once, in order. Store it, then call [`ServerEnd::stored`], which acknowledges it.
    Event {
        stream: EventStreamId,
        number: u64,
        event: Value,
    },
    /// The recorder dropped these events for lack of room, `from` and `to` included. Comes before the event
    /// that follows.
    Lost {
        stream: EventStreamId,
        from: u64,
        to: u64,
    },
    /// The answer to a command; comes once for each.
    Answered {
        id: CommandId,
        result: CommandResult,
    },
    /// This command has no answer at its deadline: it may have been done or not. If an answer comes within
    /// the hour, `Answered` follows.
    Overdue {
        id: CommandId,
    },
    /// Close this connection; it is of no further use.
    Close {
        reason: String,
    },
}

/// State of the connection's handshake. It begins with `Cut`. `connected` waits for the hello (`Waiting`),
/// which leads to `Open`. `disconnected` leads back to `Cut` from any state. A recorder that connects while
/// an older connection seems open goes through `connected` again; the caller closes the older one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Handshake {
    Cut,
    Waiting { since: Duration },
    Open,
}

#[derive(Debug)]
pub struct ServerEnd {
    handshake: Handshake,
    /// When the recorder's last message came.
    last_message: Duration,
    events: Option<EventProgress>,
    /// Commands without an answer.
    commands: BTreeMap<CommandId, PendingCommand>,
}

/// The recorder's numbering of events, and the last ones received.
#[derive(Debug)]
struct EventProgress {
    stream: EventStreamId,
    /// Last event that is stored and may be acknowledged.
    stored: u64,
    /// Last event that was handed to the caller.
    taken: u64,
}

/// A command without an answer.
#[derive(Debug)]
struct PendingCommand {
    command: Command,
    sent: Option<Duration>,
    is_overdue: bool,
}

impl ServerEnd {
    /// `stored` is the last stored event of this recorder.
    pub fn new(stored: Option<(EventStreamId, u64)>) -> ServerEnd {
        let events = stored.map(|(stream, number)| EventProgress { stream, stored: number, taken: number });
        ServerEnd {
            handshake: Handshake::Cut,
            last_message: Duration::ZERO,
            events,
            commands: BTreeMap::new(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.handshake == Handshake::Open
    }

    /// Returns whether the recorder is not connected and has no unanswered commands.
    pub fn is_idle(&self) -> bool {
        self.handshake == Handshake::Cut && self.commands.is_empty()
    }

    /// When the recorder's last message came, on the clock of [`ClockReading::monotonic`].
    pub fn last_message(&self) -> Duration {
        self.last_message
    }

    pub fn connected(&mut self, now: ClockReading) {
        self.handshake = Handshake::Waiting { since: now.monotonic };
        self.last_message = now.monotonic;
    }

    pub fn disconnected(&mut self) {
        self.handshake = Handshake::Cut;
    }

    /// Sends a command, now or as soon as the recorder is connected. Repeating a command changes nothing.
    pub fn send_command(&mut self, command: Command, now: ClockReading) -> Vec<Effect> {
        let pending = PendingCommand { command, sent: None, is_overdue: false };
        self.commands.entry(pending.command.id.clone()).or_insert(pending);
        self.due(now)
    }

    /// Reports that all events of the stream up to this number are durable.
    pub fn stored(&mut self, stream: &EventStreamId, number: u64) -> Vec<Effect> {
        let Some(events) = self.events.as_mut().filter(|events| events.stream == *stream) else {
            return Vec::new();
        };
        events.stored = events.stored.max(number.min(events.taken));
        self.acknowledge()
    }

    /// Reports that events could not be stored: those not stored yet come again.
    pub fn not_stored(&mut self) {
        if let Some(events) = &mut self.events {
            events.taken = events.stored;
        }
    }

    fn acknowledge(&self) -> Vec<Effect> {
        let events = self.events.as_ref().filter(|_| self.is_open());
        let heard = |events: &EventProgress| FromServer::Heard {
            stream: events.stream.clone(),
            number: events.stored,
        };
        events.map(|events| Effect::Send(heard(events))).into_iter().collect()
    }

    pub fn receive(&mut self, message: FromRecorder, now: ClockReading) -> Vec<Effect> {
        self.last_message = now.monotonic;
        match (self.handshake, message) {
            (Handshake::Waiting { .. }, FromRecorder::Hello(hello)) => self.receive_hello(hello, now),
            (Handshake::Open, FromRecorder::Status(status)) => vec![Effect::Status(status)],
            (Handshake::Open, FromRecorder::Event { number, first, event }) => {
                self.receive_event(number, first, event)
            }
            (Handshake::Open, FromRecorder::Answer { id, result }) => match self.commands.remove(&id) {
                Some(_) => vec![Effect::Answered { id, result }],
                None => Vec::new(),
            },
            (Handshake::Open, FromRecorder::ClockProbe { probe }) => {
                vec![Effect::Send(FromServer::Clock { probe, received: now.utc, sent: now.utc })]
            }
            // A second hello, a message that is newer than we are, or a message before the hello.
            _ => Vec::new(),
        }
    }

    fn receive_hello(&mut self, hello: Hello, now: ClockReading) -> Vec<Effect> {
        if hello.version < VERSION {
            let reason = format!("this server speaks version {VERSION} of the link; update the recorder");
            let refused = Effect::Send(FromServer::Refused { reason: reason.clone() });
            return vec![refused, Effect::Close { reason }];
        }
        self.handshake = Handshake::Open;
        let events = self.events.take().filter(|events| events.stream == hello.stream);
        let events = events.unwrap_or(EventProgress { stream: hello.stream.clone(), stored: 0, taken: 0 });
        let welcome =
            Welcome { version: VERSION, now: now.utc, heard: events.stored, place: None, occupied_by: None };
        self.events = Some(events);
        // Nothing has been sent on this connection yet.
        self.commands.values_mut().for_each(|pending| pending.sent = None);
        let mut effects = vec![Effect::Send(FromServer::Welcome(welcome))];
        effects.extend(self.lost_before(hello.first));
        let status = hello.status.clone();
        effects.extend([Effect::Present(Box::new(hello)), Effect::Status(status)]);
        effects.extend(self.due(now));
        effects
    }

    /// Reports the events before `first` that we never received: the recorder no longer has them.
    fn lost_before(&mut self, first: u64) -> Option<Effect> {
        let events = self.events.as_mut()?;
        let (from, to) = (events.taken + 1, first.checked_sub(1)?);
        if to < from {
            return None;
        }
        events.taken = to;
        Some(Effect::Lost { stream: events.stream.clone(), from, to })
    }

    fn receive_event(&mut self, number: u64, first: u64, event: Value) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.lost_before(first).into_iter().collect();
        let Some(events) = &mut self.events else { return effects };
        if number == events.taken + 1 {
            events.taken = number;
            effects.push(Effect::Event { stream: events.stream.clone(), number, event });
        } else if number <= events.stored {
            // Our acknowledgement was lost.
            effects.extend(self.acknowledge());
        }
        // Otherwise it is being stored, or an earlier one is missing; then both come again.
        effects
    }

    /// Sends everything that is due. Call it about once a second.
    pub fn tick(&mut self, now: ClockReading) -> Vec<Effect> {
        let close = |reason: &str| Some(Effect::Close { reason: reason.to_owned() });
        let end = match self.handshake {
            Handshake::Waiting { since } if now.monotonic.saturating_sub(since) >= HELLO_LIMIT => {
                close("the recorder has sent no hello")
            }
            Handshake::Open if now.monotonic.saturating_sub(self.last_message) >= SILENCE => {
                close("the recorder has fallen silent")
            }
            _ => None,
        };
        let mut effects = self.due(now);
        effects.extend(end);
        effects
    }

    /// Returns the commands that are due and those that are overdue, and forgets the oldest.
    fn due(&mut self, now: ClockReading) -> Vec<Effect> {
        let is_open = self.is_open();
        let mut effects = Vec::new();
        for (id, pending) in &mut self.commands {
            if !pending.is_overdue && now.utc > pending.command.deadline {
                pending.is_overdue = true;
                effects.push(Effect::Overdue { id: id.clone() });
            }
            let is_due = pending.sent.is_none_or(|sent| now.monotonic.saturating_sub(sent) >= RESEND_AFTER);
            if is_open && is_due {
                pending.sent = Some(now.monotonic);
                effects.push(Effect::Send(FromServer::Command(pending.command.clone())));
            }
        }
        self.commands.retain(|_, pending| pending.command.deadline.plus(REMEMBER_FOR) >= now.utc);
        effects
    }
}
