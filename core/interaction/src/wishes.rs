//! What each policy wants of one agent, from its decisions.
//!
//! A policy may want footage, or forbid it: for a call, or altogether. What it says of a call ends with the agent's
//! connection to it. To say again what holds already changes nothing, and brings no line into the record.

use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::{CaptureMode, Role};
use deskreel_model::{CallId, InteractionId, Utc};

use crate::agent::Agent;
use crate::answer::Decision;
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
    pub capture: CaptureMode,
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

impl Wishes {
    /// Whether the decision says again what holds already: most do, and cost no copy.
    fn has(&self, decision: &Decision<'_>, call: &Option<CallId>) -> bool {
        let wanted = self.wants.iter().find(|want| want.call == *call);
        let is_forbidden = || self.forbids.iter().any(|forbid| forbid.call == *call);
        match &*decision.action {
            "start" => wanted.is_some_and(|want| want.until.is_none()),
            "stop" => wanted.is_none() && decision.milliseconds("after_ms").is_ok(),
            "forbid" => is_forbidden(),
            "allow" => !is_forbidden(),
            "resume" => self.hold.is_none(),
            _ => false,
        }
    }

    /// What is a matter of the one policy alone; gives whether it changes something, and sets `reason` where footage may end
    /// by it.
    fn obey(
        &mut self,
        decision: &Decision<'_>,
        call: &Option<CallId>,
        why: &Arc<str>,
        at: Utc,
        reason: &mut Option<Arc<str>>,
    ) -> Result<bool, String> {
        let about = |of: &Option<CallId>| of == call;
        Ok(match &*decision.action {
            "start" => match self.wants.iter_mut().find(|want| about(&want.call)) {
                Some(want) => want.until.take().is_some(),
                None => {
                    self.wants.push(Want { call: call.clone(), why: why.clone(), until: None });
                    true
                }
            },
            "stop" => {
                let after = decision.milliseconds("after_ms")?;
                match (after, self.wants.iter_mut().find(|want| about(&want.call))) {
                    (_, None) => false,
                    (Some(after), Some(want)) if !after.is_zero() => {
                        let is_new = want.until.is_none();
                        want.until.get_or_insert_with(|| (at.plus(after), why.clone()));
                        is_new
                    }
                    (_, Some(_)) => {
                        self.wants.retain(|want| !about(&want.call));
                        *reason = Some(why.clone());
                        true
                    }
                }
            }
            "forbid" => {
                let is_new = !self.forbids.iter().any(|forbid| about(&forbid.call));
                if is_new {
                    self.forbids.push(Forbid { call: call.clone(), why: why.clone() });
                    *reason = Some(why.clone());
                }
                is_new
            }
            "allow" => {
                let before = self.forbids.len();
                self.forbids.retain(|forbid| !about(&forbid.call));
                self.forbids.len() < before
            }
            action @ ("pause" | "mask") => {
                let capture = if action == "pause" { CaptureMode::Paused } else { CaptureMode::Masked };
                let until = decision.milliseconds("limit_ms")?.map(|limit| soon(at, limit));
                let is_new = self.hold.as_ref().is_none_or(|hold| hold.capture != capture);
                if is_new {
                    self.hold = Some(Hold { capture, why: why.clone(), until });
                }
                is_new
            }
            "resume" => self.hold.take().is_some(),
            "wake_at" => {
                let name = decision.text("name").unwrap_or_default();
                self.wakes.retain(|wake| &*wake.name != name);
                let due = match (decision.time("at")?, decision.milliseconds("after_ms")?) {
                    (Some(due), _) => Some(due),
                    (None, Some(after)) => Some(soon(at, after)),
                    (None, None) => None,
                };
                let wake = due.map(|due| Wake { name: name.into(), at: due.max(soon(at, Duration::ZERO)) });
                self.wakes.extend(wake);
                false
            }
            other => return Err(format!("there is no action `{other}`")),
        })
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
        decision: &Decision<'_>,
        at: Utc,
        note: &mut impl FnMut(Decided),
    ) -> Result<(), String> {
        let connection =
            decision.text("call").map(|id| (id, self.connections.iter().find(|c| c.call.as_str() == id)));
        // It came too late, or of another's call.
        if matches!(connection, Some((_, None))) && decision.action != "map" {
            return Ok(());
        }
        let call = connection.map(|(id, known)| known.map_or_else(|| id.into(), |known| known.call.clone()));
        if self.wishes[policy].has(decision, &call) {
            return Ok(());
        }
        let why: Arc<str> = (&*decision.why).into();
        let changed = match &*decision.action {
            "split" => {
                self.split.get_or_insert_with(|| why.clone());
                self.open.is_some()
            }
            "tag" => self.tag(decision.need("name")?, decision.text("value").unwrap_or_default()),
            "map" => self.map(decision, &call, &why, at)?,
            _ => {
                let wishes = Arc::make_mut(&mut self.wishes[policy]);
                wishes.obey(decision, &call, &why, at, &mut self.reason)?
            }
        };
        if changed {
            let (policy, action) = (id.clone(), (&*decision.action).into());
            note(Decided { agent: self.id.clone(), at, policy, action, call, why });
        }
        Ok(())
    }

    fn map(
        &mut self,
        fields: &Decision<'_>,
        call: &Option<CallId>,
        why: &Arc<str>,
        at: Utc,
    ) -> Result<bool, String> {
        let interaction = fields.need("interaction")?;
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
            _ => (interaction.into(), role),
        };
        let reach = match fields.text("until") {
            None | Some("part") => Reach::Part,
            Some("recording") => Reach::Footage,
            Some(other) => {
                return Err(format!("`until` of `map` is `{other}`; it may be `part` or `recording`"));
            }
        };
        let known = self.mappings.iter().position(|mapping| {
            mapping.ended == Ended::No
                && mapping.interaction == interaction
                && mapping.call == *call
                && mapping.role == role
        });
        if let Some(to) = fields.time("to")? {
            let Some(known) = known else { return Ok(false) };
            Arc::make_mut(&mut self.mappings)[known].ended = Ended::At(to);
            return Ok(true);
        }
        let is_first = fields.is("first");
        if let Some(known) = known {
            let wanted = |mapping: &Mapping| if is_first { mapping.first } else { mapping.always };
            if wanted(&self.mappings[known]) >= Some(reach) {
                return Ok(false);
            }
            let known = &mut Arc::make_mut(&mut self.mappings)[known];
            *(if is_first { &mut known.first } else { &mut known.always }) = Some(reach);
            return Ok(true);
        }
        let from = fields.time("from")?.unwrap_or(at).min(at);
        let (always, first) = if is_first { (None, Some(reach)) } else { (Some(reach), None) };
        let (serial, why) = (self.next_serial(), why.clone());
        Arc::make_mut(&mut self.mappings).push(Mapping {
            serial,
            interaction,
            call: call.clone(),
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
        let ends = |mapping: &Mapping| mapping.ended == Ended::No && ends(mapping);
        if self.mappings.iter().any(ends) {
            let mappings = Arc::make_mut(&mut self.mappings).iter_mut();
            mappings.filter(|mapping| ends(mapping)).for_each(|mapping| mapping.ended = Ended::Now);
        }
    }

    /// The call goes on under another id.
    pub(crate) fn rename(&mut self, old: &CallId, new: &CallId) {
        let calls = self.wishes.iter_mut().map(Arc::make_mut).flat_map(|wishes| {
            let wants = wishes.wants.iter_mut().map(|want| &mut want.call);
            wants.chain(wishes.forbids.iter_mut().map(|forbid| &mut forbid.call))
        });
        // Wrap-up is of the call as it was.
        let mappings = Arc::make_mut(&mut self.mappings)
            .iter_mut()
            .filter(|mapping| mapping.role != Role::AfterCallWork);
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
        for mapping in Arc::make_mut(&mut self.mappings).iter_mut().filter(of_call) {
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
