//! Names in events that mean no agent, counted until they are written. Pure.

use std::collections::BTreeMap;

use deskreel_model::identities::NameKind;
use serde_json::Value;

use crate::db::identities::{UnresolvedEvents, UnresolvedName};

/// Names that are counted between two writes. A feed that makes up names costs no more memory.
const MOST: usize = 1000;
/// Longest name that is stored, in characters.
const LONGEST: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Unresolved(BTreeMap<UnresolvedName, UnresolvedEvents>);

impl Unresolved {
    /// Counts an event of this time whose agent is unknown.
    pub fn count(&mut self, event: &str, at: i64) {
        let Some(name) = unknown_name(event) else { return };
        if self.0.len() >= MOST && !self.0.contains_key(&name) {
            return;
        }
        let events = self.0.entry(name).or_insert(UnresolvedEvents { events: 0, first: at, last: at });
        events.events += 1;
        (events.first, events.last) = (events.first.min(at), events.last.max(at));
    }

    pub fn take(&mut self) -> BTreeMap<UnresolvedName, UnresolvedEvents> {
        std::mem::take(&mut self.0)
    }
}

/// The name in an event that should have meant an agent: its agent, or else its device.
fn unknown_name(event: &str) -> Option<UnresolvedName> {
    let event: Value = serde_json::from_str(event).ok()?;
    let text = |key: &str| event[key].as_str().filter(|text| !text.trim().is_empty());
    let (kind, name) = match (text("agent"), text("device")) {
        (Some(agent), _) => (NameKind::Agent, agent),
        (None, device) => (NameKind::Device, device?),
    };
    let name = name.trim().chars().take(LONGEST).collect();
    Some(UnresolvedName { kind, name, feed: text("feed").unwrap_or("").to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_name_and_feed() {
        let mut unresolved = Unresolved::default();
        for (at, event) in [
            (1, r#"{"type":"call.established","device":"PJSIP/4711","feed":"pbx"}"#),
            (5, r#"{"type":"call.cleared","device":" PJSIP/4711 ","feed":"pbx"}"#),
            (6, r#"{"type":"call.cleared","device":"PJSIP/4711","feed":"other"}"#),
            (7, r#"{"type":"agent.state","agent":"A.Lee","device":"1","feed":"pbx"}"#),
            (8, r#"{"type":"agent.state","agent":" "}"#),
            (9, "no event"),
        ] {
            unresolved.count(event, at);
        }
        let show = |(name, events): (UnresolvedName, UnresolvedEvents)| {
            let UnresolvedEvents { events, first, last } = events;
            format!("{} {} of {}: {events}, {first}..{last}", name.kind.as_str(), name.name, name.feed)
        };
        let counted: Vec<String> = unresolved.take().into_iter().map(show).collect();
        let expected = [
            "agent A.Lee of pbx: 1, 7..7",
            "device PJSIP/4711 of other: 1, 6..6",
            "device PJSIP/4711 of pbx: 2, 1..5",
        ];
        assert_eq!(counted, expected);
        (0..2 * MOST).for_each(|name| unresolved.count(&format!(r#"{{"agent":"x{name}"}}"#), 1));
        assert_eq!(unresolved.take().len(), MOST);
    }
}
