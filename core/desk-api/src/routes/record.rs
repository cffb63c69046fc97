//! Commands: start, stop, pause, resume, mask, tag. Each is an operation, done once for each idempotency key.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::event::Request;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::object;
use crate::Api;
use crate::caller::Agent;
use crate::operation::Operation;
use crate::problem::{Code, Problem};
use crate::secret::Digest;
use crate::session::Session;
use deskreel_desk::{Act, Done, Refused};

/// A pause that nobody ends would hide a day.
const LIMIT_MS: std::ops::RangeInclusive<u64> = 1..=24 * 3600 * 1000;
/// As the draft for this header has it, with room.
const KEY: usize = 255;
/// Characters.
const TAG_NAME: usize = 128;
const TAG_VALUE: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limited {
    limit_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tag {
    name: String,
    #[serde(default)]
    value: String,
}

type Asked = (State<Arc<Api>>, Agent, HeaderMap, Bytes);

pub async fn start(asked: Asked) -> Result<Response, Problem> {
    let Nothing {} = object(&asked.3)?;
    command(asked, "start", Request::Start).await
}

pub async fn stop(asked: Asked) -> Result<Response, Problem> {
    let Nothing {} = object(&asked.3)?;
    command(asked, "stop", Request::Stop).await
}

pub async fn resume(asked: Asked) -> Result<Response, Problem> {
    let Nothing {} = object(&asked.3)?;
    command(asked, "resume", Request::Resume).await
}

pub async fn pause(asked: Asked) -> Result<Response, Problem> {
    let limit_ms = limit(&asked.3)?;
    command(asked, "pause", Request::Pause { limit_ms }).await
}

pub async fn mask(asked: Asked) -> Result<Response, Problem> {
    let limit_ms = limit(&asked.3)?;
    command(asked, "mask", Request::Mask { limit_ms }).await
}

pub async fn tag(asked: Asked) -> Result<Response, Problem> {
    let Tag { name, value } = object(&asked.3)?;
    if name.is_empty() || name.chars().count() > TAG_NAME {
        return Err(Problem::new(Code::BadBody, format!("1 to {TAG_NAME} characters")).at("/name"));
    }
    if value.chars().count() > TAG_VALUE {
        return Err(Problem::new(Code::BadBody, format!("more than {TAG_VALUE} characters")).at("/value"));
    }
    command(asked, "tag", Request::Tag { name: name.into(), value: value.into() }).await
}

fn limit(bytes: &Bytes) -> Result<Option<u64>, Problem> {
    let Limited { limit_ms } = object(bytes)?;
    match limit_ms {
        Some(limit) if !LIMIT_MS.contains(&limit) => {
            Err(Problem::new(Code::BadBody, "from 1 ms to a day").at("/limit_ms"))
        }
        limit => Ok(limit),
    }
}

async fn command(
    (State(api), Agent(session), headers, bytes): Asked,
    name: &'static str,
    request: Request,
) -> Result<Response, Problem> {
    slow_down(&session)?;
    let key = match headers.get("idempotency-key") {
        None => None,
        Some(key) => {
            Some(key.to_str().ok().filter(|key| (1..=KEY).contains(&key.len())).ok_or_else(|| {
                Problem::new(Code::BadBody, format!("a key is 1 to {KEY} characters of ASCII"))
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

/// So many a second of one session.
pub fn slow_down(session: &Session) -> Result<(), Problem> {
    let mut brake = session.brake.lock().unwrap_or_else(PoisonError::into_inner);
    brake.take(Instant::now()).map_err(|wait| {
        Problem::new(Code::TooMany, "more commands and events than any desktop needs").retry_after(wait)
    })
}

fn answer(operation: &Operation, outcome: Option<Result<Done, Refused>>) -> Result<Response, Problem> {
    match outcome {
        Some(Ok(done)) => Ok(Json(operation.shown(Some(done))).into_response()),
        Some(Err(refused)) => Err(Problem::from(refused).with("operation", json!(operation.id))),
        None => {
            let location = format!("/api/v1/operations/{}", operation.id);
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(operation.shown(None)))
                .into_response())
        }
    }
}

/// Where a command stands; 202 while it is not done.
pub async fn operation(Agent(session): Agent, Path(id): Path<String>) -> Result<Response, Problem> {
    let operation = session.operations.find(&id);
    let operation = operation.ok_or_else(|| Problem::new(Code::NotFound, "no operation of this session"))?;
    answer(&operation, operation.outcome(std::time::Duration::ZERO).await)
}
