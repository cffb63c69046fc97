//! Queries: status, recordings, health, metrics, and the API's own description.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::RecordingId;
use serde::Deserialize;
use serde_json::json;

use super::OPENAPI;
use crate::Api;
use crate::caller::{AgentSession, Caller};
use crate::problem::{Code, Problem};

const PAGE: usize = 50;
const PAGE_LIMIT: usize = 200;

pub async fn status(State(api): State<Arc<Api>>, _: Caller) -> Response {
    Json(api.desk.status().as_ref()).into_response()
}

/// Anybody on this PC may know whether the recorder is healthy; the problems need credentials.
pub async fn health(State(api): State<Arc<Api>>, caller: Result<Caller, Problem>) -> Response {
    let status = api.desk.status();
    let healthy = status.health.is_well();
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match caller {
        Ok(_) => {
            (code, Json(json!({ "healthy": healthy, "problems": status.health.problems }))).into_response()
        }
        Err(_) => (code, Json(json!({ "healthy": healthy }))).into_response(),
    }
}

pub async fn version(State(api): State<Arc<Api>>) -> Response {
    Json(json!({ "deskreel": api.desk.status().version, "api": "1.0" })).into_response()
}

pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

pub async fn metrics(State(api): State<Arc<Api>>, _: Caller) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (api.metrics)()).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// The recordings of the session's agent.
pub async fn recordings(
    State(api): State<Arc<Api>>,
    AgentSession(session): AgentSession,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(PageQuery { after, limit }) =
        query.map_err(|error| Problem::new(Code::BadBody, error.body_text()).at("query"))?;
    let limit = limit.unwrap_or(PAGE);
    if !(1..=PAGE_LIMIT).contains(&limit) {
        return Err(Problem::new(Code::BadBody, format!("expected 1 to {PAGE_LIMIT}")).at("?limit"));
    }
    let after = after.map(|after| {
        recording_id(&after)
            .ok_or_else(|| Problem::new(Code::BadBody, "not the id of a recording").at("?after"))
    });
    let after = after.transpose()?;
    let listed = tokio::task::spawn_blocking(move || (api.recordings)(&session.agent, after.as_ref(), limit));
    match listed.await {
        Ok(Ok(page)) => Ok(Json(page).into_response()),
        Ok(Err(reason)) => Err(Problem::new(Code::Failed, reason)),
        Err(error) => Err(Problem::new(Code::Failed, error.to_string())),
    }
}

/// Accepts only the form `20261123T071002Z-4f2a91`, since an id names a folder.
fn recording_id(text: &str) -> Option<RecordingId> {
    let shape = |byte: u8| match byte {
        b'0'..=b'9' => b'd',
        b'a'..=b'f' => b'x',
        byte => byte,
    };
    let (time, salt) = text.split_at_checked(17)?;
    let is_time = time.bytes().map(shape).eq(*b"ddddddddTddddddZ-");
    let is_salt = salt.len() == 6 && salt.bytes().all(|byte| matches!(shape(byte), b'd' | b'x'));
    if !is_time || !is_salt {
        return None;
    }
    serde_json::from_value(json!(text)).ok()
}
