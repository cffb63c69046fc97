//! Who asks, by the credentials of the request.

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

/// In front of a token among the protocols that a WebSocket offers: pages can set no other header there.
pub const IN_PROTOCOL: &str = "deskreel.bearer.";

/// Who may look: an agent's desktop, or a program with the token of this PC.
pub enum Caller {
    Agent(Arc<Session>),
    Program,
}

/// An agent's desktop.
pub struct Agent(pub Arc<Session>);

/// Name and password.
pub struct Basic {
    pub name: String,
    pub password: String,
}

/// The page that asks; the gate has let it through.
pub fn origin(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ORIGIN)?.to_str().ok()
}

/// What stands behind `scheme` in `Authorization`.
fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (found, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    found.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "Bearer").or_else(|| {
        let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        let offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        offered.map(str::trim).find_map(|protocol| protocol.strip_prefix(IN_PROTOCOL))
    })
}

pub fn basic(headers: &HeaderMap) -> Result<Option<Basic>, Problem> {
    let Some(encoded) = authorization(headers, "Basic") else { return Ok(None) };
    let wrong = || Problem::new(Code::WrongCredentials, "no name and password in it").at("Authorization");
    let decoded = STANDARD.decode(encoded).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (name, password) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Some(Basic { name: name.to_owned(), password: password.to_owned() }))
}

impl Basic {
    /// What a session keeps, so that the same name and password are known again without the cost of a hash.
    pub fn proof(&self, api: &Api) -> Digest {
        Digest::of(format!("{}\n{}\n{}", api.salt, self.name, self.password).as_bytes())
    }
}

/// The session's cookie. Others may stand beside it: loopback shares cookies among all its servers.
pub fn cookie<'a>(api: &Api, headers: &'a HeaderMap) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == api.cookie_name()).map(|(_, value)| value)
}

impl Caller {
    pub fn of(api: &Api, method: &Method, headers: &HeaderMap) -> Result<Caller, Problem> {
        if let Some(token) = bearer(headers) {
            if let Some(session) = api.sessions.by_token(token) {
                return Ok(Caller::Agent(known(session, headers)?));
            }
            if api.token == Some(Digest::of(token.as_bytes())) {
                return is_program(headers).map(|()| Caller::Program);
            }
            return Err(over().at("Authorization"));
        }
        if let Some(cookie) = cookie(api, headers) {
            let session = api.sessions.by_cookie(cookie).ok_or_else(|| over().at("Cookie"))?;
            if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
                has_csrf_token(&session, headers)?;
            }
            return Ok(Caller::Agent(known(session, headers)?));
        }
        Err(Problem::new(Code::NoCredentials, "neither a token nor a session's cookie")
            .at("Authorization")
            .cure("log in by POST /api/v1/session, and send Authorization: Bearer with its token"))
    }
}

/// A token of programs that a page has was stolen.
pub fn is_program(headers: &HeaderMap) -> Result<(), Problem> {
    match origin(headers) {
        None => Ok(()),
        Some(_) => Err(Problem::new(Code::ForeignOrigin, "the token of programs is not for pages")
            .at("Authorization")
            .cure("pages log in by an agent's name and password")),
    }
}

/// A session is that of one page. Whoever else has its token has stolen it.
pub fn known(session: Arc<Session>, headers: &HeaderMap) -> Result<Arc<Session>, Problem> {
    if session.origin.as_deref() != origin(headers) {
        return Err(Problem::new(Code::ForeignOrigin, "this session is another page's").at("Origin"));
    }
    session.touch(Instant::now());
    Ok(session)
}

fn has_csrf_token(session: &Session, headers: &HeaderMap) -> Result<(), Problem> {
    let sent = headers.get("x-csrf-token").and_then(|token| token.to_str().ok());
    if sent.is_some_and(|token| session.has_csrf(token)) {
        return Ok(());
    }
    Err(Problem::new(Code::NoCsrfToken, "a cookie alone commands nothing")
        .at("X-CSRF-Token")
        .cure("send the token that the log-in gave, or the session's token as a bearer"))
}

fn over() -> Problem {
    Problem::new(Code::SessionOver, "no session of now").cure("log in again: POST /api/v1/session")
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        Caller::of(api, &parts.method, &parts.headers)
    }
}

impl FromRequestParts<Arc<Api>> for Agent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        match Caller::of(api, &parts.method, &parts.headers)? {
            Caller::Agent(session) => Ok(Agent(session)),
            Caller::Program => Err(Problem::new(Code::NeedsSession, "the token alone is nobody's")
                .at("Authorization")
                .cure("open a session with it: POST /api/v1/session with the agent's name")),
        }
    }
}
