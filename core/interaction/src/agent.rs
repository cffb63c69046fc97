//! One agent's state at a moment.

use std::sync::Arc;

use deskreel_contract::{ConnectionState, Role, Voice};
use deskreel_model::event::Seat;
use deskreel_model::{AgentId, CallId, FeedName, InteractionId, Place, PolicyRules, TwoSeats, Utc};

use crate::footage::OpenFootage;
use crate::wishes::{Mapping, Wishes};

/// One agent. It is cloned before each event that touches it, so that the event can be undone. Long fields
/// are shared to keep that cheap.
#[derive(Debug, Clone)]
pub struct Agent {
    pub id: AgentId,
    pub presence: Presence,
    /// What changes seldom. It is shared, since each event clones the agent.
    pub(crate) profile: Arc<AgentProfile>,
    /// The sender's time of the last log-in or log-out.
    pub(crate) presence_told: Utc,
    pub media: Arc<Vec<Medium>>,
    /// Connections, in the order in which they began.
    pub connections: Vec<Arc<Connection>>,
    pub digital: Vec<DigitalInteraction>,
    /// One for each policy, in their order, then the wishes inherited from retired policies.
    pub(crate) wishes: Vec<Arc<Wishes>>,
    /// Requests of the agent desktop.
    pub(crate) requested: DesktopRequests,
    pub(crate) mappings: Arc<Vec<Mapping>>,
    /// Running footage, one for each place.
    pub(crate) open: Vec<Arc<OpenFootage>>,
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

#[derive(Debug, Clone, Default)]
pub(crate) struct AgentProfile {
    /// The log-ins that last, the newest last. The best of them says where the agent sits.
    pub log_ins: Vec<LogIn>,
    /// What the log-ins have said of devices, groups and skills.
    pub seat: Seat,
    /// Digital interactions that the agent has finished, the newest last.
    pub completed: Vec<(InteractionId, Utc)>,
}

/// A log-in that lasts: the feed that reported it, and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogIn {
    pub feed: Option<FeedName>,
    pub place: Option<Place>,
}

impl LogIn {
    /// An agent desktop runs on the PC that it names. Other feeds may only know the agent's usual place.
    pub fn is_of_desktop(&self) -> bool {
        self.feed.as_ref().is_some_and(FeedName::is_desktop)
    }
}

/// The agent's state in one medium.
#[derive(Debug, Clone)]
pub struct Medium {
    pub media: Arc<str>,
    pub json: Arc<str>,
    /// The sender's time of it.
    pub(crate) told: Utc,
}

/// CSTA's connection: this agent and one call.
#[derive(Debug, Clone)]
pub struct Connection {
    pub call: CallId,
    pub interaction: InteractionId,
    pub role: Role,
    pub state: ConnectionState,
    pub since: Utc,
    /// The devices that take part, if events name them.
    pub(crate) devices: Arc<[Device]>,
    /// Since when the agent holds the call.
    pub(crate) held: Option<Utc>,
    /// It rang at this agent: somebody else has called.
    pub(crate) was_rung: bool,
    /// Only the voice recorder has spoken of it.
    pub(crate) is_of_recorder: bool,
    pub voice: Voice,
    pub(crate) recordings: Arc<[VoiceRecording]>,
    /// The sender's time of the last event about them.
    pub(crate) voice_told: Utc,
    /// Since when the voice recorder has paused.
    pub voice_paused: Option<Utc>,
    /// Since when the attached data forbid showing the screen.
    pub hidden: Option<Utc>,
    pub details: Arc<CallDetails>,
    pub feed: Option<FeedName>,
    /// Set when events were lost: the connection's end may be among them.
    pub is_doubtful: bool,
    /// The sender's time of the last event about it.
    pub(crate) told: Utc,
    /// Its entry in a fact, as JSON.
    pub(crate) json: Arc<str>,
}

/// A device's part in a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Device {
    pub name: Box<str>,
    /// It is in the call, not only ringing.
    pub is_up: bool,
}

/// A recording of the voice in a call. Two recorders may record the same call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VoiceRecording {
    pub id: Option<Box<str>>,
    pub state: Voice,
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

#[derive(Debug, Clone)]
pub(crate) struct DesktopRequests {
    pub footage: bool,
    /// The sender's time of the last request.
    pub told: Utc,
    pub hold: Option<crate::wishes::Hold>,
}

impl Agent {
    pub(crate) fn new(id: AgentId, policies: usize) -> Self {
        let mut agent = Agent {
            id,
            presence: Presence::Unknown,
            profile: Arc::default(),
            presence_told: Utc::MIN,
            media: Arc::default(),
            connections: Vec::new(),
            digital: Vec::new(),
            wishes: vec![Arc::default(); policies],
            requested: DesktopRequests { footage: false, told: Utc::MIN, hold: None },
            mappings: Arc::default(),
            open: Vec::new(),
            split: None,
            reason: None,
            serial: 0,
            json: "".into(),
        };
        agent.json = crate::facts::agent_json(&agent);
        agent
    }

    /// Sits down where the best of the lasting log-ins says: the newest of a desktop, else the newest that
    /// names a place.
    pub(crate) fn sit(&mut self) {
        let with_place = self.profile.log_ins.iter().filter(|log_in| log_in.place.is_some());
        let best = with_place.max_by_key(|log_in| log_in.is_of_desktop());
        self.presence = Presence::In(best.and_then(|log_in| log_in.place.clone()));
    }

    /// A list that a log-in leaves out stays as it was.
    pub(crate) fn update_seat(&mut self, new: &Seat) {
        let seat = &mut Arc::make_mut(&mut self.profile).seat;
        for (known, new) in [
            (&mut seat.devices, &new.devices),
            (&mut seat.groups, &new.groups),
            (&mut seat.skills, &new.skills),
        ] {
            if !new.is_empty() {
                known.clone_from(new);
            }
        }
    }

    /// The places at which the agent is recorded: the seat or, if the rules say so, all seats; `None` is one
    /// that nobody knows.
    pub(crate) fn recorded_places(&self, rules: &PolicyRules) -> Vec<Option<Place>> {
        let Presence::In(seat) = &self.presence else {
            return if self.is_out() { Vec::new() } else { vec![None] };
        };
        let mut places = vec![seat.clone()];
        if rules.two_seats == TwoSeats::All {
            // Beside a desktop, other feeds only know an agent's usual place.
            let has_desktop = self.profile.log_ins.iter().any(LogIn::is_of_desktop);
            let lasting = self.profile.log_ins.iter().filter(|log_in| !has_desktop || log_in.is_of_desktop());
            for place in lasting.filter_map(|log_in| log_in.place.clone()) {
                if !places.contains(&Some(place.clone())) {
                    places.push(Some(place));
                }
            }
        }
        places
    }

    /// Forgets what belongs to an earlier working day.
    pub(crate) fn forget_day(&mut self) {
        self.digital.clear();
        self.media = Arc::default();
        self.end_mappings(|mapping| mapping.call.is_none());
        (self.requested.footage, self.requested.hold) = (false, None);
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

    pub(crate) fn connection_mut(&mut self, index: usize) -> &mut Connection {
        Arc::make_mut(&mut self.connections[index])
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
            devices: Arc::default(),
            held: None,
            was_rung: false,
            is_of_recorder: false,
            voice: Voice::Off,
            recordings: Arc::default(),
            voice_told: Utc::MIN,
            voice_paused: None,
            hidden: None,
            details: Arc::default(),
            feed,
            is_doubtful: false,
            told: since,
            json: "".into(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.state != ConnectionState::Ringing
    }
}
