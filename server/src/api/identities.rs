//! Names of agents in events: which mean nobody, which mean several agents, and whose they are.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use deskreel_model::AgentId;
use deskreel_model::identities::{Conflict, NameKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{JsonBody, trimmed};
use super::openapi::{BodyProblems, CallerProblems, NoRoom, NotFound};
use super::problem::{Answer, no_content};
use crate::app::App;
use crate::db::identities::{UnresolvedKind, UnresolvedView};
use crate::identities;
use crate::people::{Person, Role};
use crate::schema::Word;

#[derive(Serialize, ToSchema)]
pub struct Identification {
    /// Names that several agents have; they mean none of them.
    conflicts: Vec<NameConflict>,
    /// Names in events that mean no agent, the last seen first.
    unresolved: Vec<UnresolvedView>,
}

/// A name that several agents have.
#[derive(Serialize, ToSchema)]
pub struct NameConflict {
    #[schema(value_type = UnresolvedKind)]
    kind: NameKind,
    name: String,
    #[schema(value_type = Vec<String>)]
    agents: Vec<AgentId>,
    /// The same as a sentence, with the cure.
    text: String,
}

impl From<&Conflict> for NameConflict {
    fn from(conflict: &Conflict) -> NameConflict {
        NameConflict {
            kind: conflict.kind,
            name: conflict.name.to_string(),
            agents: conflict.agents.clone(),
            text: conflict.to_string(),
        }
    }
}

/// Lists names in events that mean no agent, and names that several agents have.
#[utoipa::path(
    get,
    path = "/identities",
    operation_id = "listIdentities",
    tag = "operations",
    responses((status = 200, description = "What is to be mended", body = Identification), CallerProblems),
)]
pub async fn list(State(app): State<App>, person: Person) -> Answer<Json<Identification>> {
    person.must_be(Role::Administrator)?;
    let conflicts = conflicts(&app).await?;
    let unresolved = app.db.unresolved().await?.into_iter().map(UnresolvedView::from).collect();
    Ok(Json(Identification { conflicts, unresolved }))
}

/// The conflicts of the directory as it is now.
pub async fn conflicts(app: &App) -> Answer<Vec<NameConflict>> {
    Ok(app.db.identities().await?.conflicts().iter().map(NameConflict::from).collect())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    #[schema(value_type = UnresolvedKind)]
    kind: NameKind,
    #[schema(value_type = Word)]
    name: String,
    /// The agent who is meant; without one, an earlier assignment is taken back.
    #[serde(default)]
    #[schema(value_type = Option<Word>)]
    agent: Option<AgentId>,
}

/// Assigns a name to an agent, for whom earlier events with it are then mapped.
///
/// Calls that go on are recorded from now on. The past gets its interactions and segments in the background:
/// on footage that exists; the rest is missing. Nothing is removed.
#[utoipa::path(
    post,
    path = "/identities",
    operation_id = "assignIdentity",
    tag = "operations",
    request_body = Assignment,
    responses((status = 204, description = "Done"), CallerProblems, NotFound, BodyProblems, NoRoom),
)]
pub async fn assign(
    State(app): State<App>,
    person: Person,
    JsonBody(Assignment { kind, name, agent }): JsonBody<Assignment>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    let (name, author) = (trimmed(&name, 200)?, person.name.as_str());
    let done = match agent {
        Some(agent) => {
            let agent = AgentId::from(trimmed(agent.as_str(), 200)?);
            let detail = format!("{}: {agent}", kind.as_str());
            app.db.audit(author, "name_assigned", name, Some(&detail)).await?;
            app.db.assign(kind, name, &agent, author).await?;
            true
        }
        None => {
            app.db.audit(author, "name_unassigned", name, Some(kind.as_str())).await?;
            app.db.unassign(kind, name).await?
        }
    };
    let refreshed = app.clone();
    tokio::spawn(async move { identities::refresh(&refreshed).await });
    no_content(done)
}
