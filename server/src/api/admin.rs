//! Administration: users, tokens, recorders, retention rules, the audit log, completeness and metrics.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::{AgentId, Place};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{JsonBody, Object, Pairs, Path, trimmed};
use super::openapi::{
    AuditQuery, BadRequest, BodyProblems, CallerProblems, Conflict, Forbidden, NewProgram, NewUser, NoRoom,
    NotFound, PeriodQuery, Unavailable,
};
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
use crate::schema::{Text, Word};
use crate::time;

#[derive(Serialize, ToSchema)]
pub struct UserList {
    users: Vec<Person>,
}

/// Lists the people who may log in.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "listUsers",
    tag = "administration",
    responses((status = 200, description = "Without their passwords", body = UserList), CallerProblems),
)]
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

/// Adds a user.
#[utoipa::path(
    post,
    path = "/users",
    operation_id = "addUser",
    tag = "administration",
    request_body = NewUser,
    responses((status = 201, description = "Done"), CallerProblems, BodyProblems, Conflict, NoRoom),
)]
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

/// Removes a user, and ends their sessions.
#[utoipa::path(
    delete,
    path = "/users/{name}",
    operation_id = "removeUser",
    tag = "administration",
    params(("name" = String, Path)),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, NoRoom),
)]
pub async fn remove_user(
    State(app): State<App>,
    person: Person,
    Path(name): Path<PersonName>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "user_removed", name.as_str(), None).await?;
    no_content(app.db.remove_user(&name).await?)
}

#[derive(Serialize, ToSchema)]
pub struct CreatedToken {
    id: String,
    token: String,
}

/// Creates a token for a program.
#[utoipa::path(
    post,
    path = "/tokens",
    operation_id = "addToken",
    tag = "administration",
    request_body = NewProgram,
    responses(
        (status = 201, description = "The token is shown only now", body = CreatedToken),
        CallerProblems, BodyProblems, NoRoom,
    ),
)]
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

/// Revokes a program's token.
#[utoipa::path(
    delete,
    path = "/tokens/{id}",
    operation_id = "revokeToken",
    tag = "administration",
    params(("id" = String, Path)),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, NoRoom),
)]
pub async fn revoke_token(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "token_revoked", &id, None).await?;
    no_content(app.db.revoke_token(&id).await?)
}

#[derive(Deserialize, ToSchema)]
pub struct Enrolment {
    #[schema(value_type = Word)]
    place: String,
}

#[derive(Deserialize, Serialize, ToSchema)]
pub struct EnrolmentCode {
    #[schema(value_type = Text)]
    code: String,
}

/// Creates a code with which one recorder enrols itself.
#[utoipa::path(
    post,
    path = "/enrolments",
    operation_id = "addEnrolment",
    tag = "administration",
    request_body = Enrolment,
    responses(
        (status = 201, description = "Valid once, for a day", body = EnrolmentCode),
        CallerProblems, BodyProblems, NoRoom,
    ),
)]
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

#[derive(Serialize, ToSchema)]
pub struct EnrolledRecorder {
    #[schema(value_type = String)]
    recorder: RecorderId,
    #[schema(value_type = String)]
    place: Place,
    token: String,
}

/// Turns a code into a recorder's token.
///
/// Needs no token: this is how a recorder gets one.
#[utoipa::path(
    post,
    path = "/enrol",
    operation_id = "enrol",
    tag = "recorder",
    security(()),
    request_body = EnrolmentCode,
    responses(
        (status = 201, description = "The token is shown only now", body = EnrolledRecorder),
        Forbidden, BodyProblems, Unavailable, NoRoom,
    ),
)]
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

#[derive(Serialize, ToSchema)]
pub struct RecorderList {
    recorders: Vec<RecorderOverview>,
}

/// Lists the recorders.
#[utoipa::path(
    get,
    path = "/recorders",
    operation_id = "listRecorders",
    tag = "operations",
    responses((status = 200, description = "With their state", body = RecorderList), CallerProblems),
)]
pub async fn recorders(State(app): State<App>, person: Person) -> Answer<Json<RecorderList>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(RecorderList { recorders: app.db.recorders().await? }))
}

/// Revokes a recorder's token.
#[utoipa::path(
    delete,
    path = "/recorders/{recorder}",
    operation_id = "revokeRecorder",
    tag = "administration",
    params(("recorder" = String, Path)),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, NoRoom),
)]
pub async fn revoke_recorder(
    State(app): State<App>,
    person: Person,
    Path(recorder): Path<RecorderId>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "recorder_revoked", recorder.as_str(), None).await?;
    no_content(app.db.revoke(&recorder).await?)
}

#[derive(Serialize, ToSchema)]
pub struct RetentionRules {
    rules: Vec<Rule>,
}

/// Returns the retention rules.
#[utoipa::path(
    get,
    path = "/retention",
    operation_id = "showRetention",
    tag = "administration",
    responses(
        (status = 200, description = "The first rule that matches decides", body = RetentionRules),
        CallerProblems,
    ),
)]
pub async fn get_retention(State(app): State<App>, person: Person) -> Answer<Json<RetentionRules>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(RetentionRules { rules: app.db.retention().await? }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRetention {
    #[schema(value_type = Vec<Rule>)]
    rules: Vec<Object<Rule>>,
    /// Reports what would be deleted, and changes nothing.
    #[serde(default)]
    #[schema(default = false)]
    dry_run: bool,
}

#[derive(Serialize, ToSchema)]
pub struct RetentionEffect {
    dry_run: bool,
    due: Vec<Due>,
}

/// Sets the retention rules, or reports what they would delete (`dry_run`).
///
/// What is due is deleted within the hour, or at once with `POST /retention/sweep`.
#[utoipa::path(
    post,
    path = "/retention",
    operation_id = "setRetention",
    tag = "administration",
    request_body = NewRetention,
    responses(
        (status = 200, description = "What these rules delete", body = RetentionEffect),
        CallerProblems, BodyProblems, NoRoom,
    ),
)]
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

#[derive(Serialize, ToSchema)]
pub struct Sweep {
    /// Interactions.
    deleted: usize,
}

/// Deletes what is due now.
#[utoipa::path(
    post,
    path = "/retention/sweep",
    operation_id = "sweep",
    tag = "administration",
    responses(
        (status = 200, description = "The number of deleted interactions", body = Sweep),
        CallerProblems, NoRoom,
    ),
)]
pub async fn sweep(State(app): State<App>, person: Person) -> Answer<Json<Sweep>> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "retention_swept", "retention", None).await?;
    Ok(Json(Sweep { deleted: retention::sweep(&app).await? }))
}

#[derive(Serialize, ToSchema)]
pub struct AuditPage {
    entries: Vec<AuditEntry>,
    /// `cursor` of the next page.
    next: Option<String>,
}

/// Lists who looked at what and who changed what, newest first.
#[utoipa::path(
    get,
    path = "/audit",
    operation_id = "showAudit",
    tag = "administration",
    params(AuditQuery),
    responses((status = 200, description = "Newest first", body = AuditPage), BadRequest, CallerProblems),
)]
pub async fn audit(State(app): State<App>, person: Person, query: Pairs) -> Answer<Json<AuditPage>> {
    person.must_be(Role::Administrator)?;
    let limit =
        query.get("limit").map_or(Ok(100), str::parse).ok().filter(|limit| (1..=1000).contains(limit));
    let limit = limit.ok_or_else(|| Problem::bad_request("`limit` must be from 1 to 1000"))?;
    let entries = app.db.audit_entries(query.get("subject"), query.get("cursor"), limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit as usize).map(|last| last.id.clone());
    Ok(Json(AuditPage { entries, next }))
}

/// Compares the expected footage with what was recorded and uploaded; says why some is missing.
#[utoipa::path(
    get,
    path = "/completeness",
    operation_id = "showCompleteness",
    tag = "operations",
    params(PeriodQuery),
    responses(
        (status = 200, description = "Counts, and what is missing", body = Completeness),
        BadRequest, CallerProblems,
    ),
)]
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
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "getMetrics",
    tag = "operations",
    responses((status = 200, description = "Metrics", content_type = "text/plain"), CallerProblems),
)]
pub async fn metrics(State(app): State<App>, person: Person) -> Answer<Response> {
    person.must_be(Role::Administrator)?;
    let text = app.metrics().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
