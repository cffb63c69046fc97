//! The segment table: assigns stretches of an agent's footage to interactions.
//!
//! A recording is continuous footage of one agent; a segment is the part of it that belongs to an
//! interaction. Times are those of the events, so that the same events yield the same table; the manifest
//! says when footage really began.

use std::time::Duration;

use deskreel_contract::{CaptureMode, Role};
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, CallId, InteractionId, Place};
use crate::time::Utc;

/// Footage of one agent, as decided by the policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footage {
    pub agent: AgentId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    pub from: Utc,
    /// `None` while it lasts.
    pub to: Option<Utc>,
    pub why: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_ended: Option<String>,
    /// Stretches in which nothing, or a slate, was captured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<WithheldPeriod>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Segments, in the order in which they began.
    pub segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    pub interaction: InteractionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    pub role: Role,
    pub from: Utc,
    pub to: Option<Utc>,
    /// Milliseconds from the start of the footage.
    pub offset_ms: u64,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WithheldPeriod {
    pub capture: CaptureMode,
    pub from: Utc,
    pub to: Option<Utc>,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    pub name: String,
    pub value: String,
}

impl Footage {
    pub fn duration(&self) -> Option<Duration> {
        self.to.map(|to| to.saturating_since(self.from))
    }
}
