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

use super::object;
use crate::caller::{AgentSession, basic, bearer, origin, refuse_pages};
use crate::problem::{Code, Problem};
use crate::secret::Digest;
use crate::session::{NewSession, Session, SessionSecrets};
use crate::{Api, Scheme};
use deskreel_desk::{Act, Refused};

/// Most characters in names of agents, places, devices, groups and skills.
const NAME: usize = 256;
/// Most devices, groups or skills of one agent.
const NAMES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogInRequest {
    agent: Option<String>,
    place: Option<String>,
    #[serde(default)]
    devices: Vec<Box<str>>,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    skills: Vec<Box<str>>,
}

#[derive(Serialize)]
pub struct SessionView<'a> {
    agent: &'a AgentId,
    place: Option<&'a str>,
    since: Utc,
    /// A session that is silent for longer is over.
    silence_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<&'a str>,
}

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
    let body = view(&api, &session, Some(&secrets));
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

pub fn view<'a>(api: &Api, session: &'a Session, secrets: Option<&'a SessionSecrets>) -> SessionView<'a> {
    SessionView {
        agent: &session.agent,
        place: session.place.as_ref().map(|place| place.as_str()),
        since: session.since,
        silence_ms: u64::try_from(api.settings.session.as_millis()).unwrap_or(u64::MAX),
        token: secrets.map(|secrets| secrets.token.as_str()),
        csrf_token: secrets.and_then(|secrets| secrets.csrf.as_deref()),
    }
}

pub async fn show(State(api): State<Arc<Api>>, AgentSession(session): AgentSession) -> Response {
    Json(view(&api, &session, None)).into_response()
}

/// Does nothing: every request with credentials keeps the session alive.
pub async fn ping(_: AgentSession) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Logs the agent out, and ends all the agent's sessions.
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
