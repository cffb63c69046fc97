//! Data of calls from their events, for people who look up an interaction: direction, attached data, times on
//! hold.

use std::collections::{HashMap, VecDeque};

use deskreel_model::event::{CallChange, Event, Kind};
use deskreel_model::segment::Footage;
use deskreel_model::{CallId, Utc};
use serde_json::Value;

use crate::segments::CallData;

/// Calls that are remembered, the newest: a day of a large contact center.
const KEPT: usize = 200_000;

#[derive(Default)]
pub struct Calls {
    by_id: HashMap<CallId, CallData>,
    order: VecDeque<CallId>,
}

impl Calls {
    pub fn get(&self, call: &CallId) -> Option<&CallData> {
        self.by_id.get(call)
    }

    /// The calls of this footage's segments.
    pub fn of(&self, footage: &Footage) -> HashMap<CallId, CallData> {
        let ids = footage.segments.iter().filter_map(|segment| segment.call.as_ref());
        ids.filter_map(|id| Some((id.clone(), self.get(id)?.clone()))).collect()
    }

    pub fn take(&mut self, event: &Event) {
        let (change, call, about) = match &event.kind {
            Kind::Call { change, call, about, .. } => (change, call, about),
            Kind::Joined(joined) => {
                // A party on hold is now connected with the agent it was handed to.
                for call in [&joined.primary, &joined.resulting].into_iter().chain(&joined.secondary) {
                    if let Some(known) = self.by_id.get_mut(call) {
                        end_hold(known, event.at);
                    }
                }
                return;
            }
            _ => return,
        };
        if !self.by_id.contains_key(call) {
            self.order.push_back(call.clone());
            if self.order.len() > KEPT
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_id.remove(&oldest);
            }
        }
        let known = self.by_id.entry(call.clone()).or_default();
        let text = |text: &Option<Box<str>>| text.as_ref().map(ToString::to_string);
        known.direction = known.direction.take().or_else(|| text(&about.direction));
        known.call_type = known.call_type.take().or_else(|| text(&about.call_type));
        let attached = about.attached.as_ref().and_then(|json| serde_json::from_str::<Value>(json).ok());
        for (key, value) in attached.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            known.attached.insert(key.clone(), value);
        }
        let is_open = known.held.last().is_some_and(|(_, to)| to.is_none());
        match change {
            CallChange::Held if !is_open => known.held.push((event.at, None)),
            CallChange::Retrieved | CallChange::Cleared => end_hold(known, event.at),
            _ => {}
        }
    }
}

/// Ends a call's hold, if it is on hold.
fn end_hold(call: &mut CallData, at: Utc) {
    if let Some((_, to)) = call.held.last_mut() {
        to.get_or_insert(at);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn holds_end_and_data_are_gathered() {
        let mut calls = Calls::default();
        for (at, kind, more) in [
            ("00", "delivered", r#","direction":"inbound""#),
            ("05", "established", r#","attached":{"product":"loan","tries":2}"#),
            ("10", "held", ""),
            ("20", "retrieved", ""),
            ("30", "held", ""),
            ("40", "cleared", ""),
        ] {
            calls.take(&call_event(at, kind, more));
        }
        let call = calls.get(&"77".into()).unwrap();
        assert_eq!(call.direction.as_deref(), Some("inbound"));
        assert_eq!((call.attached["product"].as_str(), call.attached["tries"].as_str()), ("loan", "2"));
        let seconds = |at: Utc| at.0.as_second() % 60;
        let held: Vec<_> =
            call.held.iter().map(|(from, to)| (seconds(*from), seconds(to.unwrap()))).collect();
        assert_eq!(held, [(10, 20), (30, 40)]);
    }

    #[test]
    fn a_transfer_ends_the_hold() {
        let mut calls = Calls::default();
        calls.take(&call_event("00", "established", ""));
        calls.take(&call_event("10", "held", ""));
        let transferred = r#"{"type":"call.transferred","at":"2026-01-05T09:00:20.000Z","primary_call":"77",
            "secondary_call":"78","resulting_call":"77","from_agent":"ann","to_agent":"bob"}"#;
        calls.take(&Event::parse(transferred).unwrap());
        let [(_, Some(to))] = calls.get(&"77".into()).unwrap().held[..] else {
            panic!("one hold, which has ended")
        };
        assert_eq!(to.0.as_second() % 60, 20);
    }

    fn call_event(second: &str, kind: &str, more: &str) -> Event {
        let line = format!(
            r#"{{"type":"call.{kind}","at":"2026-01-05T09:00:{second}.000Z","call":"77","agent":"ann"{more}}}"#
        );
        Event::parse(&line).unwrap()
    }
}
