//! The server's end, for one recorder, without IO and clock.
//!
//! One [`ServerEnd`] stands for a recorder whether it is connected or not. The server keeps in its database what must outlive
//! it: the number of the last event that it stored, and the commands that are not answered; after a restart it makes the end
//! with these again.
//!
//! ```text
//! let mut end = ServerEnd::new(last_stored);
//! commands_without_answer.for_each(|command| end.command(command, now));
//! // a connection, authenticated by the recorder's token:
//! end.connected(now);
//! for each message: for effect in end.take(FromRecorder::parse(text)?, now) { .. }
//! // Effect::Event: store it, then
//! end.stored(&stream, number)       // -> Send(Heard)
//! // once a second:
//! end.tick(now)
//! // when the connection has ended:
//! end.cut()
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use deskreel_model::link::{
    Command, CommandId, CommandResult, FromRecorder, FromServer, Hello, Status, StreamId, VERSION, Welcome,
};
use serde_json::Value;

use crate::{AGAIN, Moment, REMEMBERED};

/// How long a recorder may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// A recorder probes every 20 s. One that says nothing for three times as long is gone, though the connection seems to stand.
const SILENCE: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Send(FromServer),
    /// The recorder is there, and can be commanded.
    Present(Box<Hello>),
    Status(Status),
    /// Comes once, in order. Store it, and then call [`ServerEnd::stored`]; it is not acknowledged before.
    Event {
        stream: StreamId,
        number: u64,
        event: Value,
    },
    /// The recorder had no more room for these, both included. Comes before the event that follows them.
    Lost {
        stream: StreamId,
        from: u64,
        to: u64,
    },
    /// Comes once for each command.
    Answered {
        id: CommandId,
        result: CommandResult,
    },
    /// Nothing is known of this command at its deadline: it may have been done, or not. If the answer comes within the hour,
    /// `Answered` follows.
    Overdue {
        id: CommandId,
    },
    /// This connection is of no use.
    Close {
        reason: String,
    },
}

/// Where the line is. It begins `Cut`; `connected` waits for the hello, which opens it. `cut` leads back from anywhere. A recorder that
/// connects while an older connection seems to stand goes through `connected` again: the older one is to be closed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Line {
    Cut,
    Waiting { since: Duration },
    Open,
}

#[derive(Debug)]
pub struct ServerEnd {
    line: Line,
    /// When the recorder last said anything.
    heard: Duration,
    events: Option<Events>,
    commands: BTreeMap<CommandId, Owed>,
}

/// The numbering that the recorder uses.
#[derive(Debug)]
struct Events {
    stream: StreamId,
    /// Up to this number they are acknowledged.
    stored: u64,
    /// Up to this number they were given out.
    taken: u64,
}

/// A command without an answer.
#[derive(Debug)]
struct Owed {
    command: Command,
    sent: Option<Duration>,
    is_overdue: bool,
}

impl ServerEnd {
    /// With the last event of this recorder that is stored.
    pub fn new(stored: Option<(StreamId, u64)>) -> ServerEnd {
        let events = stored.map(|(stream, number)| Events { stream, stored: number, taken: number });
        ServerEnd { line: Line::Cut, heard: Duration::ZERO, events, commands: BTreeMap::new() }
    }

    pub fn is_open(&self) -> bool {
        self.line == Line::Open
    }

    /// Nothing of this recorder is under way.
    pub fn is_idle(&self) -> bool {
        self.line == Line::Cut && self.commands.is_empty()
    }

    pub fn connected(&mut self, now: Moment) {
        self.line = Line::Waiting { since: now.monotonic };
        self.heard = now.monotonic;
    }

    pub fn cut(&mut self) {
        self.line = Line::Cut;
    }

    /// Has the recorder do something, now or as soon as it is there. The same command again changes nothing.
    pub fn command(&mut self, command: Command, now: Moment) -> Vec<Effect> {
        let owed = Owed { command, sent: None, is_overdue: false };
        self.commands.entry(owed.command.id.clone()).or_insert(owed);
        self.due(now)
    }

    /// All events of the stream up to this number are durable.
    pub fn stored(&mut self, stream: &StreamId, number: u64) -> Vec<Effect> {
        let Some(events) = self.events.as_mut().filter(|events| events.stream == *stream) else {
            return Vec::new();
        };
        events.stored = events.stored.max(number.min(events.taken));
        self.acknowledge()
    }

    /// What was given out and is not stored could not be: it comes again.
    pub fn not_stored(&mut self) {
        if let Some(events) = &mut self.events {
            events.taken = events.stored;
        }
    }

    fn acknowledge(&self) -> Vec<Effect> {
        let events = self.events.as_ref().filter(|_| self.is_open());
        let heard =
            |events: &Events| FromServer::Heard { stream: events.stream.clone(), number: events.stored };
        events.map(|events| Effect::Send(heard(events))).into_iter().collect()
    }

    pub fn take(&mut self, message: FromRecorder, now: Moment) -> Vec<Effect> {
        self.heard = now.monotonic;
        match (self.line, message) {
            (Line::Waiting { .. }, FromRecorder::Hello(hello)) => self.hello(hello, now),
            (Line::Open, FromRecorder::Status(status)) => vec![Effect::Status(status)],
            (Line::Open, FromRecorder::Event { number, first, event }) => self.event(number, first, event),
            (Line::Open, FromRecorder::Answer { id, result }) => match self.commands.remove(&id) {
                Some(_) => vec![Effect::Answered { id, result }],
                None => Vec::new(),
            },
            (Line::Open, FromRecorder::Probe { probe }) => {
                vec![Effect::Send(FromServer::Clock { probe, received: now.utc, sent: now.utc })]
            }
            // A hello too many, something newer than we are, or what comes before the hello.
            _ => Vec::new(),
        }
    }

    fn hello(&mut self, hello: Hello, now: Moment) -> Vec<Effect> {
        if hello.version < VERSION {
            let reason = format!("this server speaks version {VERSION} of the link; update the recorder");
            let refused = Effect::Send(FromServer::Refused { reason: reason.clone() });
            return vec![refused, Effect::Close { reason }];
        }
        self.line = Line::Open;
        let events = self.events.take().filter(|events| events.stream == hello.stream);
        let events = events.unwrap_or(Events { stream: hello.stream.clone(), stored: 0, taken: 0 });
        let welcome = Welcome { version: VERSION, now: now.utc, heard: events.stored };
        self.events = Some(events);
        // On this connection nothing was sent yet.
        self.commands.values_mut().for_each(|owed| owed.sent = None);
        let mut effects = vec![Effect::Send(FromServer::Welcome(welcome))];
        effects.extend(self.lost_before(hello.first));
        let status = hello.status.clone();
        effects.extend([Effect::Present(Box::new(hello)), Effect::Status(status)]);
        effects.extend(self.due(now));
        effects
    }

    /// What the recorder has no more, and we have not had.
    fn lost_before(&mut self, first: u64) -> Option<Effect> {
        let events = self.events.as_mut()?;
        let (from, to) = (events.taken + 1, first.checked_sub(1)?);
        if to < from {
            return None;
        }
        events.taken = to;
        Some(Effect::Lost { stream: events.stream.clone(), from, to })
    }

    fn event(&mut self, number: u64, first: u64, event: Value) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.lost_before(first).into_iter().collect();
        let Some(events) = &mut self.events else { return effects };
        if number == events.taken + 1 {
            events.taken = number;
            effects.push(Effect::Event { stream: events.stream.clone(), number, event });
        } else if number <= events.stored {
            // Our word was lost.
            effects.extend(self.acknowledge());
        }
        // Else it is being stored, or one before it is missing: then both come again.
        effects
    }

    /// To be called about once a second.
    pub fn tick(&mut self, now: Moment) -> Vec<Effect> {
        let close = |reason: &str| Some(Effect::Close { reason: reason.to_owned() });
        let end = match self.line {
            Line::Waiting { since } if now.monotonic.saturating_sub(since) >= HELLO_LIMIT => {
                close("the recorder says no hello")
            }
            Line::Open if now.monotonic.saturating_sub(self.heard) >= SILENCE => {
                close("the recorder has gone silent")
            }
            _ => None,
        };
        let mut effects = self.due(now);
        effects.extend(end);
        effects
    }

    /// Commands to be sent, or given up.
    fn due(&mut self, now: Moment) -> Vec<Effect> {
        let is_open = self.is_open();
        let mut effects = Vec::new();
        for (id, owed) in &mut self.commands {
            if !owed.is_overdue && now.utc > owed.command.deadline {
                owed.is_overdue = true;
                effects.push(Effect::Overdue { id: id.clone() });
            }
            let is_due = owed.sent.is_none_or(|sent| now.monotonic.saturating_sub(sent) >= AGAIN);
            if is_open && is_due {
                owed.sent = Some(now.monotonic);
                effects.push(Effect::Send(FromServer::Command(owed.command.clone())));
            }
        }
        self.commands.retain(|_, owed| owed.command.deadline.plus(REMEMBERED) >= now.utc);
        effects
    }
}
