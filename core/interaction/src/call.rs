//! One call's state at a moment: the part that concerns all its agents.
//!
//! Telephone systems use the ids of calls again, some within minutes. A call is therefore its id *and* its
//! beginning. After its end it is remembered for a day, so that an event that comes late, or once more,
//! begins nothing.

use std::time::Duration;

use deskreel_model::{AgentId, CallId, InteractionId, Utc};

/// Time after an agent has left a call within which the same id still means this call: the customer is put
/// through to somebody else, and some systems report only the two ends of that.
const CONTINUES: Duration = Duration::from_secs(5);
/// Time after the end for everyone within which an event of another feed may still report the call as up.
const STRAGGLES: Duration = Duration::from_secs(2);
/// Time for which the old id of a call still means it, even if somebody joins: feeds learn of a new id one
/// after another.
const ALIAS: Duration = Duration::from_secs(60);
/// Time after an agent has left a call in which the voice recorder's events about it are of that call.
const VOICE_STRAGGLES: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub interaction: InteractionId,
    /// Time of its first event.
    pub began: Utc,
    /// Agents who are connected to the call, or whose phone rings.
    pub agents: Vec<AgentId>,
    /// Agents who were added to a conference and are not connected yet.
    pub invited: Vec<AgentId>,
    /// Set for a consultation.
    pub parent: Option<ParentCall>,
    /// Set while nobody is in it.
    pub ending: Option<Ending>,
    /// The last time at which each agent left it.
    pub departures: Vec<Departure>,
    /// The call has got another id.
    pub rename: Option<Rename>,
    /// The attached data that came last, as JSON.
    pub attached: Option<Box<str>>,
    /// An earlier call with this id has given its name to an interaction.
    is_name_taken: bool,
    /// When the last call with this id had its last event.
    before: Option<Utc>,
    /// Time of the last event about it.
    pub touched: Utc,
}

/// The call that waits while agents consult.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParentCall {
    pub id: CallId,
    /// An event says so; otherwise it was concluded from who holds which call.
    pub is_stated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ending {
    pub at: Utc,
    pub kind: EndingKind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum EndingKind {
    /// The customer may still be there, and waits for an agent.
    Waiting,
    /// The voice recorder has stopped, and the switch has never spoken of the call.
    Silent,
    /// The last agent has left it.
    Left,
    /// An event says that it is over for everyone.
    Over,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Departure {
    pub agent: AgentId,
    pub at: Utc,
    pub kind: EndingKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rename {
    pub to: CallId,
    pub at: Utc,
}

/// The meaning of a call's id in an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum IdMeaning {
    /// The call that is known.
    Known,
    /// Another call, with the same id.
    Another,
    /// A call that is over: the event is old.
    Past,
}

impl Call {
    /// Begins a call. `before` is the last call with this id, which may be long over.
    pub fn new(id: &CallId, at: Utc, before: Option<&Call>) -> Call {
        let is_named = |interaction: &InteractionId| {
            let rest = interaction.as_str().strip_prefix(id.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
        };
        let is_name_taken = before.is_some_and(|call| call.is_name_taken || is_named(&call.interaction));
        let interaction = match is_name_taken {
            false => InteractionId(id.0.clone()),
            true => InteractionId(format!("{id}@{at}").into()),
        };
        Call {
            interaction,
            began: at,
            agents: Vec::new(),
            invited: Vec::new(),
            parent: None,
            ending: None,
            departures: Vec::new(),
            rename: None,
            attached: None,
            is_name_taken,
            before: before.map(|call| call.touched),
            touched: at,
        }
    }

    /// The meaning of this call's id in an event at `at`, which its sender wrote at `told`, and by which
    /// `agent` is in the call.
    pub fn meaning(
        &self,
        agent: &AgentId,
        attached: Option<&str>,
        (at, told): (Utc, Utc),
        longest: Duration,
    ) -> IdMeaning {
        if self.agents.contains(agent) {
            return IdMeaning::Known;
        }
        if self.before.is_some_and(|before| told < before)
            || self.departures.iter().any(|departure| departure.agent == *agent && told < departure.at)
        {
            return IdMeaning::Past;
        }
        if self.rename.is_some() {
            return IdMeaning::Another;
        }
        let Some(ending) = self.ending else { return IdMeaning::Known };
        if told < ending.at {
            return IdMeaning::Past;
        }
        let since = at.saturating_since(ending.at);
        match ending.kind {
            EndingKind::Waiting | EndingKind::Silent if since <= longest => IdMeaning::Known,
            EndingKind::Left if since <= CONTINUES && !self.contradicts(attached) => IdMeaning::Known,
            EndingKind::Over if since <= STRAGGLES => IdMeaning::Past,
            _ => IdMeaning::Another,
        }
    }

    /// Returns whether the voice recorder's word about an agent who has left is still about this call.
    pub fn is_settling(&self, agent: &AgentId, at: Utc) -> bool {
        let of_agent = self.departures.iter().filter(|departure| departure.agent == *agent);
        let ends = of_agent.map(|departure| (departure.at, departure.kind));
        let ends = ends.chain(self.ending.map(|ending| (ending.at, ending.kind)));
        let ended = ends.filter(|(_, kind)| *kind != EndingKind::Silent).map(|(at, _)| at).max();
        ended.is_some_and(|ended| at.saturating_since(ended) <= VOICE_STRAGGLES)
    }

    /// The new id, if at `at` the old one still means the call for somebody who joins.
    pub fn alias(&self, at: Utc) -> Option<&CallId> {
        self.rename.as_ref().filter(|rename| at.saturating_since(rename.at) <= ALIAS).map(|rename| &rename.to)
    }

    /// Removes an agent, and remembers when.
    pub fn depart(&mut self, agent: &AgentId, at: Utc, kind: EndingKind) {
        self.agents.retain(|known| known != agent);
        match self.departures.iter_mut().find(|departure| departure.agent == *agent) {
            Some(departure) => (departure.at, departure.kind) = (departure.at.max(at), kind),
            None => self.departures.push(Departure { agent: agent.clone(), at, kind }),
        }
        if self.agents.is_empty() && self.ending.is_none() {
            let kind = if self.parent.is_some() { EndingKind::Over } else { kind };
            self.ending = Some(Ending { at, kind });
        }
    }

    /// Adds an agent, unless it is there already.
    pub fn join(&mut self, agent: &AgentId) {
        self.invited.retain(|invited| invited != agent);
        (self.ending, self.rename) = (None, None);
        if !self.agents.contains(agent) {
            self.agents.push(agent.clone());
        }
    }

    /// Ends it for everyone. Its agents have departed.
    pub fn end(&mut self, at: Utc) {
        self.ending = Some(Ending { at, kind: EndingKind::Over });
    }

    /// Returns whether these attached data are another customer's: a key has another value.
    fn contradicts(&self, attached: Option<&str>) -> bool {
        let read = |json: &str| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json).ok();
        let (Some(known), Some(new)) = (self.attached.as_deref().and_then(read), attached.and_then(read))
        else {
            return false;
        };
        known.iter().any(|(key, value)| new.get(key).is_some_and(|other| other != value))
    }
}
