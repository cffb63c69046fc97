//! The classic endpoints, for integrations that were written for the previous recorder: `/api/v2/me` logs in,
//! `/ping` keeps the session alive.
//!
//! Both require an Origin. Each request has name and password; `/ping` also accepts the cookie. When the
//! pings stop, the session ends, and the next ping gets 401, which makes the desktop log in again. There is
//! no log-out.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::event::Seat;
use deskreel_model::{AgentId, Place};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::sessions;
use crate::Api;
use crate::caller::{basic, cookie, origin, session_of_page};
use crate::openapi::responses::*;
use crate::openapi::schemas::SupportCsrf;
use crate::problem::{Code, Problem};

const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

/// One setting of a log-in with configuration.
#[derive(Deserialize, ToSchema)]
#[schema(as = Pair)]
struct SettingPair {
    name: String,
    value: Value,
}

#[derive(Serialize)]
struct ClassicSession<'a> {
    agent: &'a AgentId,
    place: Option<&'a Place>,
}

#[derive(Serialize)]
struct Alive {}

#[derive(Deserialize)]
struct Device {
    dn: Box<str>,
    /// Part of the telephony system; events name devices without it.
    #[serde(rename = "switch")]
    _switch: Option<Box<str>>,
}

/// Answers an OPTIONS request that is not a CORS preflight; `request_checks` answers those.
#[utoipa::path(
    options,
    path = "/api/v2/me",
    operation_id = "classicLogInAsk",
    tag = "classic",
    summary = "Tells whether the page is allowed.",
    responses(AnyProblem, (status = 200, description = "The page is allowed.")),
    security(),
)]
pub async fn preflight_log_in(headers: HeaderMap) -> Result<StatusCode, Problem> {
    from_page(&headers).map(|()| StatusCode::OK)
}

/// Like [`preflight_log_in`].
#[utoipa::path(
    options,
    path = "/ping",
    operation_id = "classicPingAsk",
    tag = "classic",
    summary = "Tells whether the page is allowed.",
    responses(AnyProblem, (status = 200, description = "The page is allowed.")),
    security(),
)]
pub async fn preflight_ping(headers: HeaderMap) -> Result<StatusCode, Problem> {
    from_page(&headers).map(|()| StatusCode::OK)
}

/// Logs an agent in, as in the classic service.
///
/// Needs an Origin that is allowed.
#[utoipa::path(
    get,
    path = "/api/v2/me",
    operation_id = "classicLogIn",
    tag = "classic",
    params(SupportCsrf),
    responses(
        AnyProblem, Unauthorized, BadBody, TooMany, Failed, Late,
        (
            status = 200,
            description = "Logged in.",
            body = Object,
            content_type = "application/json",
            headers(("X-CSRF-Token" = String, description = "If requested by X-Support-CSRFP.")),
        ),
    ),
    security(("agent" = [])),
)]
pub async fn log_in(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    begin(&api, &headers, Seat { place: api.settings.place.clone(), ..Seat::default() }).await
}

/// Logs an agent in with configuration.
///
/// Needs an Origin that is allowed.
#[utoipa::path(
    post,
    path = "/api/v2/me",
    operation_id = "classicLogInWith",
    tag = "classic",
    params(SupportCsrf),
    request_body = Vec<SettingPair>,
    responses(
        AnyProblem, Unauthorized, NotJson, BadBody, TooMany, Failed, Late,
        (
            status = 200,
            description = "Logged in.",
            body = Object,
            content_type = "application/json",
            headers(("X-CSRF-Token" = String, description = "If requested by X-Support-CSRFP.")),
        ),
    ),
    security(("agent" = [])),
)]
pub async fn log_in_with(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let pairs: Vec<SettingPair> = match bytes.is_empty() {
        true => Vec::new(),
        false => serde_json::from_slice(&bytes).map_err(|error| Problem::bad_json(&error))?,
    };
    let seat = seat(pairs, &api)?;
    begin(&api, &headers, seat).await
}

/// Ignores `server` and `peer_server`: the pipeline file says where recordings go.
fn seat(pairs: Vec<SettingPair>, api: &Api) -> Result<Seat, Problem> {
    let mut seat = Seat { place: api.settings.place.clone(), ..Seat::default() };
    for (index, SettingPair { name, value }) in pairs.into_iter().enumerate() {
        let wrong = |what: String| Problem::new(Code::BadBody, what).at(format!("/{index}/value"));
        match (name.as_str(), value) {
            ("place", Value::String(place)) => seat.place = Some(place.as_str().into()),
            ("devices", devices @ Value::Array(_)) => {
                let devices: Vec<Device> =
                    serde_json::from_value(devices).map_err(|error| wrong(error.to_string()))?;
                seat.devices = devices.into_iter().map(|device| device.dn).collect();
            }
            ("place" | "server" | "peer_server", Value::Null)
            | ("server" | "peer_server", Value::String(_)) => {}
            ("place" | "server" | "peer_server", _) => return Err(wrong(format!("`{name}` must be text"))),
            ("devices", _) => return Err(wrong("`devices` must be a list of {dn, switch}".to_owned())),
            // Other settings of the desktop.
            _ => {}
        }
    }
    Ok(seat)
}

async fn begin(api: &Api, headers: &HeaderMap, seat: Seat) -> Result<Response, Problem> {
    from_page(headers)?;
    let basic = basic(headers)?.ok_or_else(no_credentials)?;
    let agent = api.passwords.verify(&basic.name, &basic.password).await?;
    let csrf =
        headers.get("x-support-csrfp").is_some_and(|wish| wish.as_bytes().eq_ignore_ascii_case(b"true"));
    let (session, secrets) =
        sessions::log_in(api, agent, seat, Some(basic.proof(api)), csrf, headers).await?;
    // A page that logs in again no longer needs its previous session.
    if let Some(before) = cookie(api, headers).and_then(|cookie| api.sessions.by_cookie(cookie)) {
        api.sessions.end(&before);
    }
    let body = Json(ClassicSession { agent: &session.agent, place: session.place.as_ref() });
    let mut response = (StatusCode::OK, body).into_response();
    response.headers_mut().insert(header::SET_COOKIE, sessions::cookie(api, &secrets.cookie));
    if let Some(csrf) = secrets.csrf.as_deref().and_then(|csrf| HeaderValue::from_str(csrf).ok()) {
        response.headers_mut().insert(CSRF_TOKEN, csrf);
    }
    Ok(response)
}

/// Keeps the session alive, as in the classic service.
#[utoipa::path(
    get,
    path = "/ping",
    operation_id = "classicPing",
    tag = "classic",
    responses(
        AnyProblem, Unauthorized,
        (status = 200, description = "The session is alive.", body = Object, content_type = "application/json"),
    ),
    security(("agent" = []), ("cookie" = [])),
)]
pub async fn ping(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    from_page(&headers)?;
    let by_cookie = cookie(&api, &headers).and_then(|cookie| api.sessions.by_cookie(cookie));
    let session = match by_cookie {
        Some(session) => session,
        None => match basic(&headers)? {
            // The digest of the log-in suffices; no password hash is computed.
            Some(basic) => api.sessions.by_proof(basic.proof(&api)).ok_or_else(over)?,
            None if cookie(&api, &headers).is_some() => return Err(over()),
            None => return Err(no_credentials()),
        },
    };
    session_of_page(session, &headers)?;
    Ok((StatusCode::OK, Json(Alive {})).into_response())
}

fn from_page(headers: &HeaderMap) -> Result<(), Problem> {
    match origin(headers) {
        Some(_) => Ok(()),
        None => {
            Err(Problem::new(Code::ForeignOrigin, "this endpoint is only for pages, which have an Origin")
                .at("Origin"))
        }
    }
}

fn no_credentials() -> Problem {
    Problem::new(Code::NoCredentials, "neither name and password nor a session's cookie").at("Authorization")
}

fn over() -> Problem {
    Problem::new(Code::SessionOver, "the session is over, or never existed")
        .cure("log in again: GET /api/v2/me")
}
