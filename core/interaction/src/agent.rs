//! What is known of one agent at a moment.

use std::sync::Arc;

use deskreel_contract::{ConnectionState, Role, Voice};
use deskreel_model::{AgentId, CallId, FeedName, InteractionId, Place, Utc};

use crate::settle::Open;
use crate::wishes::{Mapping, Wishes};

/// One agent. Cloned before each event that touches it, so that the event can be undone: everything that is long is
/// shared.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    pub presence: Presence,
    pub media: Arc<Vec<Medium>>,
    /// In the order in which they began.
    pub connections: Vec<Connection>,
    pub digital: Vec<Digital>,
    /// One for each policy, in their order; behind them what is left of earlier ones.
    pub(crate) wishes: Vec<Arc<Wishes>>,
    /// What was asked for by the agent desktop.
    pub(crate) requested: Requested,
    pub(crate) mappings: Arc<Vec<Mapping>>,
    /// Footage that runs.
    pub(crate) open: Option<Arc<Open>>,
    /// Within one step: that the footage is to be split, and why the last wish for it ended.
    pub(crate) split: Option<Arc<str>>,
    pub(crate) reason: Option<Arc<str>>,
    /// Counts what of this agent was numbered: footage, and mappings.
    pub(crate) serial: u32,
    /// `agent` and `media` of a fact, ready to be written.
    pub(crate) json: Arc<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// Nothing was heard; whoever is in a call is taken to be there.
    Unknown,
    In(Option<Place>),
    Out {
        since: Utc,
    },
}

/// The agent's state in one medium.
#[derive(Debug, Clone)]
pub struct Medium {
    pub media: Arc<str>,
    pub json: Arc<str>,
}

/// CSTA's connection: this agent and one call.
#[derive(Debug, Clone)]
pub struct Connection {
    pub call: CallId,
    pub interaction: InteractionId,
    pub role: Role,
    pub state: ConnectionState,
    pub since: Utc,
    pub voice: Voice,
    /// Since when the voice recorder pauses.
    pub voice_paused: Option<Utc>,
    /// The attached data say that nothing may be seen, since then.
    pub hidden: Option<Utc>,
    pub about: Arc<About>,
    pub feed: Option<FeedName>,
    /// Events were lost: its end may be among them.
    pub is_doubtful: bool,
    /// As it stands in a fact.
    pub(crate) json: Arc<str>,
}

/// What a call event said of the call, for this agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    pub device: Option<Box<str>>,
    pub direction: Option<Box<str>>,
    pub call_type: Option<Box<str>>,
    /// JSON.
    pub attached: Option<Box<str>>,
}

/// A chat, a mail or the like that the agent has accepted.
#[derive(Debug, Clone)]
pub struct Digital {
    pub interaction: InteractionId,
    pub(crate) json: Arc<str>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Requested {
    pub footage: bool,
    pub hold: Option<crate::wishes::Hold>,
}

impl Agent {
    pub(crate) fn new(id: AgentId, policies: usize) -> Self {
        let mut agent = Agent {
            id,
            presence: Presence::Unknown,
            media: Arc::default(),
            connections: Vec::new(),
            digital: Vec::new(),
            wishes: vec![Arc::default(); policies],
            requested: Requested::default(),
            mappings: Arc::default(),
            open: None,
            split: None,
            reason: None,
            serial: 0,
            json: "".into(),
        };
        agent.json = crate::facts::agent(&agent, &Default::default());
        agent
    }

    pub fn place(&self) -> Option<&Place> {
        match &self.presence {
            Presence::In(place) => place.as_ref(),
            Presence::Unknown | Presence::Out { .. } => None,
        }
    }

    pub fn is_out(&self) -> bool {
        matches!(self.presence, Presence::Out { .. })
    }

    pub(crate) fn connection(&self, call: &CallId) -> Option<usize> {
        self.connections.iter().position(|connection| connection.call == *call)
    }

    pub(crate) fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }
}

impl Connection {
    pub fn is_up(&self) -> bool {
        self.state != ConnectionState::Ringing
    }
}
