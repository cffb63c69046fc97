//! What feeds bring in and what policies decide about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A normalised interaction event. docs/plugin-contract.md lists the types and their fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// `call.established`, `agent.state`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// UTC, RFC 3339 with milliseconds.
    pub at: String,
    /// The fields of this type of event.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// What a policy decides from: its own earlier state and one event. It has no clock and no IO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What the policy returned as its state last time; null the first time.
    pub state: Value,
    pub event: Event,
}

/// A policy's answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub state: Value,
    pub decisions: Vec<Decision>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// `start`, `stop`, `pause`, `resume`, `mask`, `map`, `tag` or `wake_at`.
    pub action: String,
    /// The reason, for people.
    pub why: String,
    /// The fields of this action, which docs/plugin-contract.md lists.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}
