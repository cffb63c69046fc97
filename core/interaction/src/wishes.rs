//! What each policy wants of one agent, from its decisions.
//!
//! A policy may want footage, or forbid it: for a call, or altogether. What it says of a call ends with the agent's
//! connection to it. To say again what holds already changes nothing, and brings no line into the record.

use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::{Capture, Decision, Role};
use deskreel_model::{CallId, InteractionId, Utc};
use serde_json::Value;

use crate::agent::Agent;
use crate::settle::Decided;

#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// Of policies that are asked no more: nothing that later ones forbid touches it.
    pub is_inherited: bool,
    /// The policy's own, as JSON.
    pub state: Arc<str>,
    pub wants: Vec<Want>,
    pub forbids: Vec<Forbid>,
    pub hold: Option<Hold>,
    pub wakes: Vec<Wake>,
}

/// Footage, for a call or altogether.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub call: Option<CallId>,
    pub why: Arc<str>,
    /// It ends then.
    pub until: Option<(Utc, Arc<str>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Forbid {
    pub call: Option<CallId>,
    pub why: Arc<str>,
}

/// Less than the screen is to be captured.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub capture: Capture,
    pub why: Arc<str>,
    pub until: Option<Utc>,
}

#[derive(Debug, Clone)]
pub(crate) struct Wake {
    pub name: Box<str>,
    pub at: Utc,
}

/// That footage, as far as there is any, belongs to an interaction.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub serial: u32,
    pub interaction: InteractionId,
    pub call: Option<CallId>,
    pub role: Role,
    pub from: Utc,
    /// Whoever wants it in any case.
    pub always: Option<Reach>,
    /// Whoever wants it only where the footage belongs to nothing that was mapped in this way before.
    pub first: Option<Reach>,
    pub why: Arc<str>,
    pub ended: Ended,
}

/// How far a segment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// To the end of the agent's part in the interaction.
    Part,
    /// To the end of the footage.
    Footage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ended {
    No,
    /// With this event.
    Now,
    At(Utc),
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes {
            is_inherited: false,
            state: "null".into(),
            wants: Vec::new(),
            forbids: Vec::new(),
            hold: None,
            wakes: Vec::new(),
        }
    }
}

impl Agent {
    /// Other policies are asked from now on. What the earlier ones wanted of calls goes on until the agent leaves
    /// them: no rule changes in mid-call.
    pub(crate) fn change_policies(&mut self, policies: usize) {
        let mut inherited = Wishes { is_inherited: true, ..Wishes::default() };
        for wishes in self.wishes.drain(..) {
            inherited.wants.extend(wishes.wants.iter().filter(|want| want.call.is_some()).cloned());
            inherited.forbids.extend(wishes.forbids.iter().filter(|forbid| forbid.call.is_some()).cloned());
        }
        self.wishes = vec![Arc::default(); policies];
        self.wishes.push(inherited.into());
        self.reason = Some("the policies were changed".into());
    }

    /// Takes a decision in; notes it where it changes something. An error says what a policy may not say.
    pub(crate) fn obey(
        &mut self,
        (policy, id): (usize, &Arc<str>),
        decision: &Decision,
        at: Utc,
        note: &mut impl FnMut(Decided),
    ) -> Result<(), String> {
        let fields = Fields(decision);
        let call = fields.text("call").map(CallId::from);
        let why: Arc<str> = decision.why.as_str().into();
        // It came too late, or of another's call.
        if call.as_ref().is_some_and(|call| self.connection(call).is_none()) && decision.action != "map" {
            return Ok(());
        }
        let wishes = Arc::make_mut(&mut self.wishes[policy]);
        let about = |c: &Option<CallId>| *c == call;
        let changed = match decision.action.as_str() {
            "start" => match wishes.wants.iter_mut().find(|want| about(&want.call)) {
                Some(want) => want.until.take().is_some(),
                None => {
                    wishes.wants.push(Want { call: call.clone(), why: why.clone(), until: None });
                    true
                }
            },
            "stop" => {
                match (fields.milliseconds("after_ms")?, wishes.wants.iter_mut().find(|w| about(&w.call))) {
                    (_, None) => false,
                    (Some(after), Some(want)) if !after.is_zero() => {
                        let is_new = want.until.is_none();
                        want.until.get_or_insert_with(|| (at.plus(after), why.clone()));
                        is_new
                    }
                    (_, Some(_)) => {
                        wishes.wants.retain(|want| !about(&want.call));
                        self.reason = Some(why.clone());
                        true
                    }
                }
            }
            "forbid" => {
                let is_new = !wishes.forbids.iter().any(|forbid| about(&forbid.call));
                if is_new {
                    wishes.forbids.push(Forbid { call: call.clone(), why: why.clone() });
                    self.reason = Some(why.clone());
                }
                is_new
            }
            "allow" => {
                let before = wishes.forbids.len();
                wishes.forbids.retain(|forbid| !about(&forbid.call));
                wishes.forbids.len() < before
            }
            action @ ("pause" | "mask") => {
                let capture = if action == "pause" { Capture::Paused } else { Capture::Masked };
                let until = fields.milliseconds("limit_ms")?.map(|limit| soon(at, limit));
                let is_new = wishes.hold.as_ref().is_none_or(|hold| hold.capture != capture);
                if is_new {
                    wishes.hold = Some(Hold { capture, why: why.clone(), until });
                }
                is_new
            }
            "resume" => wishes.hold.take().is_some(),
            "split" => {
                self.split.get_or_insert_with(|| why.clone());
                self.open.is_some()
            }
            "tag" => self.tag(fields.need("name")?, fields.text("value").unwrap_or_default()),
            "wake_at" => {
                let name = fields.text("name").unwrap_or_default();
                wishes.wakes.retain(|wake| &*wake.name != name);
                let due = match (fields.time("at")?, fields.milliseconds("after_ms")?) {
                    (Some(due), _) => Some(due),
                    (None, Some(after)) => Some(soon(at, after)),
                    (None, None) => None,
                };
                wishes
                    .wakes
                    .extend(due.map(|due| Wake { name: name.into(), at: due.max(soon(at, Duration::ZERO)) }));
                false
            }
            "map" => self.map(&fields, call.clone(), &why, at)?,
            other => return Err(format!("there is no action `{other}`")),
        };
        if changed {
            let (policy, action) = (id.clone(), decision.action.as_str().into());
            note(Decided { agent: self.id.clone(), at, policy, action, call, why });
        }
        Ok(())
    }

    fn map(
        &mut self,
        fields: &Fields<'_>,
        call: Option<CallId>,
        why: &Arc<str>,
        at: Utc,
    ) -> Result<bool, String> {
        let interaction = InteractionId::from(fields.need("interaction")?);
        let role = fields.need("role")?;
        let role = Role::ALL.into_iter().find(|known| known.name() == role);
        let role =
            role.ok_or_else(|| format!("`role` of `map` is `{}`", fields.text("role").unwrap_or_default()))?;
        // What a call belongs to, and why the agent is in it, is known better here.
        let connection =
            call.as_ref().filter(|_| role != Role::AfterCallWork).map(|call| self.connection(call));
        let (interaction, role) = match connection {
            Some(Some(index)) => (self.connections[index].interaction.clone(), self.connections[index].role),
            // It came too late, or of another's call.
            Some(None) if fields.text("to").is_none() => return Ok(false),
            _ => (interaction, role),
        };
        let reach = match fields.text("until") {
            None | Some("part") => Reach::Part,
            Some("recording") => Reach::Footage,
            Some(other) => {
                return Err(format!("`until` of `map` is `{other}`; it may be `part` or `recording`"));
            }
        };
        let known = self.mappings.iter_mut().find(|mapping| {
            mapping.ended == Ended::No
                && mapping.interaction == interaction
                && mapping.call == call
                && mapping.role == role
        });
        if let Some(to) = fields.time("to")? {
            let Some(known) = known else { return Ok(false) };
            known.ended = Ended::At(to);
            return Ok(true);
        }
        let is_first = fields.is("first");
        if let Some(known) = known {
            let wanted = if is_first { &mut known.first } else { &mut known.always };
            let before = *wanted;
            *wanted = before.max(Some(reach));
            return Ok(*wanted != before);
        }
        let from = fields.time("from")?.unwrap_or(at).min(at);
        let (always, first) = if is_first { (None, Some(reach)) } else { (Some(reach), None) };
        let (serial, why) = (self.next_serial(), why.clone());
        self.mappings.push(Mapping {
            serial,
            interaction,
            call,
            role,
            from,
            always,
            first,
            why,
            ended: Ended::No,
        });
        Ok(true)
    }

    /// The agent's part in a call is over, and with it what was wanted for it.
    pub(crate) fn left(&mut self, call: &CallId) {
        let is_of_call = |of: &Option<CallId>| of.as_ref() == Some(call);
        for wishes in &mut self.wishes {
            let of_wants = wishes.wants.iter().any(|want| is_of_call(&want.call));
            if !of_wants && !wishes.forbids.iter().any(|forbid| is_of_call(&forbid.call)) {
                continue;
            }
            let wishes = Arc::make_mut(wishes);
            wishes.wants.retain(|want| !is_of_call(&want.call));
            if of_wants {
                self.reason = Some(format!("the agent has left call {call}").into());
            }
            wishes.forbids.retain(|forbid| !is_of_call(&forbid.call));
        }
        self.end_mappings(|mapping| {
            mapping.call.as_ref() == Some(call) && mapping.role != Role::AfterCallWork
        });
    }

    pub(crate) fn end_mappings(&mut self, ends: impl Fn(&Mapping) -> bool) {
        for mapping in self.mappings.iter_mut().filter(|mapping| mapping.ended == Ended::No && ends(mapping))
        {
            mapping.ended = Ended::Now;
        }
    }

    /// The call goes on under another id.
    pub(crate) fn rename(&mut self, old: &CallId, new: &CallId) {
        let calls = self.wishes.iter_mut().map(Arc::make_mut).flat_map(|wishes| {
            let wants = wishes.wants.iter_mut().map(|want| &mut want.call);
            wants.chain(wishes.forbids.iter_mut().map(|forbid| &mut forbid.call))
        });
        // Wrap-up is of the call as it was.
        let mappings = self.mappings.iter_mut().filter(|mapping| mapping.role != Role::AfterCallWork);
        let calls = calls.chain(mappings.map(|mapping| &mut mapping.call));
        for call in calls.filter(|call| call.as_ref() == Some(old)) {
            *call = Some(new.clone());
        }
    }

    /// Something is known better now of the agent's part in a call.
    pub(crate) fn amend(&mut self, call: &CallId, interaction: &InteractionId, role: Role) {
        let of_call = |mapping: &&mut Mapping| {
            mapping.call.as_ref() == Some(call)
                && mapping.role != Role::AfterCallWork
                && mapping.ended == Ended::No
        };
        for mapping in self.mappings.iter_mut().filter(of_call) {
            mapping.interaction = interaction.clone();
            mapping.role = role;
            if let Some(open) = self.open.as_mut().map(Arc::make_mut) {
                open.amend(mapping);
            }
        }
    }

    /// When something happens by itself that was asked for.
    pub(crate) fn asked_times(&self) -> impl Iterator<Item = Utc> {
        let wishes = self.wishes.iter().flat_map(|wishes| {
            let wakes = wishes.wakes.iter().map(|wake| wake.at);
            let stops = wishes.wants.iter().filter_map(|want| want.until.as_ref()).map(|(at, _)| *at);
            let holds = wishes.hold.as_ref().and_then(|hold| hold.until);
            wakes.chain(stops).chain(holds)
        });
        wishes.chain(self.requested.hold.as_ref().and_then(|hold| hold.until))
    }

    /// Ends what was to end by now.
    pub(crate) fn expire(&mut self, at: Utc) {
        let is_over = |until: Option<Utc>| until.is_some_and(|until| until <= at);
        for wishes in self.wishes.iter_mut().map(Arc::make_mut) {
            let over = |want: &Want| is_over(want.until.as_ref().map(|(at, _)| *at));
            for want in wishes.wants.iter().filter(|want| over(want)) {
                self.reason = want.until.as_ref().map(|(_, why)| why.clone());
            }
            wishes.wants.retain(|want| !over(want));
            wishes.hold.take_if(|hold| is_over(hold.until));
        }
        self.requested.hold.take_if(|hold| is_over(hold.until));
    }
}

/// After this moment, if only just: what is due by now is done.
pub(crate) fn soon(at: Utc, after: Duration) -> Utc {
    at.plus(after.max(Duration::from_millis(1)))
}

/// The fields of a decision. What has the wrong type is a mistake of the policy's.
struct Fields<'d>(&'d Decision);

impl Fields<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.fields.get(name)?.as_str()
    }

    fn need(&self, name: &str) -> Result<&str, String> {
        self.text(name).ok_or_else(|| format!("`{}` needs the field `{name}`", self.0.action))
    }

    fn is(&self, name: &str) -> bool {
        self.0.fields.get(name) == Some(&Value::Bool(true))
    }

    fn time(&self, name: &str) -> Result<Option<Utc>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let time = Utc::parse(text);
        time.map(Some).ok_or_else(|| format!("`{name}` of `{}` is no time: `{text}`", self.0.action))
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>, String> {
        let Some(value) = self.0.fields.get(name) else { return Ok(None) };
        let ms =
            value.as_u64().ok_or_else(|| format!("`{name}` of `{}` is no whole number", self.0.action))?;
        Ok(Some(Duration::from_millis(ms)))
    }
}
