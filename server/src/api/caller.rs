//! Identifies the caller: a recorder or a program by its token, a person by their session.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};

use crate::api::problem::Problem;
use crate::app::App;
use crate::db::recorders::Recorder;
use crate::people::{Person, Role};

pub const COOKIE: &str = "deskreel_session";
const CSRF: &str = "x-csrf-token";

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
        // Decides alone, whatever other credentials the request has.
        if parts.headers.contains_key(header::AUTHORIZATION) {
            let token =
                bearer(&parts.headers).ok_or_else(|| unknown("Authorization is not a bearer token"))?;
            if let Some(recorder) = app.db.recorder_of_token(token).await? {
                return Ok(Caller::Recorder(recorder));
            }
            let program = app.db.program(token).await?;
            return program.map(Caller::Person).ok_or_else(|| unknown("The token is wrong or was revoked"));
        }
        let Some(token) = cookie(&parts.headers) else { return Err(unknown("Log in first")) };
        let person =
            app.db.session(token).await?.ok_or_else(|| unknown("The session has ended; log in again"))?;
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let given = parts.headers.get(CSRF).and_then(|value| value.to_str().ok());
        if !is_read && given != person.csrf.as_deref() {
            // A page of another site sends the cookie too, but cannot read the token.
            return Err(Problem::new(StatusCode::FORBIDDEN, "The session's CSRF token is missing"));
        }
        Ok(Caller::Person(person))
    }
}

/// For routes that only recorders may use.
impl FromRequestParts<App> for Recorder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Recorder, Problem> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::Recorder(recorder) => Ok(recorder),
            Caller::Person(_) => Err(Problem::new(StatusCode::FORBIDDEN, "Only a recorder may do this")),
        }
    }
}

/// For routes of people and programs.
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
