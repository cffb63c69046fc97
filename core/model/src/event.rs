//! Interaction events: what happened to an agent, a call or a digital interaction, as reported by feeds.
//!
//! One event is one JSON object; a log of events is JSON Lines. [`TYPES`] is the table of event types; the
//! JSON Schema and docs/events.md are made from it. The words are CSTA's (ECMA-269) if it has one. Fields
//! that are not in the table are accepted, so that a feed may report more than we know of.

mod logged;
mod parse;
mod types;

use std::fmt;

use deskreel_contract::{Role, Voice};

use crate::ids::{AgentId, CallId, FeedName, InteractionId, Place};
use crate::time::Utc;

pub use logged::LoggedEvent;
pub use types::{COMMON, EventType, Field, FieldKind, TYPES, json_schema};

/// One event, typed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Time by the feed's clock, not corrected.
    pub at: Utc,
    /// The feed that reported it, if it says so.
    pub feed: Option<FeedName>,
    /// Sequence number within its feed.
    pub seq: Option<u64>,
    pub kind: Kind,
    /// The event as written; policies get this.
    pub json: Box<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    LoggedIn {
        agent: AgentId,
        seat: Seat,
    },
    LoggedOut {
        agent: AgentId,
        /// Without it, everywhere.
        place: Option<Place>,
    },
    State {
        agent: AgentId,
        media: Box<str>,
        state: Box<str>,
        work_mode: Option<Box<str>>,
        reason: Option<Box<str>>,
    },
    /// Without an agent, the device says whose connection it is. A cleared call without either is over for
    /// everyone.
    Call {
        change: CallChange,
        call: CallId,
        agent: Option<AgentId>,
        about: CallFields,
    },
    /// Two calls become one, or a call passes to another agent.
    Joined(CallJoin),
    /// A change of the voice recording.
    Voice {
        change: VoiceChange,
        call: CallId,
        /// Without it, the device says whose.
        agent: Option<AgentId>,
        device: Option<Box<str>>,
        recording: Option<Box<str>>,
    },
    Accepted {
        interaction: InteractionId,
        agent: AgentId,
        media: Box<str>,
    },
    Completed {
        interaction: InteractionId,
        agent: AgentId,
    },
    /// A request through the desktop's API.
    Request {
        agent: AgentId,
        request: Request,
    },
    Recorder {
        place: Place,
        online: bool,
    },
    /// The host that decides has started again, after the events before.
    HostStarted,
    /// Events of this feed are missing.
    FeedGap {
        feed: FeedName,
        /// Set if only events about this agent were lost.
        agent: Option<AgentId>,
    },
    /// The clock of this feed differs from ours.
    FeedClock {
        feed: FeedName,
        /// Milliseconds by which it is behind; negative if it is ahead.
        offset_ms: i64,
    },
    /// A vendor's own event. Policies get it if it names an agent.
    Other {
        name: Box<str>,
        agent: Option<AgentId>,
    },
}

/// The place at which an agent has logged in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seat {
    pub place: Option<Place>,
    pub devices: Vec<Box<str>>,
    pub groups: Vec<Box<str>>,
    pub skills: Vec<Box<str>>,
}

/// CSTA's Delivered, Established, Held, Retrieved and ConnectionCleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallChange {
    Delivered,
    Established,
    Held,
    Retrieved,
    Cleared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoiceChange {
    Started,
    Paused,
    Resumed,
    Stopped,
}

impl VoiceChange {
    /// The state of the voice recording after the change.
    pub fn now(self) -> Voice {
        match self {
            VoiceChange::Started | VoiceChange::Resumed => Voice::On,
            VoiceChange::Paused => Voice::Paused,
            VoiceChange::Stopped => Voice::Off,
        }
    }
}

/// Details of a call that its events may carry.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallFields {
    pub device: Option<Box<str>>,
    pub direction: Option<Box<str>>,
    pub call_type: Option<Box<str>>,
    /// The call that waits while the agent consults in this one.
    pub parent_call: Option<CallId>,
    /// The agent's part in the call, if it is not that of somebody who serves the customer.
    pub role: Option<Supervision>,
    /// A JSON object, as written.
    pub attached: Option<Box<str>>,
}

/// The part of a supervisor who joins the call of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervision {
    /// Hears the call; nobody hears the supervisor.
    Monitor,
    /// Only the agent hears the supervisor: whisper.
    Coach,
    /// Everybody hears the supervisor.
    Barge,
}

impl Supervision {
    pub const ALL: [(Supervision, &str); 3] =
        [(Supervision::Monitor, "monitor"), (Supervision::Coach, "coach"), (Supervision::Barge, "barge")];

    pub fn role(self) -> Role {
        match self {
            Supervision::Monitor => Role::Monitor,
            Supervision::Coach => Role::Coach,
            Supervision::Barge => Role::Barge,
        }
    }
}

/// CSTA's Transferred and Conferenced.
#[derive(Debug, Clone, PartialEq)]
pub struct CallJoin {
    /// True for a conference: the agent who did it stays in the call.
    pub conference: bool,
    pub primary: CallId,
    /// The consultation; only if it was done in two steps.
    pub secondary: Option<CallId>,
    /// The primary call's id from now on.
    pub resulting: CallId,
    pub from: AgentId,
    pub to: Option<AgentId>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    Start,
    Stop,
    Pause { limit_ms: Option<u64> },
    Mask { limit_ms: Option<u64> },
    Resume,
    Tag { name: Box<str>, value: Box<str> },
}

/// Why a text is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    #[error("not JSON: {0}")]
    NotJson(String),
    #[error("not an event: {0}")]
    NotAnEvent(String),
    #[error("`at` is not a time: `{0}`; write UTC as in 2026-01-05T09:00:00.000Z")]
    At(String),
    #[error("`{kind}` needs the field `{field}`")]
    Missing { kind: String, field: &'static str },
    #[error("only the host may send `{kind}`")]
    Reserved { kind: String },
    #[error("`attached` of `{kind}` is not an object of keys and values")]
    Attached { kind: String },
}

impl Event {
    /// Reads one line of a log. Does not panic, whatever the text is.
    pub fn parse(text: &str) -> Result<Event, EventError> {
        parse::parse(text)
    }
}

impl Kind {
    /// The `type` of the event.
    pub fn name(&self) -> &str {
        match self {
            Kind::LoggedIn { .. } => "agent.logged_in",
            Kind::LoggedOut { .. } => "agent.logged_out",
            Kind::State { .. } => "agent.state",
            Kind::Call { change, .. } => change.name(),
            Kind::Joined(joined) if joined.conference => "call.conferenced",
            Kind::Joined(_) => "call.transferred",
            Kind::Voice { change, .. } => match change {
                VoiceChange::Started => "recording.started",
                VoiceChange::Paused => "recording.paused",
                VoiceChange::Resumed => "recording.resumed",
                VoiceChange::Stopped => "recording.stopped",
            },
            Kind::Accepted { .. } => "interaction.accepted",
            Kind::Completed { .. } => "interaction.completed",
            Kind::Request { request, .. } => match request {
                Request::Start => "screen.start_requested",
                Request::Stop => "screen.stop_requested",
                Request::Pause { .. } => "screen.pause_requested",
                Request::Mask { .. } => "screen.mask_requested",
                Request::Resume => "screen.resume_requested",
                Request::Tag { .. } => "screen.tag_requested",
            },
            Kind::Recorder { online: true, .. } => "recorder.connected",
            Kind::Recorder { .. } => "recorder.disconnected",
            Kind::HostStarted => "host.started",
            Kind::FeedGap { .. } => "feed.gap",
            Kind::FeedClock { .. } => "feed.clock",
            Kind::Other { name, .. } => name,
        }
    }

    /// The agents that the event itself names; its call may have others.
    pub fn agents(&self) -> impl Iterator<Item = &AgentId> {
        let (first, second) = match self {
            Kind::LoggedIn { agent, .. }
            | Kind::LoggedOut { agent, .. }
            | Kind::State { agent, .. }
            | Kind::Accepted { agent, .. }
            | Kind::Completed { agent, .. }
            | Kind::Request { agent, .. } => (Some(agent), None),
            Kind::Call { agent, .. } | Kind::Voice { agent, .. } | Kind::Other { agent, .. } => {
                (agent.as_ref(), None)
            }
            Kind::Joined(joined) => (Some(&joined.from), joined.to.as_ref()),
            Kind::Recorder { .. } | Kind::HostStarted | Kind::FeedGap { .. } | Kind::FeedClock { .. } => {
                (None, None)
            }
        };
        first.into_iter().chain(second)
    }
}

impl Kind {
    /// The same as [`Kind::agents`], for a change.
    pub fn agents_mut(&mut self) -> impl Iterator<Item = &mut AgentId> {
        let (first, second) = match self {
            Kind::LoggedIn { agent, .. }
            | Kind::LoggedOut { agent, .. }
            | Kind::State { agent, .. }
            | Kind::Accepted { agent, .. }
            | Kind::Completed { agent, .. }
            | Kind::Request { agent, .. } => (Some(agent), None),
            Kind::Call { agent, .. } | Kind::Voice { agent, .. } | Kind::Other { agent, .. } => {
                (agent.as_mut(), None)
            }
            Kind::Joined(joined) => (Some(&mut joined.from), joined.to.as_mut()),
            Kind::Recorder { .. } | Kind::HostStarted | Kind::FeedGap { .. } | Kind::FeedClock { .. } => {
                (None, None)
            }
        };
        first.into_iter().chain(second)
    }
}

impl CallChange {
    pub fn name(self) -> &'static str {
        CallChange::ALL.iter().find(|(change, _)| *change == self).map_or("", |(_, name)| name)
    }

    pub const ALL: [(CallChange, &str); 5] = [
        (CallChange::Delivered, "call.delivered"),
        (CallChange::Established, "call.established"),
        (CallChange::Held, "call.held"),
        (CallChange::Retrieved, "call.retrieved"),
        (CallChange::Cleared, "call.cleared"),
    ];
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json)
    }
}
