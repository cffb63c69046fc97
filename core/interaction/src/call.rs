//! One call's state at a moment: the part that concerns all its agents.
//!
//! Telephone systems use the ids of calls again, some within minutes. A call is therefore its id *and* its
//! beginning. After its end it is remembered for a day, so that an event that comes late, or once more,
//! begins nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deskreel_model::event::CallFields;
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

/// Each event clones the call, so what changes seldom is shared.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub interaction: InteractionId,
    /// Time of its first event.
    pub began: Utc,
    /// Time of the last event about it.
    pub touched: Utc,
    /// Agents who are connected to the call, or whose phone rings.
    pub agents: Vec<AgentId>,
    /// Set while nobody is in it.
    pub ending: Option<Ending>,
    pub history: Arc<CallHistory>,
}

/// What has happened to a call, and to earlier ones with its id.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallHistory {
    /// Agents who were added to a conference and are not connected yet.
    pub invited: Vec<AgentId>,
    /// Set for a consultation.
    pub parent: Option<ParentCall>,
    /// The last time at which each agent left it.
    pub departures: Vec<Departure>,
    /// The call has got another id.
    pub rename: Option<Rename>,
    /// The attached data as they came, each a JSON object; the newest last.
    attached: Vec<Arc<str>>,
    direction: Option<Arc<str>>,
    call_type: Option<Arc<str>>,
    /// Stretches on hold by any of its agents; the end is `None` while it lasts.
    held: Vec<(Utc, Option<Utc>)>,
    /// The last call with this id.
    previous: Option<Arc<Call>>,
    /// Its summary and attached data are forgotten.
    pub is_compact: bool,
    /// An earlier call with this id has given its name to an interaction.
    is_name_taken: bool,
    /// When the last call with this id had its last event.
    before: Option<Utc>,
}

/// What people look up a call by, and its times on hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallSummary {
    pub direction: Option<String>,
    pub call_type: Option<String>,
    /// All attached data that came, each key with its last value.
    pub attached: BTreeMap<String, String>,
    /// Stretches on hold by any of its agents; the end is `None` while it lasts.
    pub held: Vec<(Utc, Option<Utc>)>,
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
    pub fn new(id: &CallId, at: Utc, before: Option<&Arc<Call>>) -> Call {
        let is_named = |interaction: &InteractionId| {
            let rest = interaction.as_str().strip_prefix(id.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
        };
        let is_name_taken =
            before.is_some_and(|call| call.history.is_name_taken || is_named(&call.interaction));
        let interaction = match is_name_taken {
            false => InteractionId(id.0.clone()),
            true => InteractionId(format!("{id}@{at}").into()),
        };
        let history = CallHistory {
            previous: before.map(|call| {
                let history = CallHistory { previous: None, ..(*call.history).clone() };
                Arc::new(Call { history: history.into(), ..(**call).clone() })
            }),
            is_name_taken,
            before: before.map(|call| call.touched),
            ..CallHistory::default()
        };
        Call {
            interaction,
            began: at,
            touched: at,
            agents: Vec::new(),
            ending: None,
            history: history.into(),
        }
    }

    pub fn history_mut(&mut self) -> &mut CallHistory {
        Arc::make_mut(&mut self.history)
    }

    /// The call of this interaction that has, or last had, this call's id.
    pub fn of_interaction(&self, interaction: &InteractionId) -> Option<&Call> {
        let previous = self.history.previous.as_deref();
        [Some(self), previous].into_iter().flatten().find(|call| call.interaction == *interaction)
    }

    /// Keeps what an event says of the call.
    pub fn note_fields(&mut self, fields: &CallFields) {
        let known = &self.history;
        if let Some(new) = &fields.attached
            && known.attached.last().is_none_or(|known| **known != **new)
        {
            let attached = &mut self.history_mut().attached;
            attached.retain(|known| **known != **new);
            attached.push((**new).into());
        }
        let known = &self.history;
        let is_new = |known: &Option<Arc<str>>, new: &Option<Box<str>>| known.is_none() && new.is_some();
        if is_new(&known.direction, &fields.direction) || is_new(&known.call_type, &fields.call_type) {
            let known = self.history_mut();
            let text = |text: &Option<Box<str>>| text.as_deref().map(Into::into);
            known.direction = known.direction.take().or_else(|| text(&fields.direction));
            known.call_type = known.call_type.take().or_else(|| text(&fields.call_type));
        }
    }

    /// It is another call under a new id: what is known of that one holds for it, too.
    pub fn continue_history(&mut self, before: &CallHistory) {
        let history = self.history_mut();
        history.parent.clone_from(&before.parent);
        history.invited.extend(before.invited.iter().cloned());
        history.direction = before.direction.clone().or(history.direction.take());
        history.call_type = before.call_type.clone().or(history.call_type.take());
        history.attached.splice(..0, before.attached.iter().cloned());
        history.held.splice(..0, before.held.iter().copied());
    }

    /// An agent has put it on hold, or has taken it off.
    pub fn note_hold(&mut self, is_held: bool, at: Utc) {
        let is_open = self.history.held.last().is_some_and(|(_, to)| to.is_none());
        if is_open == is_held {
            return;
        }
        let held = &mut self.history_mut().held;
        match held.last_mut().filter(|_| !is_held) {
            Some((_, to)) => *to = Some(at),
            None => held.push((at, None)),
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
        if self.history.before.is_some_and(|before| told < before)
            || self
                .history
                .departures
                .iter()
                .any(|departure| departure.agent == *agent && told < departure.at)
        {
            return IdMeaning::Past;
        }
        if self.history.rename.is_some() {
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

    /// Returns whether the agent left this call so recently that the voice recorder may still report on it.
    pub fn is_settling(&self, agent: &AgentId, at: Utc) -> bool {
        let of_agent = self.history.departures.iter().filter(|departure| departure.agent == *agent);
        let ends = of_agent.map(|departure| (departure.at, departure.kind));
        let ends = ends.chain(self.ending.map(|ending| (ending.at, ending.kind)));
        let ended = ends.filter(|(_, kind)| *kind != EndingKind::Silent).map(|(at, _)| at).max();
        ended.is_some_and(|ended| at.saturating_since(ended) <= VOICE_STRAGGLES)
    }

    /// The new id, if at `at` the old one still means the call for somebody who joins.
    pub fn alias(&self, at: Utc) -> Option<&CallId> {
        self.history
            .rename
            .as_ref()
            .filter(|rename| at.saturating_since(rename.at) <= ALIAS)
            .map(|rename| &rename.to)
    }

    /// Keeps only what an event that comes late may ask for: a day of a large contact center has 400,000
    /// calls.
    pub fn compact(&mut self) {
        self.agents = Vec::new();
        let history = self.history_mut();
        (history.previous, history.is_compact) = (None, true);
        (history.attached, history.held, history.invited) = (Vec::new(), Vec::new(), Vec::new());
        (history.direction, history.call_type) = (None, None);
        history.departures.shrink_to_fit();
    }

    /// Removes an agent, and remembers when.
    pub fn depart(&mut self, agent: &AgentId, at: Utc, kind: EndingKind) {
        self.agents.retain(|known| known != agent);
        let departures = &mut self.history_mut().departures;
        match departures.iter_mut().find(|departure| departure.agent == *agent) {
            Some(departure) => (departure.at, departure.kind) = (departure.at.max(at), kind),
            None => departures.push(Departure { agent: agent.clone(), at, kind }),
        }
        if self.agents.is_empty() && self.ending.is_none() {
            let kind = if self.history.parent.is_some() { EndingKind::Over } else { kind };
            self.ending = Some(Ending { at, kind });
        }
    }

    /// Adds an agent, unless it is there already.
    pub fn join(&mut self, agent: &AgentId) {
        if self.history.invited.contains(agent) {
            self.history_mut().invited.retain(|invited| invited != agent);
        }
        if self.history.rename.is_some() {
            self.history_mut().rename = None;
        }
        self.ending = None;
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
        let known = self.history.attached.last().and_then(|attached| read_object(attached));
        let (Some(known), Some(new)) = (known, attached.and_then(read_object)) else {
            return false;
        };
        known.iter().any(|(key, value)| new.get(key).is_some_and(|other| other != value))
    }
}

impl CallHistory {
    pub fn summary(&self) -> CallSummary {
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let attached = self.attached.iter().filter_map(|attached| read_object(attached)).flatten();
        let attached = attached.map(|(key, value)| match value {
            serde_json::Value::String(text) => (key, text),
            other => (key, other.to_string()),
        });
        CallSummary {
            direction: text(&self.direction),
            call_type: text(&self.call_type),
            attached: attached.collect(),
            held: self.held.clone(),
        }
    }
}

fn read_object(json: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(json).ok()
}
