//! Who asks: a recorder by its token, a person by their session, a program by its token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::api::problem::Problem;
use crate::app::App;
use crate::db::recorders::Recorder;

pub const COOKIE: &str = "deskreel_session";
const CSRF: &str = "x-csrf-token";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May do everything.
    Administrator,
    /// Sees the interactions of agents in their groups, and in groups below those.
    Supervisor,
    /// Sees their own recordings.
    Agent,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Administrator => "administrator",
            Role::Supervisor => "supervisor",
            Role::Agent => "agent",
        }
    }

    pub fn named(name: &str) -> Option<Role> {
        [Role::Administrator, Role::Supervisor, Role::Agent].into_iter().find(|role| role.name() == name)
    }
}

/// A person, or a program that acts as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    pub name: String,
    pub role: Role,
    pub groups: Vec<String>,
    /// Whose recordings are their own.
    pub agent: Option<String>,
    /// Of a session; a program has none.
    #[serde(skip)]
    pub csrf: Option<String>,
}

impl Person {
    pub fn must_be(&self, role: Role) -> Result<(), Problem> {
        if self.role == role { Ok(()) } else { Err(Problem::forbidden()) }
    }
}

#[derive(Debug, Clone)]
pub enum Caller {
    Recorder(Recorder),
    Person(Person),
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Caller, Problem> {
        // Who sends this is whom it names, or nobody, whatever else comes with it.
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let token = bearer(&parts.headers).ok_or_else(|| unknown("Authorization is no bearer token"))?;
            if let Some(recorder) = app.db.recorder_of_token(token).await? {
                return Ok(Caller::Recorder(recorder));
            }
            let program = app.db.program(token).await?;
            return program.map(Caller::Person).ok_or_else(|| unknown("The token is wrong or was revoked"));
        }
        let Some(token) = cookie(&parts.headers) else { return Err(unknown("Log in first")) };
        let person = app.db.session(token).await?.ok_or_else(|| unknown("The session is over"))?;
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let given = parts.headers.get(CSRF).and_then(|value| value.to_str().ok());
        if !reads && given != person.csrf.as_deref() {
            // Another site's page has the cookie, and cannot read the token.
            return Err(Problem::new(StatusCode::FORBIDDEN, "The session's CSRF token is missing"));
        }
        Ok(Caller::Person(person))
    }
}

/// Of the routes that are for recorders alone.
impl FromRequestParts<App> for Recorder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Recorder, Problem> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::Recorder(recorder) => Ok(recorder),
            Caller::Person(_) => Err(Problem::new(StatusCode::FORBIDDEN, "Only a recorder may do this")),
        }
    }
}

/// Of the routes that are for people and their programs.
impl FromRequestParts<App> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Person, Problem> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::Person(person) => Ok(person),
            Caller::Recorder(_) => Err(Problem::new(StatusCode::FORBIDDEN, "A recorder may not do this")),
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn unknown(title: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, title)
}
