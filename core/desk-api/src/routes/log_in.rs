//! Sessions: begun by a password or the token of programs, kept alive by anything that is asked, ended by a word or silence.

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
use crate::caller::{Agent, basic, bearer, is_program, origin};
use crate::problem::{Code, Problem};
use crate::secret::Digest;
use crate::session::{LogIn, Secrets, Session};
use crate::{Api, Scheme};
use deskreel_desk::{Act, Refused};

/// Characters in names of agents, places, devices, groups and skills.
const NAME: usize = 256;
/// Devices, groups or skills of one agent.
const NAMES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
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
pub struct Shown<'a> {
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
    let asked: Asked = object(&bytes)?;
    let (agent, proof) = who(&api, &headers, asked.agent.as_deref()).await?;
    let seat = Seat {
        place: asked.place.as_deref().map(Into::into).or_else(|| api.settings.place.clone()),
        devices: asked.devices,
        groups: asked.groups,
        skills: asked.skills,
    };
    let (session, secrets) = log_in(&api, agent, seat, proof, true, &headers).await?;
    let shown = shown(&api, &session, Some(&secrets));
    Ok((StatusCode::CREATED, [(header::SET_COOKIE, cookie(&api, &secrets.cookie))], Json(shown))
        .into_response())
}

/// By name and password, or by the token of programs and a name in the body.
async fn who(
    api: &Api,
    headers: &HeaderMap,
    named: Option<&str>,
) -> Result<(AgentId, Option<Digest>), Problem> {
    if let Some(basic) = basic(headers)? {
        let agent = api.agents.verify(&basic.name, &basic.password).await?;
        return match named {
            Some(named) if named != agent.as_str() => {
                Err(Problem::new(Code::NotYours, "the password is another agent's").at("/agent"))
            }
            _ => Ok((agent, Some(basic.proof(api)))),
        };
    }
    let Some(token) = bearer(headers) else {
        return Err(Problem::new(Code::NoCredentials, "neither name and password nor the token of programs")
            .at("Authorization")
            .cure("send Authorization: Basic with an agent's, or Bearer with the token of `token_file`"));
    };
    if api.token != Some(Digest::of(token.as_bytes())) {
        return Err(Problem::new(Code::WrongCredentials, "not the token of programs").at("Authorization"));
    }
    is_program(headers)?;
    let named = named.ok_or_else(|| {
        Problem::new(Code::BadBody, "the token is nobody's: say whose session it is").at("/agent")
    })?;
    Ok((named.into(), None))
}

/// Tells the desk, and begins a session once it agrees.
pub async fn log_in(
    api: &Api,
    agent: AgentId,
    seat: Seat,
    proof: Option<Digest>,
    csrf: bool,
    headers: &HeaderMap,
) -> Result<(Arc<Session>, Secrets), Problem> {
    is_named(agent.as_str(), "/agent")?;
    if let Some(place) = &seat.place {
        is_named(place.as_str(), "/place")?;
    }
    for (names, place) in [(&seat.devices, "/devices"), (&seat.groups, "/groups"), (&seat.skills, "/skills")]
    {
        if names.len() > NAMES {
            return Err(Problem::new(Code::BadBody, format!("more than {NAMES}")).at(place));
        }
        for (index, name) in names.iter().enumerate() {
            is_named(name, &format!("{place}/{index}"))?;
        }
    }
    let place = seat.place.clone();
    let _turn = api.turn.lock().await;
    api.desk.ask(Act::LogIn { agent: agent.clone(), seat }, api.limits.act).await?;
    let origin: Option<Box<str>> = origin(headers).map(Into::into);
    tracing::info!(%agent, page = origin.as_deref(), "logged in");
    let begins = LogIn { agent, place, origin, proof, csrf };
    let begun = api.sessions.begin(begins, Utc(jiff::Timestamp::now()), Instant::now());
    begun.map_err(|error| Problem::new(Code::Failed, error.to_string()))
}

fn is_named(name: &str, place: &str) -> Result<(), Problem> {
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

/// For pages of other sites on https; on http browsers send it to pages of loopback only.
pub fn cookie(api: &Api, secret: &str) -> HeaderValue {
    let name = api.cookie_name();
    let attributes = match api.settings.scheme {
        Scheme::Https => "Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
        Scheme::Http => "Path=/; HttpOnly; SameSite=Strict",
    };
    HeaderValue::from_str(&format!("{name}={secret}; {attributes}")).unwrap_or(HeaderValue::from_static(""))
}

pub fn shown<'a>(api: &Api, session: &'a Session, secrets: Option<&'a Secrets>) -> Shown<'a> {
    Shown {
        agent: &session.agent,
        place: session.place.as_ref().map(|place| place.as_str()),
        since: session.since,
        silence_ms: u64::try_from(api.settings.session.as_millis()).unwrap_or(u64::MAX),
        token: secrets.map(|secrets| secrets.token.as_str()),
        csrf_token: secrets.and_then(|secrets| secrets.csrf.as_deref()),
    }
}

pub async fn show(State(api): State<Arc<Api>>, Agent(session): Agent) -> Response {
    Json(shown(&api, &session, None)).into_response()
}

/// The caller was found by its credentials, and with that the session has been heard of.
pub async fn ping(_: Agent) -> StatusCode {
    StatusCode::NO_CONTENT
}

/// The agent is logged out, and all sessions of theirs are over.
pub async fn end(State(api): State<Arc<Api>>, Agent(session): Agent) -> Result<StatusCode, Problem> {
    let _turn = api.turn.lock().await;
    let agent = session.agent.clone();
    match api.desk.ask(Act::LogOut { agent: agent.clone() }, api.limits.act).await {
        // It is as it was asked to be.
        Ok(_) | Err(Refused::NotLoggedIn(_)) => {}
        Err(refused) => return Err(refused.into()),
    }
    api.sessions.end_of(&agent);
    Ok(StatusCode::NO_CONTENT)
}
