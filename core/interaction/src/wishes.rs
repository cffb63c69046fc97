//! The wishes of each policy for one agent, made from its decisions.
//!
//! A policy may want footage or forbid it, either for one call or in general. A wish for a call ends with the
//! agent's connection to that call. Repeating a wish that holds already changes nothing and is not recorded.

use std::sync::Arc;
use std::time::Duration;

use deskreel_contract::{CaptureMode, Role};
use deskreel_model::{CallId, InteractionId, Utc};

use crate::agent::Agent;
use crate::answer::Decision;
use crate::footage::DecisionRecord;

#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// Set once its policy is retired; later policies can no longer forbid it.
    pub is_inherited: bool,
    /// The policy's own state, as JSON.
    pub state: Arc<str>,
    pub wants: Vec<Want>,
    pub forbids: Vec<Forbid>,
    pub hold: Option<Hold>,
    pub wakes: Vec<Wake>,
}

/// A wish for footage, for a call or in general.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub call: Option<CallId>,
    pub why: Arc<str>,
    /// When and why it ends.
    pub until: Option<(Utc, Arc<str>)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Forbid {
    pub call: Option<CallId>,
    pub why: Arc<str>,
}

/// A wish that something other than the screen is captured: nothing, or a slate.
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

/// A policy's wake whose time has come.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DueWake {
    pub at: Utc,
    /// Index of the policy.
    pub policy: usize,
    pub name: Box<str>,
}

/// A wish that footage, if there is any, belongs to an interaction.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub serial: u32,
    pub interaction: InteractionId,
    pub call: Option<CallId>,
    pub role: Role,
    pub from: Utc,
    /// Its reach for policies that want it in any case.
    pub always: Option<Reach>,
    /// Its reach for policies that want it only if the footage has no earlier mapping of this kind.
    pub first: Option<Reach>,
    pub why: Arc<str>,
    pub end: MappingEnd,
}

/// The reach of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Until the agent's participation in the interaction ends; `part` in a decision.
    Participation,
    /// Until the footage ends; `recording` in a decision.
    Footage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MappingEnd {
    No,
    /// At the current event.
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
    /// Returns whether the decision repeats what holds already. Most do, and then cost no copy.
    fn already_holds(&self, decision: &Decision<'_>, call: &Option<CallId>) -> bool {
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

    /// Applies a decision that concerns this policy's wishes alone. Returns whether it changes something, and
    /// sets `reason` if it may end footage.
    fn apply_decision(
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
                let after = decision.milliseconds("after_ms")?.filter(|after| !after.is_zero());
                self.stop(call, after.map(|after| at.plus(after)), why, reason)
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
                let until = decision.milliseconds("limit_ms")?.map(|limit| due_after(at, limit));
                let is_new = self.hold.as_ref().is_none_or(|hold| hold.capture != capture);
                if is_new {
                    self.hold = Some(Hold { capture, why: why.clone(), until });
                }
                is_new
            }
            "resume" => self.hold.take().is_some(),
            "wake_at" => {
                self.set_wake(decision, at)?;
                false
            }
            other => return Err(format!("there is no action `{other}`")),
        })
    }

    /// Ends a wish for footage, now or at `until`. Returns whether that changes something.
    fn stop(
        &mut self,
        call: &Option<CallId>,
        until: Option<Utc>,
        why: &Arc<str>,
        reason: &mut Option<Arc<str>>,
    ) -> bool {
        let Some(index) = self.wants.iter().position(|want| want.call == *call) else { return false };
        match until {
            Some(until) => {
                let want = &mut self.wants[index];
                let is_new = want.until.is_none();
                want.until.get_or_insert_with(|| (until, why.clone()));
                is_new
            }
            None => {
                self.wants.retain(|want| want.call != *call);
                *reason = Some(why.clone());
                true
            }
        }
    }

    /// Replaces the wake of this name; without a time, removes it.
    fn set_wake(&mut self, decision: &Decision<'_>, at: Utc) -> Result<(), String> {
        let name = decision.text("name").unwrap_or_default();
        self.wakes.retain(|wake| &*wake.name != name);
        let due = match (decision.time("at")?, decision.milliseconds("after_ms")?) {
            (Some(due), _) => Some(due),
            (None, Some(after)) => Some(due_after(at, after)),
            (None, None) => None,
        };
        let wake = due.map(|due| Wake { name: name.into(), at: due.max(due_after(at, Duration::ZERO)) });
        self.wakes.extend(wake);
        Ok(())
    }
}

impl Agent {
    /// Retires all policies in favor of new ones. The retired policies' wishes for calls last until the agent
    /// leaves those calls: no rule changes in mid-call.
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

    /// Applies a policy's decision, and records it if it changes something. An error names a mistake in the
    /// decision.
    pub(crate) fn apply_decision(
        &mut self,
        (policy, id): (usize, &Arc<str>),
        decision: &Decision<'_>,
        at: Utc,
        record: &mut impl FnMut(DecisionRecord),
    ) -> Result<(), String> {
        let connection =
            decision.text("call").map(|id| (id, self.connections.iter().find(|c| c.call.as_str() == id)));
        // The decision came too late, or is about another agent's call.
        if matches!(connection, Some((_, None))) && decision.action != "map" {
            return Ok(());
        }
        let call = connection.map(|(id, known)| known.map_or_else(|| id.into(), |known| known.call.clone()));
        if self.wishes[policy].already_holds(decision, &call) {
            return Ok(());
        }
        let why: Arc<str> = (&*decision.why).into();
        let changed = match &*decision.action {
            "split" => {
                self.split.get_or_insert_with(|| why.clone());
                !self.open.is_empty()
            }
            "tag" => self.tag(decision.required_text("name")?, decision.text("value").unwrap_or_default()),
            "map" => self.map_footage(decision, &call, &why, at)?,
            _ => {
                let wishes = Arc::make_mut(&mut self.wishes[policy]);
                wishes.apply_decision(decision, &call, &why, at, &mut self.reason)?
            }
        };
        if changed {
            let (policy, action) = (id.clone(), (&*decision.action).into());
            record(DecisionRecord { agent: self.id.clone(), at, policy, action, call, why });
        }
        Ok(())
    }

    /// Adds, extends or ends a mapping. Returns whether that changes something.
    fn map_footage(
        &mut self,
        fields: &Decision<'_>,
        call: &Option<CallId>,
        why: &Arc<str>,
        at: Utc,
    ) -> Result<bool, String> {
        let interaction = fields.required_text("interaction")?;
        let role = fields.required_text("role")?;
        let role = Role::ALL.into_iter().find(|known| known.name() == role);
        let role =
            role.ok_or_else(|| format!("`role` of `map` is `{}`", fields.text("role").unwrap_or_default()))?;
        // For a call, we know the interaction and the agent's role better than the policy does.
        let connection =
            call.as_ref().filter(|_| role != Role::AfterCallWork).map(|call| self.connection(call));
        let (interaction, role) = match connection {
            Some(Some(index)) => (self.connections[index].interaction.clone(), self.connections[index].role),
            // The decision came too late, or is about another agent's call.
            Some(None) if fields.text("to").is_none() => return Ok(false),
            _ => (interaction.into(), role),
        };
        let reach = match fields.text("until") {
            None | Some("part") => Reach::Participation,
            Some("recording") => Reach::Footage,
            Some(other) => {
                return Err(format!("`until` of `map` is `{other}`; it may be `part` or `recording`"));
            }
        };
        let known = self.mappings.iter().position(|mapping| {
            mapping.end == MappingEnd::No
                && mapping.interaction == interaction
                && mapping.call == *call
                && mapping.role == role
        });
        if let Some(to) = fields.time("to")? {
            let Some(known) = known else { return Ok(false) };
            Arc::make_mut(&mut self.mappings)[known].end = MappingEnd::At(to);
            return Ok(true);
        }
        let is_first = fields.is_true("first");
        if let Some(known) = known {
            let current = |mapping: &Mapping| if is_first { mapping.first } else { mapping.always };
            if current(&self.mappings[known]) >= Some(reach) {
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
            end: MappingEnd::No,
        });
        Ok(true)
    }

    /// Ends all wishes for a call that the agent has left.
    pub(crate) fn leave_call(&mut self, call: &CallId) {
        let is_of_call = |wish: &Option<CallId>| wish.as_ref() == Some(call);
        for wishes in &mut self.wishes {
            let is_wanted = wishes.wants.iter().any(|want| is_of_call(&want.call));
            if !is_wanted && !wishes.forbids.iter().any(|forbid| is_of_call(&forbid.call)) {
                continue;
            }
            let wishes = Arc::make_mut(wishes);
            wishes.wants.retain(|want| !is_of_call(&want.call));
            if is_wanted {
                self.reason = Some(format!("the agent has left call {call}").into());
            }
            wishes.forbids.retain(|forbid| !is_of_call(&forbid.call));
        }
        self.end_mappings(|mapping| {
            mapping.call.as_ref() == Some(call) && mapping.role != Role::AfterCallWork
        });
    }

    pub(crate) fn end_mappings(&mut self, ends: impl Fn(&Mapping) -> bool) {
        let ends = |mapping: &Mapping| mapping.end == MappingEnd::No && ends(mapping);
        if self.mappings.iter().any(ends) {
            let mappings = Arc::make_mut(&mut self.mappings).iter_mut();
            mappings.filter(|mapping| ends(mapping)).for_each(|mapping| mapping.end = MappingEnd::Now);
        }
    }

    /// Moves the wishes for a call to the call's new id.
    pub(crate) fn rename_call(&mut self, old: &CallId, new: &CallId) {
        let calls = self.wishes.iter_mut().map(Arc::make_mut).flat_map(|wishes| {
            let wants = wishes.wants.iter_mut().map(|want| &mut want.call);
            wants.chain(wishes.forbids.iter_mut().map(|forbid| &mut forbid.call))
        });
        // Wrap-up stays with the old id.
        let mappings = Arc::make_mut(&mut self.mappings)
            .iter_mut()
            .filter(|mapping| mapping.role != Role::AfterCallWork);
        let calls = calls.chain(mappings.map(|mapping| &mut mapping.call));
        for call in calls.filter(|call| call.as_ref() == Some(old)) {
            *call = Some(new.clone());
        }
    }

    /// Drops the mappings of a call, and their segments, as if they had never been: it was another call under
    /// a new id.
    pub(crate) fn drop_mappings(&mut self, call: &CallId) {
        let is_of_call =
            |mapping: &Mapping| mapping.call.as_ref() == Some(call) && mapping.role != Role::AfterCallWork;
        if !self.mappings.iter().any(is_of_call) {
            return;
        }
        let dropped: Vec<_> = Arc::make_mut(&mut self.mappings).extract_if(.., |m| is_of_call(m)).collect();
        for open in self.open.iter_mut().map(Arc::make_mut) {
            dropped.iter().for_each(|mapping| open.drop_segment(mapping));
        }
    }

    /// Corrects the interaction and role of a call's mappings, and of their segments.
    pub(crate) fn correct_mappings(&mut self, call: &CallId, interaction: &InteractionId, role: Role) {
        let of_call = |mapping: &&mut Mapping| {
            mapping.call.as_ref() == Some(call)
                && mapping.role != Role::AfterCallWork
                && mapping.end == MappingEnd::No
        };
        for mapping in Arc::make_mut(&mut self.mappings).iter_mut().filter(of_call) {
            mapping.interaction = interaction.clone();
            mapping.role = role;
            self.open.iter_mut().for_each(|open| Arc::make_mut(open).correct(mapping));
        }
    }

    /// The times at which a wish or a request takes effect or ends by itself.
    pub(crate) fn due_times(&self) -> impl Iterator<Item = Utc> {
        let wishes = self.wishes.iter().flat_map(|wishes| {
            let wakes = wishes.wakes.iter().map(|wake| wake.at);
            let stops = wishes.wants.iter().filter_map(|want| want.until.as_ref()).map(|(at, _)| *at);
            let holds = wishes.hold.as_ref().and_then(|hold| hold.until);
            wakes.chain(stops).chain(holds)
        });
        wishes.chain(self.requested.hold.as_ref().and_then(|hold| hold.until))
    }

    /// Ends the wishes and requests whose time is over.
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

    /// Removes the wakes that are due, and returns them in the order of time.
    pub(crate) fn take_due_wakes(&mut self, at: Utc) -> Vec<DueWake> {
        let mut due = Vec::new();
        for (policy, wishes) in self.wishes.iter_mut().map(Arc::make_mut).enumerate() {
            let wakes = wishes.wakes.extract_if(.., |wake| wake.at <= at);
            due.extend(wakes.map(|wake| DueWake { at: wake.at, policy, name: wake.name }));
        }
        due.sort();
        due
    }
}

/// A time after `at`, by at least a millisecond: everything that is due at `at` has been done.
pub(crate) fn due_after(at: Utc, after: Duration) -> Utc {
    at.plus(after.max(Duration::from_millis(1)))
}
