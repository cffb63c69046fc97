//! The current session, as the API reports it on request.

use std::collections::BTreeMap;

use deskreel_sdk::prelude::*;
use serde_json::{Value, json};

use super::calls::{CallState, KnownCall, state_of};
use super::{Agent, is_logged_in, snake_case, text};

impl Agent {
    /// The events since the last message. With `again`, what has not changed is reported as well.
    ///
    /// Calls come before states: a state ends a call that is in doubt. For the same reason calls on hold,
    /// whose report ends no other call, come before established ones, and ringing ones come last.
    pub fn catch_up(&mut self, user: &Value, at: &str, again: bool) -> Vec<Event> {
        self.learn(user);
        let mut out = Vec::new();
        let active = &user["activeSession"];
        let calls = ids(&active["calls"]);
        let over: Vec<String> = self.calls.keys().filter(|id| !calls.contains(id)).cloned().collect();
        over.iter().for_each(|id| self.end_call(id, at, &mut out));
        let interactions: Vec<String> =
            channels(active).flat_map(|channel| ids(&channel["interactions"])).collect();
        let over: Vec<String> =
            self.interactions.keys().filter(|id| !interactions.contains(id)).cloned().collect();
        over.iter().for_each(|id| self.complete(id, at, &mut out));
        if again {
            self.interactions.clear();
            let reported = channels(active).filter_map(|channel| text(channel, "name"));
            let reported = reported.chain(active["dn"].is_object().then_some("voice"));
            reported.for_each(|media| drop(self.states.remove(media)));
        }
        let mut states = Vec::new();
        self.take_media(active, at, &mut out, &mut states);
        let mut calls: Vec<&Value> = active["calls"].as_array().into_iter().flatten().collect();
        calls.sort_by_key(|call| match state_of(call) {
            Some(CallState::Held) => 0,
            Some(CallState::Established) => 1,
            _ => 2,
        });
        for call in calls {
            self.call_again(call, again, at, &mut out);
        }
        out.append(&mut states);
        for interaction in channels(active).flat_map(|channel| list(&channel["interactions"])) {
            self.interaction(interaction, at, &mut out);
        }
        if self.log_in.is_some() && is_over(active) {
            self.log_in = None;
            self.states.clear();
            out.push(self.event("agent.logged_out", at));
        }
        out
    }

    /// States go to `states`, the rest to `out`.
    fn take_media(&mut self, active: &Value, at: &str, out: &mut Vec<Event>, states: &mut Vec<Event>) {
        let mut events = Vec::new();
        if active["dn"].is_object() {
            self.device(&active["dn"], at, &mut events);
        } else if self.states.contains_key("voice") && !is_over(active) {
            self.state("voice", &json!({ "state": "LoggedOut" }), "state", at, &mut events);
        }
        for channel in channels(active) {
            if let Some(media) = text(channel, "name") {
                self.channel(media, channel, at, &mut events);
            }
        }
        let (own, other): (Vec<Event>, Vec<Event>) =
            events.into_iter().partition(|event| event.kind == "agent.state");
        states.extend(own);
        out.extend(other);
    }

    /// Whether the current session shows other calls, or another state in voice, than the messages so far.
    /// Details are left out: a server may send them here in another form.
    pub fn differs_from(&self, user: &Value) -> bool {
        let active = &user["activeSession"];
        // A server may leave out the calls that a supervisor listens to.
        let is_supervised = |id: &str| self.calls.get(id).is_some_and(KnownCall::is_supervised);
        let is_compared = |(id, state): &(&str, CallState)| *state != CallState::None && !is_supervised(id);
        let now = list(&active["calls"]).filter_map(|call| {
            let id = text(call, "id").or_else(|| text(call, "connId"))?;
            Some((id, state_of(call)?))
        });
        let now: BTreeMap<&str, CallState> = now.filter(is_compared).collect();
        let known = self.calls.iter().map(|(id, call)| (&**id, call.state));
        let known: BTreeMap<&str, CallState> = known.filter(is_compared).collect();
        let has_other_calls = active["calls"].is_array() && now != known;
        let state = text(&active["dn"], "agentState").map(snake_case);
        let known = self.states.get("voice").and_then(|[state, ..]| state.as_ref());
        has_other_calls || known.is_some_and(|known| state.is_some_and(|state| state != *known))
    }
}

/// Whether the user has no session: no device, no channel in use, no call.
fn is_over(active: &Value) -> bool {
    let is_in_use = |channel: &Value| is_logged_in(text(channel, "state").unwrap_or_default());
    !active["dn"].is_object() && !channels(active).any(is_in_use) && list(&active["calls"]).next().is_none()
}

fn channels(active: &Value) -> impl Iterator<Item = &Value> {
    list(&active["media"]["channels"])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn ids(value: &Value) -> Vec<String> {
    list(value).filter_map(|one| text(one, "id").or_else(|| text(one, "connId"))).map(str::to_owned).collect()
}
