//! Sessions: a password or the token of programs begins one, every request keeps it alive, a log-out or
//! silence ends it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::event::Seat;
use deskreel_model::{AgentId, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::object;
use crate::caller::{AgentSession, basic, bearer, origin, refuse_pages};
use crate::openapi::responses::*;
use crate::openapi::schemas::{CsrfToken, Name as NameSchema, Names};
use crate::problem::{Code, Problem};
use crate::secret::Digest;
use crate::session::{NewSession, Session, SessionSecrets};
use crate::{Api, Scheme};
use deskreel_desk::{Act, Refused};

/// Most characters in names of agents, places, devices, groups and skills.
const NAME: usize = 256;
/// Most devices, groups or skills of one agent.
const NAMES: usize = 64;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LogIn)]
pub struct LogInRequest {
    #[schema(value_type = Option<NameSchema>)]
    agent: Option<String>,
    #[schema(value_type = Option<NameSchema>)]
    place: Option<String>,
    #[serde(default)]
    #[schema(value_type = Names)]
    devices: Vec<Box<str>>,
    #[serde(default)]
    #[schema(value_type = Names)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    #[schema(value_type = Names)]
    skills: Vec<Box<str>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionView<'a> {
    #[schema(value_type = String)]
    agent: &'a AgentId,
    #[schema(required = true)]
    place: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    since: Utc,
    /// A session that is silent for longer is over.
    silence_ms: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NewSession)]
pub struct NewSessionView<'a> {
    #[serde(flatten)]
    session: SessionView<'a>,
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = true, nullable = false)]
    csrf_token: Option<&'a str>,
}

/// Logs an agent in.
///
/// The request has an agent's name and password, or the token of programs and the agent's name in the body.
/// Ends the sessions of all other agents.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    operation_id = "logIn",
    tag = "session",
    request_body = LogInRequest,
    responses(
        AnyProblem, Unauthorized, NotJson, BadBody, TooMany, Failed, Late,
        (
            status = 201,
            description = "A session. Its secrets are shown only this once.",
            body = NewSessionView,
            headers(("Set-Cookie" = String, description = "The session's cookie, for desktops that cannot send a bearer token.")),
        ),
    ),
    security(("agent" = []), ("program" = [])),
)]
pub async fn begin(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let asked: LogInRequest = object(&bytes)?;
    let (agent, proof) = identify(&api, &headers, asked.agent.as_deref()).await?;
    let seat = Seat {
        place: asked.place.as_deref().map(Into::into).or_else(|| api.settings.place.clone()),
        devices: asked.devices,
        groups: asked.groups,
        skills: asked.skills,
    };
    let (session, secrets) = log_in(&api, agent, seat, proof, true, &headers).await?;
    let body = NewSessionView {
        session: view(&api, &session),
        token: &secrets.token,
        csrf_token: secrets.csrf.as_deref(),
    };
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie(&api, &secrets.cookie))], Json(body))
        .into_response())
}

/// Identifies the agent: by name and password, or by the token of programs and the name in the body.
async fn identify(
    api: &Api,
    headers: &HeaderMap,
    named: Option<&str>,
) -> Result<(AgentId, Option<Digest>), Problem> {
    if let Some(basic) = basic(headers)? {
        let agent = api.passwords.verify(&basic.name, &basic.password).await?;
        return match named {
            Some(named) if named != agent.as_str() => {
                Err(Problem::new(Code::NotYours, "the password belongs to another agent").at("/agent"))
            }
            _ => Ok((agent, Some(basic.proof(api)))),
        };
    }
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(Code::NoCredentials, "neither name and password nor the token of programs")
            .at("Authorization")
            .cure("send Authorization: Basic with an agent's name and password, or Bearer with the token of `token_file`"));
    };
    if api.token != Some(Digest::of(token.as_bytes())) {
        return Err(
            Problem::new(Code::WrongCredentials, "this is not the token of programs").at("Authorization")
        );
    }
    refuse_pages(headers)?;
    let named = named.ok_or_else(|| {
        Problem::new(Code::BadBody, "the token belongs to no agent: send the agent's name as well")
            .at("/agent")
    })?;
    Ok((named.into(), None))
}

/// Logs the agent in at the desk, and then begins a session.
pub async fn log_in(
    api: &Api,
    agent: AgentId,
    seat: Seat,
    proof: Option<Digest>,
    csrf: bool,
    headers: &HeaderMap,
) -> Result<(Arc<Session>, SessionSecrets), Problem> {
    check_name(agent.as_str(), "/agent")?;
    if let Some(place) = &seat.place {
        check_name(place.as_str(), "/place")?;
    }
    for (names, place) in [(&seat.devices, "/devices"), (&seat.groups, "/groups"), (&seat.skills, "/skills")]
    {
        if names.len() > NAMES {
            return Err(Problem::new(Code::BadBody, format!("more than {NAMES} names")).at(place));
        }
        for (index, name) in names.iter().enumerate() {
            check_name(name, &format!("{place}/{index}"))?;
        }
    }
    let place = seat.place.clone();
    let _turn = api.turn.lock().await;
    api.desk.ask(Act::LogIn { agent: agent.clone(), seat }, api.limits.act).await?;
    let origin: Option<Box<str>> = origin(headers).map(Into::into);
    tracing::info!(%agent, page = origin.as_deref(), "logged in");
    let new = NewSession { agent, place, origin, proof, csrf };
    let session = api.sessions.begin(new, Utc(jiff::Timestamp::now()), Instant::now());
    session.map_err(|error| Problem::new(Code::Failed, error.to_string()))
}

fn check_name(name: &str, place: &str) -> Result<(), Problem> {
    match name {
        "" => Err(Problem::new(Code::BadBody, "the name is empty").at(place)),
        name if name.chars().count() > NAME => {
            Err(Problem::new(Code::BadBody, format!("more than {NAME} characters")).at(place))
        }
        name if name.contains(char::is_control) => {
            Err(Problem::new(Code::BadBody, "a name has no control characters").at(place))
        }
        _ => Ok(()),
    }
}

/// The session's cookie. On https it also works for pages of other sites; on http, browsers send it for pages
/// of loopback only.
pub fn cookie(api: &Api, secret: &str) -> HeaderValue {
    let name = api.cookie_name();
    let attributes = match api.settings.scheme {
        Scheme::Https => "Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
        Scheme::Http => "Path=/; HttpOnly; SameSite=Strict",
    };
    HeaderValue::from_str(&format!("{name}={secret}; {attributes}")).unwrap_or(HeaderValue::from_static(""))
}

fn view<'a>(api: &Api, session: &'a Session) -> SessionView<'a> {
    SessionView {
        agent: &session.agent,
        place: session.place.as_ref().map(|place| place.as_str()),
        since: session.since,
        silence_ms: u64::try_from(api.settings.session.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Shows the session.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    operation_id = "showSession",
    tag = "session",
    responses(AnyProblem, Unauthorized, (status = 200, description = "The session.", body = SessionView)),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn show(State(api): State<Arc<Api>>, AgentSession(session): AgentSession) -> Response {
    Json(view(&api, &session)).into_response()
}

/// Keeps the session alive.
///
/// So does every other request with credentials.
#[utoipa::path(
    post,
    path = "/api/v1/session/ping",
    operation_id = "ping",
    tag = "session",
    params(CsrfToken),
    responses(AnyProblem, Unauthorized, NotJson, (status = 204, description = "The session is alive.")),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn ping(_: AgentSession) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Logs the agent out, and ends all the agent's sessions.
///
/// The running recording is ended and finished.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    operation_id = "logOut",
    tag = "session",
    params(CsrfToken),
    responses(AnyProblem, Unauthorized, NotJson, Failed, Late, (status = 204, description = "Logged out.")),
    security(("session" = []), ("cookie" = [])),
)]
pub async fn end(
    State(api): State<Arc<Api>>,
    AgentSession(session): AgentSession,
) -> Result<StatusCode, Problem> {
    let _turn = api.turn.lock().await;
    let agent = session.agent.clone();
    match api.desk.ask(Act::LogOut { agent: agent.clone() }, api.limits.act).await {
        // Already logged out is as good.
        Ok(_) | Err(Refused::NotLoggedIn(_)) => {}
        Err(refused) => return Err(refused.into()),
    }
    api.sessions.end_all_of(&agent);
    Ok(StatusCode::NO_CONTENT)
}
