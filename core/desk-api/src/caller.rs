//! Identifies the caller by the credentials of the request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::time::Instant;

use super::Api;
use super::problem::{Code, Problem};
use super::secret::Digest;
use super::session::Session;

/// Prefix of a token among the protocols that a WebSocket offers: pages cannot set any other header there.
pub const BEARER_PROTOCOL: &str = "deskreel.bearer.";

/// An agent's desktop, or a program with the token of programs. A program can only read.
pub enum Caller {
    Agent(Arc<Session>),
    Program,
}

/// An agent's desktop. Extracting it refuses programs without a session.
pub struct AgentSession(pub Arc<Session>);

/// An agent's name and password.
pub struct BasicCredentials {
    pub name: String,
    pub password: String,
}

/// The page that sent the request, which has passed [`request_checks`](super::request_checks).
pub fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN)?.to_str().ok()
}

/// The credentials after `scheme` in `Authorization`.
fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (found, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "Bearer").or_else(|| {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        offered.map(str::trim).find_map(|protocol| protocol.strip_prefix(BEARER_PROTOCOL))
    })
}

pub fn basic(headers: &HeaderMap) -> Result<Option<BasicCredentials>, Problem> {
    let Some(encoded) = authorization(headers, "Basic") else { return Ok(None) };
    let wrong =
        || Problem::new(Code::WrongCredentials, "not a name and a password in Base64").at("Authorization");
    let decoded = STANDARD.decode(encoded).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (name, password) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Some(BasicCredentials { name: name.to_owned(), password: password.to_owned() }))
}

impl BasicCredentials {
    /// A digest that the session keeps, so that the same name and password are recognized without the cost of
    /// a hash.
    pub fn proof(&self, api: &Api) -> Digest {
        Digest::of(format!("{}\n{}\n{}", api.salt, self.name, self.password).as_bytes())
    }
}

/// The session's cookie. There may be others: all servers on loopback share their cookies.
pub fn cookie<'a>(api: &Api, headers: &'a HeaderMap) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == api.cookie_name()).map(|(_, value)| value)
}

impl Caller {
    pub fn identify(api: &Api, method: &Method, headers: &HeaderMap) -> Result<Caller, Problem> {
        if let Some(token) = bearer(headers) {
            if let Some(session) = api.sessions.by_token(token) {
                return Ok(Caller::Agent(session_of_page(session, headers)?));
            }
            if api.token == Some(Digest::of(token.as_bytes())) {
                return refuse_pages(headers).map(|()| Caller::Program);
            }
            return Err(session_over().at("Authorization"));
        }
        if let Some(cookie) = cookie(api, headers) {
            let session = api.sessions.by_cookie(cookie).ok_or_else(|| session_over().at("Cookie"))?;
            if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
                has_csrf_token(&session, headers)?;
            }
            return Ok(Caller::Agent(session_of_page(session, headers)?));
        }
        Err(Problem::new(Code::NoCredentials, "neither a token nor a session's cookie")
            .at("Authorization")
            .cure("log in with POST /api/v1/session, and send Authorization: Bearer with its token"))
    }
}

/// Refuses a page: if it has the token of programs, the token was stolen.
pub fn refuse_pages(headers: &HeaderMap) -> Result<(), Problem> {
    match origin(headers) {
        None => Ok(()),
        Some(_) => Err(Problem::new(Code::ForeignOrigin, "pages may not use the token of programs")
            .at("Authorization")
            .cure("log in with an agent's name and password")),
    }
}

/// Refuses a session whose token comes from another page than the one that logged in: it was stolen.
pub fn session_of_page(session: Arc<Session>, headers: &HeaderMap) -> Result<Arc<Session>, Problem> {
    if session.origin.as_deref() != origin(headers) {
        return Err(Problem::new(Code::ForeignOrigin, "this session belongs to another page").at("Origin"));
    }
    session.touch(Instant::now());
    Ok(session)
}

fn has_csrf_token(session: &Session, headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get("x-csrf-token").and_then(|token| token.to_str().ok());
    if sent.is_some_and(|token| session.has_csrf(token)) {
        return Ok(());
    }
    Err(Problem::new(Code::NoCsrfToken, "a cookie alone is not enough to change something")
        .at("X-CSRF-Token")
        .cure("send the `csrf_token` of the log-in, or the session's token as a bearer"))
}

fn session_over() -> Problem {
    Problem::new(Code::SessionOver, "there is no such session any more")
        .cure("log in again: POST /api/v1/session")
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        Caller::identify(api, &parts.method, &parts.headers)
    }
}

impl FromRequestParts<Arc<Api>> for AgentSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        match Caller::identify(api, &parts.method, &parts.headers)? {
            Caller::Agent(session) => Ok(AgentSession(session)),
            Caller::Program => {
                Err(Problem::new(Code::NeedsSession, "the token of programs belongs to no agent")
                    .at("Authorization")
                    .cure("open a session with it: POST /api/v1/session with the agent's name"))
            }
        }
    }
}
