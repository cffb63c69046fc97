//! Events that a desktop reports: the agent's state, calls, chats, the voice recorder. They go through the
//! policies like those of any other feed.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use deskreel_model::Utc;
use deskreel_model::event::{Event, TYPES};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::commands::take_token;
use super::object;
use crate::Api;
use crate::caller::AgentSession;
use crate::openapi::responses::*;
use crate::openapi::schemas::{self, CsrfToken, Standing};
use crate::problem::{Code, Problem, WrongEvent};
use crate::session::Session;
use deskreel_desk::{Act, Done};

/// This feed's name in events.
const FEED: &str = "desktop";
/// Most events of one request.
const EVENTS: usize = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = State)]
struct StateReport {
    #[schema(examples("voice", "chat", "email"))]
    media: String,
    state: String,
    work_mode: Option<String>,
    reason: Option<String>,
}

/// The answer to reported events.
#[derive(Serialize, ToSchema)]
#[schema(as = Told)]
struct AcceptedEvents {
    accepted: usize,
    #[serde(flatten)]
    #[schema(value_type = Standing)]
    done: Done,
}

/// Reports the agent's state.
#[utoipa::path(
    put,
    path = "/api/v1/state",
    operation_id = "tellState",
    tag = "events",
    params(CsrfToken),
    request_body = StateReport,
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        (status = 200, description = "What is recorded after it.", body = Standing),
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn state(
    State(api): State<Arc<Api>>,
    AgentSession(session): AgentSession,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let StateReport { media, state, work_mode, reason } = object(&bytes)?;
    take_token(&session)?;
    let fields =
        [("media", Some(media)), ("state", Some(state)), ("work_mode", work_mode), ("reason", reason)];
    let mut event: Map<String, Value> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect();
    event.insert("type".to_owned(), json!("agent.state"));
    let event = complete(event, &session).map_err(|(code, detail)| Problem::new(code, detail))?;
    let done = api.desk.ask(Act::Tell(Box::new(event)), api.limits.act).await?;
    Ok(Json(done).into_response())
}

/// Reports calls, chats and the voice recorder.
///
/// One event or a list. If one is wrong, none is accepted, and the problem has `events` with index, code and
/// detail of each wrong one.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    operation_id = "tellEvents",
    tag = "events",
    params(CsrfToken),
    request_body = inline(schemas::Events),
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        (status = 200, description = "All were accepted, in order.", body = AcceptedEvents),
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn events(
    State(api): State<Arc<Api>>,
    AgentSession(session): AgentSession,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let written = serde_json::from_slice(&bytes).map_err(|error| Problem::bad_json(&error))?;
    let written = match written {
        Value::Array(events) => events,
        event => vec![event],
    };
    if written.is_empty() || written.len() > EVENTS {
        return Err(Problem::new(Code::BadBody, format!("expected 1 to {EVENTS} events")).at("body"));
    }
    let mut events = Vec::with_capacity(written.len());
    let mut wrong = Vec::new();
    for (index, event) in written.into_iter().enumerate() {
        match read(event, &session) {
            Ok(event) => events.push(event),
            Err((code, detail)) => wrong.push(WrongEvent { index, code: code.as_str(), detail }),
        }
    }
    if !wrong.is_empty() {
        let detail = format!("{} of the events are wrong, so none was accepted", wrong.len());
        return Err(Problem::new(Code::BadBody, detail).at("body").with_events(wrong));
    }
    take_token(&session)?;
    let mut accepted = 0;
    let mut last = None;
    for event in events {
        match api.desk.ask(Act::Tell(Box::new(event)), api.limits.act).await {
            Ok(done) => last = Some(done),
            Err(refused) => return Err(Problem::from(refused).after_events(accepted)),
        }
        accepted += 1;
    }
    let done = last.unwrap_or_default();
    Ok(Json(AcceptedEvents { accepted, done }).into_response())
}

fn read(event: Value, session: &Session) -> Result<Event, (Code, String)> {
    let Value::Object(event) = event else {
        return Err((Code::BadBody, "an event must be an object".to_owned()));
    };
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    let known = TYPES.iter().any(|known| known.name == kind);
    if !known || !["call.", "interaction.", "recording."].iter().any(|family| kind.starts_with(family)) {
        let detail = format!(
            "`{kind}` cannot be reported here; call.*, interaction.* and recording.* of docs/events.md can"
        );
        return Err((Code::BadBody, detail));
    }
    complete(event, session)
}

/// Adds what the session knows: the agent, the feed, and the time if the event has none.
fn complete(mut event: Map<String, Value>, session: &Session) -> Result<Event, (Code, String)> {
    // Many desktops send null for a field without a value.
    event.retain(|_, value| !value.is_null());
    let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
    // `from_agent` joins the calls; the added agent may be a different one.
    let own = if matches!(kind, "call.transferred" | "call.conferenced") { "from_agent" } else { "agent" };
    match event.get(own) {
        None => {
            event.insert(own.to_owned(), json!(session.agent));
        }
        Some(Value::String(agent)) if *agent == *session.agent.0 => {}
        Some(other) => {
            return Err((
                Code::NotYours,
                format!("`{own}` is {other}, but the session belongs to {}", session.agent),
            ));
        }
    }
    event.entry("at").or_insert_with(|| json!(Utc(jiff::Timestamp::now()).to_string()));
    event.insert("feed".to_owned(), json!(FEED));
    // A number counts the events of one feed, but many pages may use this one.
    event.remove("seq");
    Event::parse(&Value::Object(event).to_string()).map_err(|error| (Code::BadBody, error.to_string()))
}
