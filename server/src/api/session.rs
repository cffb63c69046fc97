//! Logging in and out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::link::CredentialVerdict;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{COOKIE, Person, cookie};
use super::input::Input;
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::recorders::Recorder;
use crate::error::Result;

/// Wrong passwords for one name before it has to wait, and for how long.
const TRIES: u32 = 5;
const WAIT: Duration = Duration::from_secs(60);
/// Names that are remembered; beyond it the oldest are forgotten.
const NAMES: usize = 10_000;

#[derive(Deserialize)]
pub struct LogIn {
    name: String,
    password: String,
}

/// Who guesses passwords is slowed down, by the name that is guessed at. A try counts from its beginning, in the turn in which it is judged, so
/// that many at one time are no more than one after the other; a right password gives it back.
#[derive(Debug, Default)]
pub struct Brake(Mutex<HashMap<String, (u32, Instant)>>);

impl Brake {
    /// False: too many were wrong.
    fn begins(&self, name: &str) -> bool {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tried.get(name).is_some_and(|(tries, last)| *tries >= TRIES && last.elapsed() < WAIT) {
            return false;
        }
        if tried.len() >= NAMES {
            tried.retain(|_, (_, last)| last.elapsed() < WAIT);
        }
        let (tries, last) = tried.entry(name.to_owned()).or_insert((0, Instant::now()));
        *tries = if last.elapsed() < WAIT { *tries + 1 } else { 1 };
        *last = Instant::now();
        true
    }

    /// One try was not wrong.
    fn gives_back(&self, name: &str) {
        let mut tried = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((tries, _)) = tried.get_mut(name) {
            *tries = tries.saturating_sub(1);
        }
    }

    /// None was.
    fn succeeded(&self, name: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

pub async fn log_in(State(app): State<App>, Input(given): Input<LogIn>) -> Answer {
    let turn = app.judging().await?;
    if !app.brake.begins(&given.name) {
        let title = "Too many wrong passwords; wait a minute";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, title).retry_after(60));
    }
    let judged = app.db.log_in(&given.name, &given.password).await;
    drop(turn);
    let Some(person) = judged.inspect_err(|_| app.brake.gives_back(&given.name))? else {
        app.db.audit(&given.name, "login_failed", "session", None).await?;
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Name or password is wrong"));
    };
    app.brake.succeeded(&given.name);
    app.db.audit(&person.name, "login", "session", None).await?;
    let (token, csrf) = app.db.begin_session(&person.name).await?;
    let secure = if app.config.graph.server.tls.is_some() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/{secure}");
    let mut response = Json(describe(&Person { csrf: Some(csrf), ..person })).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Of an agent at a desktop, by way of a recorder, which is slowed down too: a stolen token is to be no way of guessing everybody's.
pub async fn verify(app: &App, from: &Recorder, name: &str, password: &str) -> Result<CredentialVerdict> {
    // No name has a NUL.
    let recorder = format!("\0{}", from.recorder);
    let turn = app.judging().await?;
    let too_many = Ok(CredentialVerdict::TooMany { seconds: WAIT.as_secs() as u32 });
    if !app.brake.begins(&recorder) {
        return too_many;
    }
    if !app.brake.begins(name) {
        app.brake.gives_back(&recorder);
        return too_many;
    }
    let judged = app.db.log_in(name, password).await.inspect_err(|_| {
        app.brake.gives_back(&recorder);
        app.brake.gives_back(name);
    });
    drop(turn);
    let person = judged?;
    let Some(agent) = person.and_then(|person| person.agent) else {
        app.db.audit(name, "login_failed", "desktop", Some(&from.place)).await?;
        return Ok(CredentialVerdict::Wrong);
    };
    app.brake.succeeded(name);
    app.brake.gives_back(&recorder);
    app.db.audit(name, "login", "desktop", Some(&from.place)).await?;
    Ok(CredentialVerdict::Right { agent: agent.as_str().into() })
}

pub async fn who(person: Person) -> Json<Value> {
    Json(describe(&person))
}

pub async fn log_out(State(app): State<App>, person: Person, headers: HeaderMap) -> Answer<Response> {
    if let Some(token) = cookie(&headers) {
        app.db.end_session(token).await?;
        app.db.audit(&person.name, "logout", "session", None).await?;
    }
    let gone = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(gone) = HeaderValue::from_str(&gone) {
        response.headers_mut().insert(header::SET_COOKIE, gone);
    }
    Ok(response)
}

fn describe(person: &Person) -> Value {
    json!({
        "name": person.name, "role": person.role, "groups": person.groups, "agent": person.agent,
        "csrf_token": person.csrf,
    })
}
