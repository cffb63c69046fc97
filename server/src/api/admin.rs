//! Administration: users, tokens, recorders, retention rules, the audit log, completeness and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::{AgentId, Place};
use serde::{Deserialize, Serialize};

use super::input::{JsonBody, Object, Pairs, Path, trimmed};
use super::problem::{Answer, Problem, no_content};
use crate::app::App;
use crate::db::audit::AuditEntry;
use crate::db::completeness::Completeness;
use crate::db::people::NewToken;
use crate::db::recorders::RecorderOverview;
use crate::db::retention::{Due, Rule};
use crate::names::{PersonName, RecorderId};
use crate::people::{Person, Role};
use crate::retention;
use crate::time;

#[derive(Serialize)]
pub struct UserList {
    users: Vec<Person>,
}

pub async fn users(State(app): State<App>, person: Person) -> Answer<Json<UserList>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(UserList { users: app.db.users().await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    name: String,
    role: Role,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    agent: Option<AgentId>,
    /// Required for a user; a program has a token instead.
    #[serde(default)]
    password: Option<String>,
}

impl NewPerson {
    fn person(&self) -> Answer<Person> {
        let name = trimmed(&self.name, 200)?.to_owned();
        Ok(Person {
            name: PersonName(name),
            role: self.role,
            groups: self.groups.clone(),
            agent: self.agent.clone(),
            csrf: None,
        })
    }
}

pub async fn add_user(
    State(app): State<App>,
    person: Person,
    JsonBody(given): JsonBody<NewPerson>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    let user = given.person()?;
    let password = given.password.filter(|password| (8..=1000).contains(&password.chars().count()));
    let password = password.ok_or_else(|| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "A password needs 8 to 1000 characters")
    })?;
    let role = Some(user.role.name());
    app.db.audit(person.name.as_str(), "user_added", user.name.as_str(), role).await?;
    match app.add_user(&user, &password).await? {
        true => Ok(StatusCode::CREATED),
        false => Err(Problem::new(StatusCode::CONFLICT, "A user of this name exists already")),
    }
}

pub async fn remove_user(
    State(app): State<App>,
    person: Person,
    Path(name): Path<PersonName>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "user_removed", name.as_str(), None).await?;
    no_content(app.db.remove_user(&name).await?)
}

#[derive(Serialize)]
pub struct CreatedToken {
    id: String,
    token: String,
}

pub async fn add_token(
    State(app): State<App>,
    person: Person,
    JsonBody(given): JsonBody<NewPerson>,
) -> Answer<(StatusCode, Json<CreatedToken>)> {
    person.must_be(Role::Administrator)?;
    let program = given.person()?;
    let role = Some(program.role.name());
    app.db.audit(person.name.as_str(), "token_added", program.name.as_str(), role).await?;
    let NewToken { id, token } = app.db.add_token(&program).await?;
    Ok((StatusCode::CREATED, Json(CreatedToken { id, token })))
}

pub async fn revoke_token(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "token_revoked", &id, None).await?;
    no_content(app.db.revoke_token(&id).await?)
}

#[derive(Deserialize)]
pub struct Enrolment {
    place: String,
}

#[derive(Deserialize, Serialize)]
pub struct EnrolmentCode {
    code: String,
}

pub async fn add_enrolment(
    State(app): State<App>,
    person: Person,
    JsonBody(given): JsonBody<Enrolment>,
) -> Answer<(StatusCode, Json<EnrolmentCode>)> {
    person.must_be(Role::Administrator)?;
    let place = Place::from(trimmed(&given.place, 200)?);
    app.db.audit(person.name.as_str(), "enrolment_added", place.as_str(), None).await?;
    let code = app.db.add_enrolment(&place).await?;
    Ok((StatusCode::CREATED, Json(EnrolmentCode { code })))
}

#[derive(Serialize)]
pub struct EnrolledRecorder {
    recorder: RecorderId,
    place: Place,
    token: String,
}

/// Needs no token: this is how a recorder gets one.
pub async fn enrol(
    State(app): State<App>,
    JsonBody(given): JsonBody<EnrolmentCode>,
) -> Answer<(StatusCode, Json<EnrolledRecorder>)> {
    let wrong = || {
        let title = "The code is wrong, used, or older than a day; ask for a new one";
        Problem::new(StatusCode::FORBIDDEN, title)
    };
    let (recorder, token) = app.db.redeem(given.code.trim()).await?.ok_or_else(wrong)?;
    app.db.audit(recorder.id.as_str(), "enrolled", recorder.place.as_str(), None).await?;
    let body = EnrolledRecorder { recorder: recorder.id, place: recorder.place, token };
    Ok((StatusCode::CREATED, Json(body)))
}

#[derive(Serialize)]
pub struct RecorderList {
    recorders: Vec<RecorderOverview>,
}

pub async fn recorders(State(app): State<App>, person: Person) -> Answer<Json<RecorderList>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(RecorderList { recorders: app.db.recorders().await? }))
}

pub async fn revoke_recorder(
    State(app): State<App>,
    person: Person,
    Path(recorder): Path<RecorderId>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "recorder_revoked", recorder.as_str(), None).await?;
    no_content(app.db.revoke(&recorder).await?)
}

#[derive(Serialize)]
pub struct RetentionRules {
    rules: Vec<Rule>,
}

pub async fn get_retention(State(app): State<App>, person: Person) -> Answer<Json<RetentionRules>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(RetentionRules { rules: app.db.retention().await? }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRetention {
    rules: Vec<Object<Rule>>,
    /// Reports what would be deleted, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Serialize)]
pub struct RetentionEffect {
    dry_run: bool,
    due: Vec<Due>,
}

/// What is due is deleted within the hour, or at once with `POST /retention/sweep`.
pub async fn set_retention(
    State(app): State<App>,
    person: Person,
    JsonBody(given): JsonBody<NewRetention>,
) -> Answer<Json<RetentionEffect>> {
    person.must_be(Role::Administrator)?;
    let NewRetention { rules, dry_run } = given;
    let rules: Vec<Rule> = rules.into_iter().map(|Object(rule)| rule).collect();
    let due = app.db.due(&rules).await?;
    if !dry_run {
        let text = serde_json::to_string(&rules).unwrap_or_default();
        app.db.audit(person.name.as_str(), "retention_set", "retention", Some(&text)).await?;
        app.db.set_retention(&rules).await?;
    }
    Ok(Json(RetentionEffect { dry_run, due }))
}

#[derive(Serialize)]
pub struct Sweep {
    /// Interactions.
    deleted: usize,
}

pub async fn sweep(State(app): State<App>, person: Person) -> Answer<Json<Sweep>> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "retention_swept", "retention", None).await?;
    Ok(Json(Sweep { deleted: retention::sweep(&app).await? }))
}

#[derive(Serialize)]
pub struct AuditPage {
    entries: Vec<AuditEntry>,
    /// `cursor` of the next page.
    next: Option<String>,
}

pub async fn audit(State(app): State<App>, person: Person, query: Pairs) -> Answer<Json<AuditPage>> {
    person.must_be(Role::Administrator)?;
    let limit =
        query.get("limit").map_or(Ok(100), str::parse).ok().filter(|limit| (1..=1000).contains(limit));
    let limit = limit.ok_or_else(|| Problem::bad_request("`limit` must be from 1 to 1000"))?;
    let entries = app.db.audit_entries(query.get("subject"), query.get("cursor"), limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit as usize).map(|last| last.id.clone());
    Ok(Json(AuditPage { entries, next }))
}

pub async fn completeness(
    State(app): State<App>,
    person: Person,
    query: Pairs,
) -> Answer<Json<Completeness>> {
    if person.role == Role::Agent {
        return Err(Problem::forbidden());
    }
    let at = |name: &str, absent: i64| match query.get(name) {
        None => Ok(absent),
        Some(text) => {
            time::parse(text).ok_or_else(|| Problem::bad_request(format!("`{name}` is not a time")))
        }
    };
    let (from, to) = (at("from", 0)?, at("to", i64::MAX)?);
    let scope = app.db.scope(&person).await?;
    Ok(Json(app.db.completeness(&scope, from, to).await?))
}

/// Metrics in the text format of Prometheus.
pub async fn metrics(State(app): State<App>, person: Person) -> Answer<Response> {
    person.must_be(Role::Administrator)?;
    let text = app.metrics().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
