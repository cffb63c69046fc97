//! What a desktop knows: the agent's state, calls, chats, the voice recorder's word. It goes through the policies like any
//! other feed's.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use deskreel_model::Utc;
use deskreel_model::event::{Event, TYPES};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::object;
use super::record::slow_down;
use crate::Api;
use crate::caller::Agent;
use crate::problem::{Code, Problem};
use crate::session::Session;
use deskreel_desk::Act;

/// As events name this feed.
const FEED: &str = "desktop";
/// Of one request.
const EVENTS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StateTold {
    media: String,
    state: String,
    work_mode: Option<String>,
    reason: Option<String>,
}

pub async fn state(
    State(api): State<Arc<Api>>,
    Agent(session): Agent,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let StateTold { media, state, work_mode, reason } = object(&bytes)?;
    slow_down(&session)?;
    let fields =
        [("media", Some(media)), ("state", Some(state)), ("work_mode", work_mode), ("reason", reason)];
    let mut event: Map<String, Value> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
    event.insert("type".to_owned(), json!("agent.state"));
    let event = complete(event, &session).map_err(|(code, detail)| Problem::new(code, detail))?;
    let done = api.desk.ask(Act::Tell(Box::new(event)), api.limits.act).await?;
    Ok(Json(done).into_response())
}

/// All of them, in order, or none: what one is wrong, nothing is told.
pub async fn events(
    State(api): State<Arc<Api>>,
    Agent(session): Agent,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let written = serde_json::from_slice(&bytes).map_err(|error| Problem::bad_json(&error))?;
    let written = match written {
        Value::Array(events) => events,
        event => vec![event],
    };
    if written.is_empty() || written.len() > EVENTS {
        return Err(Problem::new(Code::BadBody, format!("1 to {EVENTS} events")).at("body"));
    }
    let mut events = Vec::with_capacity(written.len());
    let mut wrong = Vec::new();
    for (index, event) in written.into_iter().enumerate() {
        match read(event, &session) {
            Ok(event) => events.push(event),
            Err((code, detail)) => {
                wrong.push(json!({ "index": index, "code": code.as_str(), "detail": detail }))
            }
        }
    }
    if !wrong.is_empty() {
        let detail = format!("{} of the events are wrong, and none was taken", wrong.len());
        return Err(Problem::new(Code::BadBody, detail).at("body").with("events", json!(wrong)));
    }
    slow_down(&session)?;
    let mut accepted = 0;
    let mut last = None;
    for event in events {
        match api.desk.ask(Act::Tell(Box::new(event)), api.limits.act).await {
            Ok(done) => last = Some(done),
            Err(refused) => return Err(Problem::from(refused).with("accepted", json!(accepted))),
        }
        accepted += 1;
    }
    let done = last.unwrap_or_default();
    Ok(Json(json!({ "accepted": accepted, "recording": done.recording, "capture": done.capture }))
        .into_response())
}

fn read(event: Value, session: &Session) -> Result<Event, (Code, String)> {
    let Value::Object(event) = event else {
        return Err((Code::BadBody, "an event is an object".to_owned()));
    };
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let known = TYPES.iter().any(|known| known.name == kind);
    if !known || !["call.", "interaction.", "recording."].iter().any(|family| kind.starts_with(family)) {
        let detail =
            format!("`{kind}` is not told here: call.*, interaction.* and recording.* of docs/events.md are");
        return Err((Code::BadBody, detail));
    }
    complete(event, session)
}

/// With what a session knows: the agent, the feed, and the time where none is said.
fn complete(mut event: Map<String, Value>, session: &Session) -> Result<Event, (Code, String)> {
    // As many desktops say that there is nothing.
    event.retain(|_, value| !value.is_null());
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    // Calls are joined by an agent; who is added may be another.
    let own = if matches!(kind, "call.transferred" | "call.conferenced") { "from_agent" } else { "agent" };
    match event.get(own) {
        None => {
            event.insert(own.to_owned(), json!(session.agent));
        }
        Some(Value::String(agent)) if *agent == *session.agent.0 => {}
        Some(other) => {
            return Err((Code::NotYours, format!("`{own}` is {other}, and the session {}'s", session.agent)));
        }
    }
    event.entry("at").or_insert_with(|| json!(Utc(jiff::Timestamp::now()).to_string()));
    event.insert("feed".to_owned(), json!(FEED));
    // Numbers count what one feed says, and many pages may be this one.
    event.remove("seq");
    Event::parse(&Value::Object(event).to_string()).map_err(|error| (Code::BadBody, error.to_string()))
}
