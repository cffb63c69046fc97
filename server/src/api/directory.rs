//! The directory of agents, groups and places.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::identities::{NameConflict, conflicts};
use super::input::{OneOrMany, trimmed};
use super::openapi::{Agents, BodyProblems, CallerProblems, Groups, NoRoom, Places};
use super::problem::Answer;
use crate::app::App;
use crate::db::directory::{Directory, DirectoryAgent, DirectoryGroup, DirectoryPlace};
use crate::identities;
use crate::people::{Person, Role};

#[derive(Serialize, ToSchema)]
pub struct AgentList {
    agents: Vec<DirectoryAgent>,
}

#[derive(Serialize, ToSchema)]
pub struct GroupList {
    groups: Vec<DirectoryGroup>,
}

#[derive(Serialize, ToSchema)]
pub struct PlaceList {
    places: Vec<DirectoryPlace>,
}

#[derive(Serialize, ToSchema)]
pub struct DirectoryConflicts {
    /// Names that mean nobody until one agent has them alone.
    conflicts: Vec<NameConflict>,
}

/// Lists agents.
#[utoipa::path(
    get,
    path = "/agents",
    operation_id = "listAgents",
    tag = "directory",
    responses(
        (status = 200, description = "Those that the caller may see", body = AgentList),
        CallerProblems,
    ),
)]
pub async fn agents(State(app): State<App>, person: Person) -> Answer<Json<AgentList>> {
    let scope = app.db.scope(&person).await?;
    Ok(Json(AgentList { agents: app.db.agents(&scope).await? }))
}

/// Lists groups of agents.
#[utoipa::path(
    get,
    path = "/groups",
    operation_id = "listGroups",
    tag = "directory",
    responses(
        (status = 200, description = "Those that the caller may see", body = GroupList),
        CallerProblems,
    ),
)]
pub async fn groups(State(app): State<App>, _: Person) -> Answer<Json<GroupList>> {
    Ok(Json(GroupList { groups: app.db.groups().await? }))
}

/// Lists places.
#[utoipa::path(
    get,
    path = "/places",
    operation_id = "listPlaces",
    tag = "directory",
    responses(
        (status = 200, description = "Those that the caller may see", body = PlaceList),
        CallerProblems,
    ),
)]
pub async fn places(State(app): State<App>, person: Person) -> Answer<Json<PlaceList>> {
    person.must_be(Role::Administrator)?;
    Ok(Json(PlaceList { places: app.db.places().await? }))
}

/// Adds or changes agents.
#[utoipa::path(
    post,
    path = "/agents",
    operation_id = "setAgents",
    tag = "directory",
    request_body = Agents,
    responses(
        (status = 200, description = "Done, but several agents have the same name", body = DirectoryConflicts),
        (status = 204, description = "Done"),
        CallerProblems, BodyProblems, NoRoom,
    ),
)]
pub async fn set_agents(
    State(app): State<App>,
    person: Person,
    OneOrMany(agents): OneOrMany<DirectoryAgent>,
) -> Answer<Response> {
    let done = import(&app, &person, Directory { agents, ..Directory::default() }).await?;
    let changed = app.clone();
    tokio::spawn(async move { identities::refresh(&changed).await });
    let conflicts = conflicts(&app).await?;
    Ok(if conflicts.is_empty() {
        done.into_response()
    } else {
        Json(DirectoryConflicts { conflicts }).into_response()
    })
}

/// Adds or changes groups.
#[utoipa::path(
    post,
    path = "/groups",
    operation_id = "setGroups",
    tag = "directory",
    request_body = Groups,
    responses((status = 204, description = "Done"), CallerProblems, BodyProblems, NoRoom),
)]
pub async fn set_groups(
    State(app): State<App>,
    person: Person,
    OneOrMany(groups): OneOrMany<DirectoryGroup>,
) -> Answer<StatusCode> {
    import(&app, &person, Directory { groups, ..Directory::default() }).await
}

/// Adds or changes places.
#[utoipa::path(
    post,
    path = "/places",
    operation_id = "setPlaces",
    tag = "directory",
    request_body = Places,
    responses((status = 204, description = "Done"), CallerProblems, BodyProblems, NoRoom),
)]
pub async fn set_places(
    State(app): State<App>,
    person: Person,
    OneOrMany(places): OneOrMany<DirectoryPlace>,
) -> Answer<StatusCode> {
    import(&app, &person, Directory { places, ..Directory::default() }).await
}

async fn import(app: &App, person: &Person, directory: Directory) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    let names = directory.agents.iter().map(|one| one.agent.as_str());
    let names = names.chain(directory.groups.iter().map(|one| one.group.as_str()));
    let names: Vec<&str> = names.chain(directory.places.iter().map(|one| one.place.as_str())).collect();
    for name in &names {
        trimmed(name, 200)?;
    }
    let subject = format!("{} entries", names.len());
    app.db.audit(person.name.as_str(), "directory", &subject, None).await?;
    app.db.import(&directory).await?;
    Ok(StatusCode::NO_CONTENT)
}
