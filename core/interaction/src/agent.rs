//! One agent's state at a moment.

use std::sync::Arc;

use deskreel_contract::{ConnectionState, Role, Voice};
use deskreel_model::{AgentId, CallId, FeedName, InteractionId, Place, Utc};

use crate::footage::OpenFootage;
use crate::wishes::{Mapping, Wishes};

/// One agent. It is cloned before each event that touches it, so that the event can be undone. Long fields
/// are shared to keep that cheap.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    pub presence: Presence,
    pub media: Arc<Vec<Medium>>,
    /// Connections, in the order in which they began.
    pub connections: Vec<Connection>,
    pub digital: Vec<DigitalInteraction>,
    /// One for each policy, in their order, then the wishes inherited from retired policies.
    pub(crate) wishes: Vec<Arc<Wishes>>,
    /// Requests of the agent desktop.
    pub(crate) requested: DesktopRequests,
    pub(crate) mappings: Arc<Vec<Mapping>>,
    /// Running footage.
    pub(crate) open: Option<Arc<OpenFootage>>,
    /// Within one step: why the footage is to be split.
    pub(crate) split: Option<Arc<str>>,
    /// Within one step: why the last wish for the footage ended.
    pub(crate) reason: Option<Arc<str>>,
    /// Last serial number given to footage or a mapping of this agent.
    pub(crate) serial: u32,
    /// The `agent` of a fact, as JSON.
    pub(crate) json: Arc<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// No log-in or log-out is known; an agent who is in a call is taken to be present.
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
    /// Since when the voice recorder has paused.
    pub voice_paused: Option<Utc>,
    /// Since when the attached data forbid showing the screen.
    pub hidden: Option<Utc>,
    pub details: Arc<CallDetails>,
    pub feed: Option<FeedName>,
    /// Set when events were lost: the connection's end may be among them.
    pub is_doubtful: bool,
    /// Its entry in a fact, as JSON.
    pub(crate) json: Arc<str>,
}

/// Details of a call from its events, for one agent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallDetails {
    pub device: Option<Box<str>>,
    pub direction: Option<Box<str>>,
    pub call_type: Option<Box<str>>,
    /// A JSON object.
    pub attached: Option<Box<str>>,
}

/// A chat, a mail or the like that the agent has accepted.
#[derive(Debug, Clone)]
pub struct DigitalInteraction {
    pub interaction: InteractionId,
    pub(crate) json: Arc<str>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct DesktopRequests {
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
            requested: DesktopRequests::default(),
            mappings: Arc::default(),
            open: None,
            split: None,
            reason: None,
            serial: 0,
            json: "".into(),
        };
        agent.json = crate::facts::agent_json(&agent, &Default::default());
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
    pub(crate) fn new(
        call: CallId,
        interaction: InteractionId,
        role: Role,
        state: ConnectionState,
        since: Utc,
        feed: Option<FeedName>,
    ) -> Self {
        Connection {
            call,
            interaction,
            role,
            state,
            since,
            voice: Voice::Off,
            voice_paused: None,
            hidden: None,
            details: Arc::default(),
            feed,
            is_doubtful: false,
            json: "".into(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.state != ConnectionState::Ringing
    }
}
