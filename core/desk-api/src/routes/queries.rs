//! Queries: status, recordings, health, metrics, and the API's own description.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_desk::status::HealthProblem;
use deskreel_model::RecordingId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::caller::{AgentSession, Caller};
use crate::openapi::responses::*;
use crate::openapi::{self, schemas};
use crate::problem::{Code, Problem};
use crate::{Api, RecordingsPage};

const PAGE: usize = 50;
const PAGE_LIMIT: usize = 200;

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView<'a> {
    healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Vec<String>)]
    problems: Option<&'a [HealthProblem]>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Version)]
struct VersionView {
    deskreel: &'static str,
    api: &'static str,
}

/// Shows the status of the recorder.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    operation_id = "showStatus",
    tag = "recorder",
    responses(AnyProblem, Unauthorized, (status = 200, description = "The status.", body = schemas::Status)),
    security(("session" = []), ("cookie" = []), ("program" = [])),
)]
pub async fn status(State(api): State<Arc<Api>>, _: Caller) -> Response {
    Json(api.desk.status().as_ref()).into_response()
}

/// Tells whether a recording could begin now and a running one grows.
///
/// Anybody on this PC may ask; the problems need credentials.
#[utoipa::path(
    get,
    path = "/api/v1/health",
    operation_id = "showHealth",
    tag = "recorder",
    responses(
        AnyProblem, Unauthorized,
        (status = 200, description = "The recorder is healthy.", body = HealthView),
        (status = 503, description = "The recorder is not healthy.", body = HealthView),
    ),
    security((), ("session" = []), ("cookie" = []), ("program" = [])),
)]
pub async fn health(State(api): State<Arc<Api>>, caller: Result<Caller, Problem>) -> Response {
    let status = api.desk.status();
    let healthy = status.health.is_well();
    let code = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let problems = caller.is_ok().then_some(status.health.problems.as_slice());
    (code, Json(HealthView { healthy, problems })).into_response()
}

/// Shows the version.
#[utoipa::path(
    get,
    path = "/api/v1/version",
    operation_id = "showVersion",
    tag = "recorder",
    responses(AnyProblem, (status = 200, description = "Versions of the program and of this API.", body = VersionView)),
    security(),
)]
pub async fn version(State(api): State<Arc<Api>>) -> Response {
    Json(VersionView { deskreel: api.desk.status().version, api: "1.0" }).into_response()
}

/// Returns this document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "getDocument",
    tag = "recorder",
    responses(
        AnyProblem,
        (status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json"),
    ),
    security(),
)]
pub async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::JSON).into_response()
}

/// Returns metrics for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "recorder",
    responses(AnyProblem, Unauthorized, (status = 200, description = "Prometheus text.", body = String)),
    security(("session" = []), ("cookie" = []), ("program" = [])),
)]
pub async fn metrics(State(api): State<Arc<Api>>, _: Caller) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (api.metrics)()).into_response()
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// The last recording of the previous page.
    #[param(nullable = false, pattern = "^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$")]
    after: Option<String>,
    #[param(nullable = false, minimum = 1, maximum = 200, default = 50)]
    limit: Option<usize>,
}

/// Lists the recordings of the session's agent.
#[utoipa::path(
    get,
    path = "/api/v1/recordings",
    operation_id = "listRecordings",
    tag = "recording",
    params(PageQuery),
    responses(
        AnyProblem, Unauthorized, BadBody, Failed,
        (status = 200, description = "Newest first.", body = RecordingsPage),
    ),
    security(("session" = []), ("cookie" = [])),
)]
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
