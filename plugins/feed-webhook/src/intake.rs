//! Takes the events out of a body, and answers when the host has stored them.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use deskreel_sdk::prelude::*;

use crate::answer::Answer;
use crate::seen_ids::SeenIds;

/// The host as the intake sees it.
pub trait Store {
    /// For each event nothing, if it is stored, or the reason why it is not taken.
    fn submit(&self, events: &[Value]) -> Result<Vec<Option<String>>>;
}

impl Store for Outlet {
    fn submit(&self, events: &[Value]) -> Result<Vec<Option<String>>> {
        Outlet::submit(self, events)
    }
}

#[derive(Default)]
pub struct Intake {
    ids: Mutex<Ids>,
    /// Some events are no longer being stored.
    stored: Condvar,
}

#[derive(Default)]
struct Ids {
    seen: SeenIds,
    /// Those of events that are being stored: a copy waits for the outcome.
    storing: HashSet<String>,
}

/// The outcome of one event of a body.
enum Outcome {
    /// It is at this position of those that the host gets.
    New(usize),
    Doubled,
}

impl Intake {
    /// Takes one event, or a list of them. Says why others are not taken, and counts those that were taken
    /// before. Bodies are stored at the same time, each as a whole.
    ///
    /// An event is identified by its `id`, or else by that of the message (`webhook-id`) and its position in
    /// it.
    pub fn take(&self, body: &[u8], message: Option<&str>, store: &impl Store) -> Answer {
        let json: Value = match serde_json::from_slice(body) {
            Ok(json) => json,
            Err(error) => return Answer::problem(400, &format!("the body is not JSON: {error}")),
        };
        let events = match json {
            Value::Array(events) => events,
            event => vec![event],
        };
        let ids: Vec<_> = events.iter().enumerate().map(|(index, json)| id(index, json, message)).collect();
        let outcomes = self.begin(&ids);
        let news = events.into_iter().zip(&outcomes).filter(|(_, one)| matches!(one, Outcome::New(_)));
        let news: Vec<Value> = news.map(|(event, _)| event).collect();
        let stored = if news.is_empty() { Ok(Vec::new()) } else { store.submit(&news) };
        let stored = stored.and_then(|stored| match stored.len() == news.len() {
            true => Ok(stored),
            false => Err(PluginError::failed("the host has not answered for each event")),
        });
        self.end(&ids, &outcomes, stored.as_deref().unwrap_or_default());
        match stored {
            Ok(reasons) => answer(&outcomes, reasons),
            Err(error) => {
                tracing::warn!(%error, "events were not stored; their sender is to send them again");
                Answer::later("the events could not be stored; send them again")
            }
        }
    }

    /// Waits for copies that are being stored, and tells new events from doubled ones.
    fn begin(&self, ids: &[Option<String>]) -> Vec<Outcome> {
        let is_storing = |known: &mut Ids| ids.iter().flatten().any(|id| known.storing.contains(id));
        let known = self.stored.wait_while(self.lock(), is_storing);
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        let mut news = 0;
        let outcomes = ids.iter().map(|id| {
            let is_new = id.as_ref().is_none_or(|id| !known.seen.has(id) && known.storing.insert(id.clone()));
            news += usize::from(is_new);
            if is_new { Outcome::New(news - 1) } else { Outcome::Doubled }
        });
        outcomes.collect()
    }

    /// Remembers the ids of stored events. One that is not stored may come again.
    fn end(&self, ids: &[Option<String>], outcomes: &[Outcome], reasons: &[Option<String>]) {
        let mut known = self.lock();
        for (id, outcome) in ids.iter().zip(outcomes) {
            let (Some(id), Outcome::New(position)) = (id, outcome) else { continue };
            known.storing.remove(id);
            if reasons.get(*position) == Some(&None) {
                known.seen.add(id);
            }
        }
        drop(known);
        self.stored.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(index: usize, json: &Value, message: Option<&str>) -> Option<String> {
    let own = json.get("id").and_then(Value::as_str).map(|id| format!("event {id}"));
    own.or_else(|| message.map(|message| format!("message {index} {message}")))
}

fn answer(outcomes: &[Outcome], reasons: Vec<Option<String>>) -> Answer {
    let (mut taken, mut doubled, mut refused) = (0, 0, Vec::new());
    for (index, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Doubled => doubled += 1,
            Outcome::New(position) => match reasons.get(*position) {
                Some(Some(reason)) => refused.push(json!({ "index": index, "title": reason })),
                _ => taken += 1,
            },
        }
    }
    let is_complete = refused.is_empty();
    let counts = json!({ "taken": taken, "doubled": doubled, "refused": refused });
    if is_complete { Answer::ok(counts) } else { Answer::refused(counts) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::RefCell;

    use super::*;

    /// Refuses events without an agent, and everything while it is broken.
    #[derive(Default)]
    struct TestStore {
        stored: RefCell<Vec<Value>>,
        is_broken: bool,
    }

    impl Store for TestStore {
        fn submit(&self, events: &[Value]) -> Result<Vec<Option<String>>> {
            if self.is_broken {
                return Err(PluginError::unavailable("the disk is full"));
            }
            let each = events.iter().map(|event| {
                let is_event = event.get("agent").is_some();
                self.stored.borrow_mut().extend(is_event.then(|| event.clone()));
                (!is_event).then(|| "`agent` is missing".to_owned())
            });
            Ok(each.collect())
        }
    }

    #[test]
    fn only_stored_events_are_taken_and_each_other_has_its_reason() {
        let (intake, store) = (Intake::default(), TestStore::default());
        let body = br#"[{"id": "a", "agent": "ann"}, {"id": "b"}, {"id": "a", "agent": "ann"}]"#;
        let refused = json!([{ "index": 1, "title": "`agent` is missing" }]);
        let answer = intake.take(body, None, &store);
        assert_eq!(
            (answer.status(), answer.field("taken"), answer.field("doubled")),
            (422, 1.into(), 1.into())
        );
        assert_eq!(answer.field("refused"), refused);
        // Sent again, as senders do: still refused, and nothing is stored twice.
        let answer = intake.take(body, None, &store);
        assert_eq!(
            (answer.status(), answer.field("taken"), answer.field("doubled")),
            (422, 0.into(), 2.into())
        );
        assert_eq!(answer.field("refused"), refused);
        assert_eq!(store.stored.borrow().len(), 1);
    }

    #[test]
    fn events_that_could_not_be_stored_may_come_again() {
        let intake = Intake::default();
        let broken = TestStore { is_broken: true, ..TestStore::default() };
        let body = br#"{"agent": "ann"}"#;
        assert_eq!(intake.take(body, Some("m1"), &broken).status(), 503);
        let store = TestStore::default();
        assert_eq!(intake.take(body, Some("m1"), &store).status(), 200);
        assert_eq!(intake.take(body, Some("m1"), &store).field("doubled"), Value::from(1));
        assert_eq!(store.stored.borrow().len(), 1);
    }
}
