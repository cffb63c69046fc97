//! Log-in and log-out of people, and the log-in of agents at a desktop.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::AgentId;
use deskreel_model::link::CredentialVerdict;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{COOKIE, cookie};
use super::input::JsonBody;
use super::openapi::{BodyProblems, CallerProblems, NoRoom, TooMany, Unauthorized, Unavailable};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::people::NewSession;
use crate::db::recorders::Recorder;
use crate::error::Result;
use crate::limits::logins::WAIT;
use crate::names::PersonName;
use crate::people::{Person, Role};
use crate::schema::Text;

#[derive(Deserialize, ToSchema)]
pub struct LogIn {
    #[schema(value_type = Text)]
    name: PersonName,
    #[schema(value_type = Text)]
    password: String,
}

/// The person that a session belongs to.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionPerson {
    #[schema(value_type = String)]
    name: PersonName,
    role: Role,
    groups: Vec<String>,
    #[schema(value_type = Option<String>)]
    agent: Option<AgentId>,
    /// Programs have none.
    csrf_token: Option<String>,
}

impl From<Person> for SessionPerson {
    fn from(Person { name, role, groups, agent, csrf }: Person) -> SessionPerson {
        SessionPerson { name, role, groups, agent, csrf_token: csrf }
    }
}

/// Logs in.
#[utoipa::path(
    post,
    path = "/session",
    operation_id = "logIn",
    tag = "session",
    security(()),
    request_body = LogIn,
    responses(
        (
            status = 200,
            description = "The session; its token is in the cookie",
            body = SessionPerson,
            headers(("Set-Cookie" = String)),
        ),
        Unauthorized, BodyProblems, TooMany, Unavailable, NoRoom,
    ),
)]
pub async fn log_in(State(app): State<App>, JsonBody(given): JsonBody<LogIn>) -> Answer {
    let name = given.name.as_str();
    let turn = app.password_turn().await?;
    if !app.login_attempts.begin(name) {
        let title = "Too many wrong passwords; wait a minute";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, title).retry_after(60));
    }
    let checked = app.db.log_in(&given.name, &given.password).await;
    drop(turn);
    let Some(person) = checked.inspect_err(|_| app.login_attempts.take_back(name))? else {
        app.db.audit(name, "login_failed", "session", None).await?;
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "Name or password is wrong"));
    };
    app.login_attempts.forget(name);
    app.db.audit(person.name.as_str(), "login", "session", None).await?;
    let NewSession { token, csrf } = app.db.begin_session(&person.name).await?;
    let secure = if app.config.graph.server.tls.is_some() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/{secure}");
    let person = SessionPerson::from(Person { csrf: Some(csrf), ..person });
    let mut response = Json(person).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Checks the password of an agent at a desktop. The recorder has to wait as well as the name: a stolen token
/// must not help to guess everybody's passwords.
pub async fn verify(
    app: &App,
    from: &Recorder,
    name: &PersonName,
    password: &str,
) -> Result<CredentialVerdict> {
    let attempts = &app.login_attempts;
    // No person's name contains a NUL.
    let recorder = format!("\0{}", from.id);
    let turn = app.password_turn().await?;
    let too_many = Ok(CredentialVerdict::TooMany { seconds: WAIT.as_secs() as u32 });
    if !attempts.begin(&recorder) {
        return too_many;
    }
    if !attempts.begin(name.as_str()) {
        attempts.take_back(&recorder);
        return too_many;
    }
    let checked = app.db.log_in(name, password).await.inspect_err(|_| {
        attempts.take_back(&recorder);
        attempts.take_back(name.as_str());
    });
    drop(turn);
    let person = checked?;
    let place = Some(from.place.as_str());
    let Some(agent) = person.and_then(|person| person.agent) else {
        app.db.audit(name.as_str(), "login_failed", "desktop", place).await?;
        return Ok(CredentialVerdict::Wrong);
    };
    attempts.forget(name.as_str());
    attempts.take_back(&recorder);
    app.db.audit(name.as_str(), "login", "desktop", place).await?;
    Ok(CredentialVerdict::Right { agent })
}

/// Returns the caller.
#[utoipa::path(
    get,
    path = "/session",
    operation_id = "whoAmI",
    tag = "session",
    responses((status = 200, description = "The caller", body = SessionPerson), CallerProblems),
)]
pub async fn current(person: Person) -> Json<SessionPerson> {
    Json(person.into())
}

/// Logs out.
#[utoipa::path(
    delete,
    path = "/session",
    operation_id = "logOut",
    tag = "session",
    responses((status = 204, description = "Done"), CallerProblems, NoRoom),
)]
pub async fn log_out(State(app): State<App>, person: Person, headers: HeaderMap) -> Answer<Response> {
    if let Some(token) = cookie(&headers) {
        app.db.end_session(token).await?;
        app.db.audit(person.name.as_str(), "logout", "session", None).await?;
    }
    let expired = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(expired) = HeaderValue::from_str(&expired) {
        response.headers_mut().insert(header::SET_COOKIE, expired);
    }
    Ok(response)
}
