//! What administrators do, and what tells how the server fares.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Person, Role};
use super::input::{Input, Inputs, Object, Pairs, Path, words};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::directory::{Agent, Directory, Group, Place};
use crate::db::retention::Rule;
use crate::retention;
use crate::time;

pub async fn agents(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    let scope = app.db.scope(&person).await?;
    Ok(Json(json!({ "agents": app.db.agents(&scope).await? })))
}

pub async fn groups(State(app): State<App>, _: Person) -> Answer<Json<Value>> {
    Ok(Json(json!({ "groups": app.db.groups().await? })))
}

pub async fn places(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(json!({ "places": app.db.places().await? })))
}

pub async fn set_agents(
    State(app): State<App>,
    person: Person,
    Inputs(agents): Inputs<Agent>,
) -> Answer<StatusCode> {
    import(&app, &person, Directory { agents, ..Directory::default() }).await
}

pub async fn set_groups(
    State(app): State<App>,
    person: Person,
    Inputs(groups): Inputs<Group>,
) -> Answer<StatusCode> {
    import(&app, &person, Directory { groups, ..Directory::default() }).await
}

pub async fn set_places(
    State(app): State<App>,
    person: Person,
    Inputs(places): Inputs<Place>,
) -> Answer<StatusCode> {
    import(&app, &person, Directory { places, ..Directory::default() }).await
}

async fn import(app: &App, person: &Person, directory: Directory) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    let names = directory.agents.iter().map(|one| &one.agent);
    let names = names.chain(directory.groups.iter().map(|one| &one.group));
    let names: Vec<&String> = names.chain(directory.places.iter().map(|one| &one.place)).collect();
    for name in &names {
        words(name, 200)?;
    }
    app.db.audit(&person.name, "directory", &format!("{} entries", names.len()), None).await?;
    app.db.import(&directory).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn users(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(json!({ "users": app.db.users().await? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    name: String,
    role: Role,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    agent: Option<String>,
    /// A user's; a program has a token instead.
    #[serde(default)]
    password: Option<String>,
}

impl NewPerson {
    fn person(&self) -> Answer<Person> {
        let name = words(&self.name, 200)?.to_owned();
        Ok(Person {
            name,
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
    Input(given): Input<NewPerson>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    let user = given.person()?;
    let password =
        given.password.filter(|password| (8..=1000).contains(&password.chars().count())).ok_or_else(
            || Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "A password has eight characters at least"),
        )?;
    app.db.audit(&person.name, "user_added", &user.name, Some(user.role.name())).await?;
    match app.add_user(&user, &password).await? {
        true => Ok(StatusCode::CREATED),
        false => Err(Problem::new(StatusCode::CONFLICT, "There is a user of this name")),
    }
}

pub async fn remove_user(
    State(app): State<App>,
    person: Person,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(&person.name, "user_removed", &name, None).await?;
    done(app.db.remove_user(&name).await?)
}

pub async fn add_token(
    State(app): State<App>,
    person: Person,
    Input(given): Input<NewPerson>,
) -> Answer<(StatusCode, Json<Value>)> {
    person.must_be(Role::Administrator)?;
    let program = given.person()?;
    app.db.audit(&person.name, "token_added", &program.name, Some(program.role.name())).await?;
    let (id, token) = app.db.add_token(&program).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id, "token": token }))))
}

pub async fn revoke_token(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(&person.name, "token_revoked", &id, None).await?;
    done(app.db.revoke_token(&id).await?)
}

#[derive(Deserialize)]
pub struct Enrolment {
    place: String,
}

pub async fn add_enrolment(
    State(app): State<App>,
    person: Person,
    Input(given): Input<Enrolment>,
) -> Answer<(StatusCode, Json<Value>)> {
    person.must_be(Role::Administrator)?;
    let place = words(&given.place, 200)?;
    app.db.audit(&person.name, "enrolment_added", place, None).await?;
    let code = app.db.enrolment(place).await?;
    Ok((StatusCode::CREATED, Json(json!({ "code": code }))))
}

#[derive(Deserialize)]
pub struct Code {
    code: String,
}

/// Needs no token: it is how a recorder gets one.
pub async fn enrol(State(app): State<App>, Input(given): Input<Code>) -> Answer<(StatusCode, Json<Value>)> {
    let wrong = || Problem::new(StatusCode::FORBIDDEN, "The code is wrong, was used, or is older than a day");
    let (recorder, token) = app.db.redeem(given.code.trim()).await?.ok_or_else(wrong)?;
    app.db.audit(&recorder.recorder, "enrolled", &recorder.place, None).await?;
    let body = json!({ "recorder": recorder.recorder, "place": recorder.place, "token": token });
    Ok((StatusCode::CREATED, Json(body)))
}

pub async fn recorders(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(json!({ "recorders": app.db.recorders().await? })))
}

pub async fn revoke_recorder(
    State(app): State<App>,
    person: Person,
    Path(recorder): Path<String>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(&person.name, "recorder_revoked", &recorder, None).await?;
    done(app.db.revoke(&recorder).await?)
}

pub async fn get_retention(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(json!({ "rules": app.db.retention().await? })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    rules: Vec<Object<Rule>>,
    /// Say what would go, and change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// What is due goes within the hour, or at once where `POST /retention/sweep` asks for it.
pub async fn set_retention(
    State(app): State<App>,
    person: Person,
    Input(given): Input<Retention>,
) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    let rules: Vec<Rule> = given.rules.into_iter().map(|Object(rule)| rule).collect();
    let due = app.db.due(&rules).await?;
    if !given.dry_run {
        let text = serde_json::to_string(&rules).unwrap_or_default();
        app.db.audit(&person.name, "retention_set", "retention", Some(&text)).await?;
        app.db.set_retention(&rules).await?;
    }
    Ok(Json(json!({ "dry_run": given.dry_run, "due": due })))
}

pub async fn sweep(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    app.db.audit(&person.name, "retention_swept", "retention", None).await?;
    Ok(Json(json!({ "deleted": retention::sweep(&app).await? })))
}

pub async fn audit(State(app): State<App>, person: Person, query: Pairs) -> Answer<Json<Value>> {
    person.must_be(Role::Administrator)?;
    let limit =
        query.get("limit").map_or(Ok(100), str::parse).ok().filter(|limit| (1..=1000).contains(limit));
    let limit = limit.ok_or_else(|| Problem::bad_request("`limit` is from 1 to 1000"))?;
    let entries = app.db.audited(query.get("subject"), query.get("cursor"), limit).await?;
    let next = entries.last().filter(|_| entries.len() == limit as usize).map(|last| last.id.clone());
    Ok(Json(json!({ "entries": entries, "next": next })))
}

pub async fn completeness(State(app): State<App>, person: Person, query: Pairs) -> Answer<Response> {
    if person.role == Role::Agent {
        return Err(Problem::forbidden());
    }
    let at = |name: &str, absent: i64| match query.get(name) {
        None => Ok(absent),
        Some(text) => time::parse(text).ok_or_else(|| Problem::bad_request(format!("`{name}` is no time"))),
    };
    let (from, to) = (at("from", 0)?, at("to", i64::MAX)?);
    let scope = app.db.scope(&person).await?;
    Ok(Json(app.db.completeness(&scope, from, to).await?).into_response())
}

/// For Prometheus.
pub async fn metrics(State(app): State<App>, person: Person) -> Answer<Response> {
    person.must_be(Role::Administrator)?;
    let text = app.metrics().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

fn done(there: bool) -> Answer<StatusCode> {
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
