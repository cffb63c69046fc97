//! The facts that a policy decides from, and its decisions.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::lazy::Lazy;
use crate::object::{Object, Text, texts};

/// The input of a decision: one event, the state of one agent after it, and the policy's own earlier state. A
/// policy has no clock and no IO. Times are UTC, RFC 3339 with milliseconds.
///
/// Texts are borrowed from the host's JSON: a policy is asked about each event, and most of them change
/// nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact<'a, S = Value> {
    /// The state that the policy last returned for this agent; null the first time.
    pub state: S,
    /// The current time: that of the event, corrected by the known offset of its feed's clock.
    #[serde(borrow)]
    pub at: Cow<'a, str>,
    /// The [`Event`](crate::Event), as the feed emitted it.
    #[serde(borrow)]
    pub event: Object<'a>,
    #[serde(borrow)]
    pub agent: Lazy<'a, AgentFacts<'a>>,
    /// The agent's states by medium: `voice`, `chat`, ...
    #[serde(borrow, default)]
    pub media: Lazy<'a, Media<'a>>,
    /// The agent's connections to calls, in the order in which they began.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallFacts<'a>>,
    /// The connections that this event has ended.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<CallFacts<'a>>,
    /// Digital interactions that the agent has accepted, in that order.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub interactions: Vec<InteractionFacts<'a>>,
    /// The calls and interactions in this fact that are new or that this event has changed.
    #[serde(borrow, default, deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Cow<'a, str>>,
    /// The recording of the agent's screen before this event.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<RecordingFacts<'a>>,
}

impl<'a, S> Fact<'a, S> {
    /// The state, and the fact without it.
    pub fn take_state(self) -> (S, Fact<'a, ()>) {
        let Fact { state, at, event, agent, media, calls, ended, interactions, changed, recording } = self;
        (state, Fact { state: (), at, event, agent, media, calls, ended, interactions, changed, recording })
    }

    /// Calls that this event has changed.
    pub fn changed_calls(&self) -> impl Iterator<Item = &CallFacts<'a>> {
        self.calls.iter().filter(|call| self.changed.contains(&call.call))
    }

    /// Interactions that this event has changed.
    pub fn changed_interactions(&self) -> impl Iterator<Item = &InteractionFacts<'a>> {
        self.interactions.iter().filter(|interaction| self.changed.contains(&interaction.interaction))
    }

    /// Returns whether the event is of this type: `agent.logged_out`, ...
    pub fn is(&self, kind: &str) -> bool {
        self.event.text("type").is_some_and(|found| found == kind)
    }

    /// Returns whether this is the timer that the policy set under this name with [`Decision::wake_after`].
    pub fn is_timer(&self, name: &str) -> bool {
        self.is("timer") && self.event.text("name").is_some_and(|found| found == name)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AgentFacts<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The PC at which the agent is logged in.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<Cow<'a, str>>,
}

/// The agent's states, by medium, in the order of the media's names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Media<'a>(Vec<(Cow<'a, str>, MediaFacts<'a>)>);

impl<'a> Media<'a> {
    pub fn get(&self, medium: &str) -> Option<&MediaFacts<'a>> {
        self.iter().find(|(name, _)| *name == medium).map(|(_, facts)| facts)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &MediaFacts<'a>)> {
        self.0.iter().map(|(name, facts)| (&**name, facts))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Media<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Media<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("states by medium")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Media<'de>, A::Error> {
                let mut media = Vec::new();
                while let Some((Text(name), facts)) = map.next_entry()? {
                    media.push((name, facts));
                }
                media.sort_by(|(a, _): &(Cow<'_, str>, MediaFacts<'_>), (b, _)| a.cmp(b));
                Ok(Media(media))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

impl Serialize for Media<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// An agent's state in one medium.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MediaFacts<'a> {
    #[serde(borrow, default)]
    pub state: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub work_mode: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub since: Cow<'a, str>,
}

/// An agent's connection to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallFacts<'a> {
    #[serde(borrow)]
    pub call: Cow<'a, str>,
    /// The interaction that the call belongs to, named by the call with which the customer contact began.
    #[serde(borrow)]
    pub interaction: Cow<'a, str>,
    pub role: Role,
    pub state: ConnectionState,
    /// When it was answered; while it rings, when that began.
    #[serde(borrow)]
    pub since: Cow<'a, str>,
    /// Set if the voice recorder records this agent in this call.
    #[serde(default)]
    pub voice: Voice,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Object::is_empty")]
    pub attached: Object<'a>,
}

impl CallFacts<'_> {
    /// Returns whether the call is established, if only on hold.
    pub fn is_up(&self) -> bool {
        self.state != ConnectionState::Ringing
    }
}

/// CSTA's local connection state, reduced to the values that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    Ringing,
    Up,
    Held,
}

impl ConnectionState {
    pub fn name(self) -> &'static str {
        match self {
            ConnectionState::Ringing => "ringing",
            ConnectionState::Up => "up",
            ConnectionState::Held => "held",
        }
    }
}

/// Why a stretch of footage belongs to an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A call with the customer, which the agent received or made.
    Primary,
    /// A call between agents, beside the customer's call.
    Consult,
    /// The agent was added to a call that already had an agent.
    Conference,
    /// A supervisor hears another agent's call.
    Monitor,
    /// A supervisor whispers: only the agent hears it.
    Coach,
    /// A supervisor speaks in another agent's call.
    Barge,
    AfterCallWork,
    /// Chats, mails and the like.
    Digital,
}

impl Role {
    pub const ALL: [Role; 8] = [
        Role::Primary,
        Role::Consult,
        Role::Conference,
        Role::Monitor,
        Role::Coach,
        Role::Barge,
        Role::AfterCallWork,
        Role::Digital,
    ];

    /// The part of somebody who serves no customer in this call but listens, whispers or joins.
    pub fn is_of_supervisor(self) -> bool {
        matches!(self, Role::Monitor | Role::Coach | Role::Barge)
    }

    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Consult => "consult",
            Role::Conference => "conference",
            Role::Monitor => "monitor",
            Role::Coach => "coach",
            Role::Barge => "barge",
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

/// The voice recorder's state for one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    #[default]
    Off,
    On,
    Paused,
}

impl Voice {
    pub fn name(self) -> &'static str {
        match self {
            Voice::Off => "off",
            Voice::On => "on",
            Voice::Paused => "paused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InteractionFacts<'a> {
    #[serde(borrow)]
    pub interaction: Cow<'a, str>,
    #[serde(borrow)]
    pub media: Cow<'a, str>,
    #[serde(borrow)]
    pub since: Cow<'a, str>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingFacts<'a> {
    #[serde(borrow)]
    pub since: Cow<'a, str>,
    pub capture: CaptureMode,
}

/// The part of the screen that a recording captures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMode {
    #[default]
    Live,
    /// Pixels are blanked.
    Masked,
    /// Nothing is captured.
    Paused,
}

impl CaptureMode {
    pub fn name(self) -> &'static str {
        match self {
            CaptureMode::Live => "live",
            CaptureMode::Masked => "masked",
            CaptureMode::Paused => "paused",
        }
    }
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyAnswer<S = Value> {
    pub state: S,
    #[serde(default)]
    pub decisions: Vec<Decision>,
}

/// One decision; docs/plugin-contract.md lists the actions and their fields. Repeating a decision that is in
/// force changes nothing, so a policy may repeat its wishes at each event.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// `start`, `stop`, `map`, ...
    pub action: Cow<'static, str>,
    /// The reason, for people.
    pub why: String,
    /// A handful at most, so a list is faster than a map.
    fields: Vec<(Cow<'static, str>, Value)>,
}

impl Decision {
    pub fn new(action: impl Into<Cow<'static, str>>, why: impl Into<String>) -> Self {
        Decision { action: action.into(), why: why.into(), fields: Vec::new() }
    }

    /// Wants footage until this policy decides `stop`.
    pub fn start(why: impl Into<String>) -> Self {
        Decision::new("start", why)
    }

    /// No longer wants footage.
    pub fn stop(why: impl Into<String>) -> Self {
        Decision::new("stop", why)
    }

    /// No footage until this policy decides `allow`, even if another policy wants it.
    pub fn forbid(why: impl Into<String>) -> Self {
        Decision::new("forbid", why)
    }

    /// No longer forbids footage.
    pub fn allow(why: impl Into<String>) -> Self {
        Decision::new("allow", why)
    }

    /// Ends the recording here. Another begins if footage is still wanted.
    pub fn split(why: impl Into<String>) -> Self {
        Decision::new("split", why)
    }

    /// A segment from now on, or from `from`, until the agent's part in the interaction ends, or the footage.
    pub fn map(why: impl Into<String>, interaction: &str, role: Role) -> Self {
        Decision::new("map", why).with("interaction", interaction).with("role", role.name())
    }

    /// Tells people that the policy could not decide as its settings demand. Changes nothing by itself: add
    /// the decisions that hold instead.
    pub fn problem(why: impl Into<String>) -> Self {
        Decision::new("problem", why)
    }

    /// Asks for a `timer` event after this time. Asking again under the same name replaces it.
    pub fn wake_after(why: impl Into<String>, name: &str, after_ms: u64) -> Self {
        Decision::new("wake_at", why).with("name", name).with("after_ms", after_ms)
    }

    /// Limits `start`, `stop`, `forbid`, `allow` or `map` to this call, and to the time for which the agent
    /// is in it.
    pub fn for_call(self, call: &str) -> Self {
        self.with("call", call)
    }

    pub fn with(mut self, field: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.set(field.into(), value.into());
        self
    }

    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The fields besides action and reason.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.fields.iter().map(|(name, value)| (&**name, value))
    }

    fn set(&mut self, name: Cow<'static, str>, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }
}

/// Written by hand, as is `Deserialize`: serde's `flatten` takes a detour, and policies decide at almost
/// every event.
impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2 + self.fields.len()))?;
        map.serialize_entry("action", &self.action)?;
        map.serialize_entry("why", &self.why)?;
        self.fields.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Decision;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decision: an object with `action` and `why`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Decision, A::Error> {
                let (mut action, mut why, mut read) = (None, None, Decision::new("", ""));
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "action" => action = Some(map.next_value::<String>()?),
                        "why" => why = Some(map.next_value()?),
                        _ => read.set(name.into(), map.next_value()?),
                    }
                }
                read.action = action.ok_or_else(|| A::Error::missing_field("action"))?.into();
                read.why = why.ok_or_else(|| A::Error::missing_field("why"))?;
                Ok(read)
            }
        }

        deserializer.deserialize_map(Read)
    }
}
