//! Commands: start, stop, pause, resume, mask, tag. Each is an operation, carried out once per idempotency
//! key.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::event::Request;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::object;
use crate::Api;
use crate::caller::AgentSession;
use crate::openapi::responses::*;
use crate::openapi::schemas::{CsrfToken, IdempotencyKey};
use crate::operations::{Operation, OperationView};
use crate::problem::{Code, Problem};
use crate::secret::Digest;
use crate::session::Session;
use deskreel_desk::{Act, Done, Refused};

/// Limits of a pause. A longer one would hide more than a day.
const LIMIT_MS: std::ops::RangeInclusive<u64> = 1..=24 * 3600 * 1000;
/// Most characters of an idempotency key, with room above those of the header's draft standard.
const KEY_LENGTH: usize = 255;
/// Most characters.
const TAG_NAME: usize = 128;
const TAG_VALUE: usize = 4096;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EmptyBody {}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseBody {
    /// Capture resumes after this time, whatever happens.
    #[schema(minimum = 1, maximum = 86_400_000)]
    limit_ms: Option<u64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Tag)]
struct TagBody {
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    #[serde(default)]
    #[schema(max_length = 4096)]
    value: String,
}

type CommandParts = (State<Arc<Api>>, AgentSession, HeaderMap, Bytes);

/// Requests footage.
///
/// The answer has the recording's id once it is commanded.
#[utoipa::path(
    post,
    path = "/api/v1/recording/start",
    operation_id = "recordingStart",
    tag = "recording",
    params(IdempotencyKey, CsrfToken),
    request_body = inline(EmptyBody),
    responses(
        AnyProblem, Unauthorized, NotJson, BadBody, TooMany, Failed, Late,
        CommandAnswer,
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn start(parts: CommandParts) -> Result<Response, Problem> {
    let EmptyBody {} = object(&parts.3)?;
    command(parts, "start", Request::Start).await
}

/// Ends the request for footage.
///
/// Done once the recording is sealed.
#[utoipa::path(
    post,
    path = "/api/v1/recording/stop",
    operation_id = "recordingStop",
    tag = "recording",
    params(IdempotencyKey, CsrfToken),
    request_body = inline(EmptyBody),
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        CommandAnswer,
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn stop(parts: CommandParts) -> Result<Response, Problem> {
    let EmptyBody {} = object(&parts.3)?;
    command(parts, "stop", Request::Stop).await
}

/// Captures the screen again.
#[utoipa::path(
    post,
    path = "/api/v1/recording/resume",
    operation_id = "recordingResume",
    tag = "recording",
    params(IdempotencyKey, CsrfToken),
    request_body = inline(EmptyBody),
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        CommandAnswer,
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn resume(parts: CommandParts) -> Result<Response, Problem> {
    let EmptyBody {} = object(&parts.3)?;
    command(parts, "resume", Request::Resume).await
}

/// Captures nothing.
///
/// Done once no pixel passes any more.
#[utoipa::path(
    post,
    path = "/api/v1/recording/pause",
    operation_id = "recordingPause",
    tag = "recording",
    params(IdempotencyKey, CsrfToken),
    request_body = inline(PauseBody),
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        CommandAnswer,
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn pause(parts: CommandParts) -> Result<Response, Problem> {
    let limit_ms = limit(&parts.3)?;
    command(parts, "pause", Request::Pause { limit_ms }).await
}

/// Captures a slate in place of the screen.
///
/// Like pause, but the picture says that the screen is hidden.
#[utoipa::path(
    post,
    path = "/api/v1/recording/mask",
    operation_id = "recordingMask",
    tag = "recording",
    params(IdempotencyKey, CsrfToken),
    request_body = inline(PauseBody),
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        CommandAnswer,
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn mask(parts: CommandParts) -> Result<Response, Problem> {
    let limit_ms = limit(&parts.3)?;
    command(parts, "mask", Request::Mask { limit_ms }).await
}

/// Marks the footage.
#[utoipa::path(
    post,
    path = "/api/v1/recording/tag",
    operation_id = "recordingTag",
    tag = "recording",
    params(IdempotencyKey, CsrfToken),
    request_body = TagBody,
    responses(
        AnyProblem, Unauthorized, NothingRecorded, NotJson, BadBody, TooMany, Failed, Late,
        CommandAnswer,
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn tag(parts: CommandParts) -> Result<Response, Problem> {
    let TagBody { name, value } = object(&parts.3)?;
    if name.is_empty() || name.chars().count() > TAG_NAME {
        return Err(Problem::new(Code::BadBody, format!("expected 1 to {TAG_NAME} characters")).at("/name"));
    }
    if value.chars().count() > TAG_VALUE {
        return Err(Problem::new(Code::BadBody, format!("longer than {TAG_VALUE} characters")).at("/value"));
    }
    command(parts, "tag", Request::Tag { name: name.into(), value: value.into() }).await
}

fn limit(bytes: &Bytes) -> Result<Option<u64>, Problem> {
    let PauseBody { limit_ms } = object(bytes)?;
    match limit_ms {
        Some(limit) if !LIMIT_MS.contains(&limit) => {
            Err(Problem::new(Code::BadBody, "expected 1 ms to a day").at("/limit_ms"))
        }
        limit => Ok(limit),
    }
}

async fn command(
    (State(api), AgentSession(session), headers, bytes): CommandParts,
    name: &'static str,
    request: Request,
) -> Result<Response, Problem> {
    take_token(&session)?;
    let key = match headers.get("idempotency-key") {
        None => None,
        Some(key) => {
            Some(key.to_str().ok().filter(|key| (1..=KEY_LENGTH).contains(&key.len())).ok_or_else(|| {
                Problem::new(Code::BadBody, format!("a key has 1 to {KEY_LENGTH} ASCII characters"))
                    .at("Idempotency-Key")
            })?)
        }
    };
    let act = Act::Request { agent: session.agent.clone(), request };
    let (desk, limit) = (api.desk.clone(), api.limits.act);
    let work = async move { desk.ask(act, limit).await };
    let operation = session.operations.begin(name, key, Digest::of(&bytes), work)?;
    answer(&operation, operation.outcome(api.limits.answer).await)
}

/// Counts one command or event of the session; refuses it above the rate limit.
pub fn take_token(session: &Session) -> Result<(), Problem> {
    let mut bucket = session.bucket.lock().unwrap_or_else(PoisonError::into_inner);
    bucket.take(Instant::now()).map_err(|wait| {
        Problem::new(Code::TooMany, "too many commands and events per second").retry_after(wait)
    })
}

fn answer(operation: &Operation, outcome: Option<Result<Done, Refused>>) -> Result<Response, Problem> {
    match outcome {
        Some(Ok(done)) => Ok(Json(operation.view(Some(done))).into_response()),
        Some(Err(refused)) => Err(Problem::from(refused).of_operation(&operation.id)),
        None => {
            let location = format!("/api/v1/operations/{}", operation.id);
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(operation.view(None)))
                .into_response())
        }
    }
}

/// Shows the state of a command.
///
/// The answer is that of the command itself. Only for operations of this session.
#[utoipa::path(
    get,
    path = "/api/v1/operations/{id}",
    operation_id = "showOperation",
    tag = "recording",
    params(("id" = String, Path)),
    responses(
        AnyProblem, Unauthorized, NothingRecorded, Failed, Late,
        (status = 200, description = "Done.", body = OperationView),
        (
            status = 202,
            description = "Not done yet.",
            body = OperationView,
            headers(("Location" = String, description = "Where to query the operation.")),
        ),
    ),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn operation(
    AgentSession(session): AgentSession,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let operation = session.operations.find(&id);
    let operation =
        operation.ok_or_else(|| Problem::new(Code::NotFound, "this session has no such operation"))?;
    answer(&operation, operation.outcome(std::time::Duration::ZERO).await)
}
