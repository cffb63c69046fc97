//! What a policy decides from, and what it may decide.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Event;

/// What a policy decides from: one event, how things stand with one agent after it, and the policy's own earlier
/// state. It has no clock and no IO. Times are UTC, RFC 3339 with milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact<S = Value> {
    /// What the policy returned as its state for this agent last time; null the first time.
    pub state: S,
    /// Now: the time of the event, corrected by what is known of the clock of its feed.
    pub at: String,
    pub event: Event,
    pub agent: AgentFacts,
    /// By medium: `voice`, `chat`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub media: BTreeMap<String, MediaFacts>,
    /// The agent's connections to calls, in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallFacts>,
    /// Those that this event has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<CallFacts>,
    /// Digital interactions that the agent has accepted, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interactions: Vec<InteractionFacts>,
    /// Calls and interactions above that are new or other than before this event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// What is being recorded of the agent's screen, as it was before this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingFacts>,
}

impl<S> Fact<S> {
    /// The state, and the fact without it.
    pub fn take_state(self) -> (S, Fact<()>) {
        let Fact { state, at, event, agent, media, calls, ended, interactions, changed, recording } = self;
        (state, Fact { state: (), at, event, agent, media, calls, ended, interactions, changed, recording })
    }

    /// Calls that this event has changed.
    pub fn changed_calls(&self) -> impl Iterator<Item = &CallFacts> {
        self.calls.iter().filter(|call| self.changed.contains(&call.call))
    }

    /// Interactions that this event has changed.
    pub fn changed_interactions(&self) -> impl Iterator<Item = &InteractionFacts> {
        self.interactions.iter().filter(|interaction| self.changed.contains(&interaction.interaction))
    }

    /// Whether this is the timer that the policy set under this name with [`Decision::wake_after`].
    pub fn is_timer(&self, name: &str) -> bool {
        self.event.kind == "timer" && self.event.text("name") == Some(name)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentFacts {
    pub id: String,
    /// Where the agent is logged in: a PC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
}

/// An agent's state in one medium.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaFacts {
    #[serde(default)]
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub since: String,
}

/// An agent's connection to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallFacts {
    pub call: String,
    /// What the call belongs to: the call that a customer contact began with.
    pub interaction: String,
    pub role: Role,
    pub state: ConnectionState,
    /// When it was answered; while it rings, when it began to.
    pub since: String,
    /// Whether the voice recorder records this agent in this call.
    #[serde(default)]
    pub voice: Voice,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attached: Map<String, Value>,
}

impl CallFacts {
    /// Somebody talks, or has put the other side on hold.
    pub fn is_up(&self) -> bool {
        self.state != ConnectionState::Ringing
    }
}

/// CSTA's local connection state, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    Ringing,
    Up,
    Held,
}

/// Why a stretch of footage belongs to an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A call that came to the agent or that the agent made, with the customer.
    Primary,
    /// Agents among themselves, beside the customer's call.
    Consult,
    /// The agent was added to a call that had an agent.
    Conference,
    AfterCallWork,
    /// Chat, mail and the like.
    Digital,
}

impl Role {
    pub const ALL: [Role; 5] =
        [Role::Primary, Role::Consult, Role::Conference, Role::AfterCallWork, Role::Digital];

    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Consult => "consult",
            Role::Conference => "conference",
            Role::AfterCallWork => "after_call_work",
            Role::Digital => "digital",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The voice recorder's word on one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    #[default]
    Off,
    On,
    Paused,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractionFacts {
    pub interaction: String,
    pub media: String,
    pub since: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingFacts {
    pub since: String,
    pub capture: Capture,
}

/// What a recording takes of the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capture {
    #[default]
    Live,
    /// Pixels are blanked.
    Masked,
    /// Nothing is captured.
    Paused,
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided<S = Value> {
    pub state: S,
    #[serde(default)]
    pub decisions: Vec<Decision>,
}

/// One decision; docs/plugin-contract.md lists the actions and their fields. To say again what holds already changes
/// nothing, so a policy may say what it wants at each event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// `start`, `stop`, `map`, ...
    pub action: String,
    /// The reason, for people.
    pub why: String,
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Decision {
    pub fn new(action: impl Into<String>, why: impl Into<String>) -> Self {
        Decision { action: action.into(), why: why.into(), fields: Map::new() }
    }

    /// Footage is wanted until this policy says `stop`.
    pub fn start(why: impl Into<String>) -> Self {
        Decision::new("start", why)
    }

    /// It is no longer wanted by this policy.
    pub fn stop(why: impl Into<String>) -> Self {
        Decision::new("stop", why)
    }

    /// No footage, whoever wants it, until this policy says `allow`.
    pub fn forbid(why: impl Into<String>) -> Self {
        Decision::new("forbid", why)
    }

    pub fn allow(why: impl Into<String>) -> Self {
        Decision::new("allow", why)
    }

    /// The recording ends here; another begins if footage is still wanted.
    pub fn split(why: impl Into<String>) -> Self {
        Decision::new("split", why)
    }

    /// A segment from now on, or from `from`: until the agent's part in the interaction ends, or the footage.
    pub fn map(why: impl Into<String>, interaction: &str, role: Role) -> Self {
        Decision::new("map", why).with("interaction", interaction).with("role", role.name())
    }

    /// A `timer` event comes after this time, unless the policy asks again under the same name.
    pub fn wake_after(why: impl Into<String>, name: &str, after_ms: u64) -> Self {
        Decision::new("wake_at", why).with("name", name).with("after_ms", after_ms)
    }

    /// Only as long as the agent is in this call, and for it: of `start`, `stop`, `forbid`, `allow` and `map`.
    pub fn for_call(self, call: &str) -> Self {
        self.with("call", call)
    }

    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }
}
