//! The directory: agents, groups and places with their names, as administrators import them.

use deskreel_model::{AgentId, Place};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::Db;
use crate::db::scope::Scope;
use crate::db::sql::{Sql, row};
use crate::error::{Error, Result};
use crate::schema::{Text, Word};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Agent)]
pub struct DirectoryAgent {
    #[schema(value_type = Word)]
    pub agent: AgentId,
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub group: Option<String>,
    /// Other ids of the agent, as feeds write them.
    #[serde(default)]
    #[schema(value_type = Vec<Text>)]
    pub aliases: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Vec<Text>)]
    pub devices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Group)]
pub struct DirectoryGroup {
    #[schema(value_type = Word)]
    pub group: String,
    /// The group above.
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub parent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Place)]
pub struct DirectoryPlace {
    #[schema(value_type = Word)]
    pub place: Place,
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Vec<Text>)]
    pub devices: Vec<String>,
}

/// The content of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    pub agents: Vec<DirectoryAgent>,
    pub groups: Vec<DirectoryGroup>,
    pub places: Vec<DirectoryPlace>,
}

row! {
    struct AgentRow {
        agent: AgentId,
        name: Option<String>,
        grp: Option<String>,
        aliases: String,
        devices: String,
    }
}

row! {
    struct GroupRow {
        name: String,
        parent: Option<String>,
    }
}

row! {
    struct PlaceRow {
        place: Place,
        name: Option<String>,
        devices: String,
    }
}

impl Db {
    /// Changes existing entries, adds new ones and removes none; all or nothing.
    pub async fn import(&self, directory: &Directory) -> Result<()> {
        let mut write = self.write().await?;
        for DirectoryGroup { group, parent } in &directory.groups {
            sqlx::query(
                "INSERT INTO groups (name, parent) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET parent = excluded.parent",
            )
            .bind(group)
            .bind(parent.as_deref())
            .execute(&mut *write.tx)
            .await?;
        }
        for DirectoryAgent { agent, name, group, aliases, devices } in &directory.agents {
            sqlx::query(
                "INSERT INTO agents (agent, name, grp, devices, aliases) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (agent) DO UPDATE SET name = excluded.name, grp = excluded.grp, \
                 devices = excluded.devices, aliases = excluded.aliases",
            )
            .bind(agent.as_str())
            .bind(name.as_deref())
            .bind(group.as_deref())
            .bind(serde_json::json!(devices).to_string())
            .bind(serde_json::json!(aliases).to_string())
            .execute(&mut *write.tx)
            .await?;
        }
        for DirectoryPlace { place, name, devices } in &directory.places {
            sqlx::query(
                "INSERT INTO places (place, name, devices) VALUES ($1, $2, $3) \
                 ON CONFLICT (place) DO UPDATE SET name = excluded.name, devices = excluded.devices",
            )
            .bind(place.as_str())
            .bind(name.as_deref())
            .bind(serde_json::json!(devices).to_string())
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await
    }

    /// Agents, with the names that administrators have assigned.
    pub async fn agents(&self, scope: &Scope) -> Result<Vec<DirectoryAgent>> {
        let mut sql = Sql::new("SELECT agent, name, grp, aliases, devices FROM agents WHERE ");
        scope.restrict(&mut sql, "agent");
        sql.push(" ORDER BY agent");
        let agent = |AgentRow { agent, name, grp, aliases, devices }| {
            let (aliases, devices) = (read_list(&aliases)?, read_list(&devices)?);
            Ok(DirectoryAgent { agent, name, group: grp, aliases, devices })
        };
        let agents: Result<Vec<DirectoryAgent>> = sql.rows(self).await?.into_iter().map(agent).collect();
        let mut agents = agents?;
        self.add_assigned(&mut agents).await?;
        Ok(agents)
    }

    pub async fn groups(&self) -> Result<Vec<DirectoryGroup>> {
        let rows: Vec<GroupRow> =
            sqlx::query_as("SELECT name, parent FROM groups ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|GroupRow { name, parent }| DirectoryGroup { group: name, parent }).collect())
    }

    pub async fn places(&self) -> Result<Vec<DirectoryPlace>> {
        let rows: Vec<PlaceRow> = sqlx::query_as("SELECT place, name, devices FROM places ORDER BY place")
            .fetch_all(&self.pool)
            .await?;
        let place = |PlaceRow { place, name, devices }| {
            Ok(DirectoryPlace { place, name, devices: read_list(&devices)? })
        };
        rows.into_iter().map(place).collect()
    }
}

pub(super) fn read_list(json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|error| Error::Corrupt(format!("cannot read a list: {error}")))
}
