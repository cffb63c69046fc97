//! Takes the events out of a body.

use deskreel_sdk::prelude::*;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::seen_ids::SeenIds;

/// Takes one event, or an array of them. Reports and skips anything else; counts events that were taken
/// before.
///
/// An event is identified by its `id`, or else by that of the message (`webhook-id`) and its position in it.
pub fn take(body: &[u8], message: Option<&str>, seen: &mut SeenIds, outlet: &Outlet) -> Answer {
    let json: Value = match serde_json::from_slice(body) {
        Ok(json) => json,
        Err(error) => return Answer::problem(400, &format!("the body is not JSON: {error}")),
    };
    let events = match json {
        Value::Array(events) => events,
        event => vec![event],
    };
    let (mut taken, mut doubled, mut refused) = (0, 0, Vec::new());
    for (index, json) in events.into_iter().enumerate() {
        let own = json.get("id").and_then(Value::as_str).map(|id| format!("event {id}"));
        let id = own.or_else(|| message.map(|message| format!("message {index} {message}")));
        let event = match read(json) {
            Ok(event) => event,
            Err(reason) => {
                refused.push(json!({ "index": index, "title": reason }));
                continue;
            }
        };
        if id.as_deref().is_some_and(|id| seen.has(id)) {
            doubled += 1;
            continue;
        }
        if !outlet.emit(&event) {
            return Answer::later("the feed is stopping");
        }
        // Only now: an event that was not taken may come again.
        if let Some(id) = id {
            seen.add(&id);
        }
        taken += 1;
    }
    let counts = json!({ "taken": taken, "doubled": doubled, "refused": refused });
    match taken + doubled {
        0 if !refused.is_empty() => Answer::refused(counts),
        _ => Answer::ok(counts),
    }
}

fn read(json: Value) -> Result<Event, String> {
    let event: Event = serde_json::from_value(json).map_err(|error| error.to_string())?;
    if event.at.parse::<jiff::Timestamp>().is_err() {
        return Err(format!("`at` is not a time: `{}`; write UTC as in 2026-01-05T09:00:00.000Z", event.at));
    }
    Ok(event)
}
