//! Agents, groups and places, as far as somebody has told them.

use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::db::Db;
use crate::db::sql::Sql;
use crate::db::visible::Scope;
use crate::error::{Error, Result};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    pub agent: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub devices: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub group: String,
    /// The group above.
    #[serde(default)]
    pub parent: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub place: String,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub devices: Vec<String>,
}

/// What an import may say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Directory {
    pub agents: Vec<Agent>,
    pub groups: Vec<Group>,
    pub places: Vec<Place>,
}

fn list(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(format!("a list cannot be read: {error}")))
}

impl Db {
    /// What is there is changed, what is new is added, nothing is taken away; all or nothing.
    pub async fn import(&self, directory: &Directory) -> Result<()> {
        let mut write = self.write().await?;
        for Group { group, parent } in &directory.groups {
            sqlx::query(
                "INSERT INTO groups (name, parent) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET parent = excluded.parent",
            )
            .bind(group)
            .bind(parent.as_deref())
            .execute(&mut *write.tx)
            .await?;
        }
        for Agent { agent, name, group, devices } in &directory.agents {
            sqlx::query(
                "INSERT INTO agents (agent, name, grp, devices) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (agent) DO UPDATE SET name = excluded.name, grp = excluded.grp, devices = excluded.devices",
            )
            .bind(agent)
            .bind(name.as_deref())
            .bind(group.as_deref())
            .bind(serde_json::json!(devices).to_string())
            .execute(&mut *write.tx)
            .await?;
        }
        for Place { place, name, devices } in &directory.places {
            sqlx::query(
                "INSERT INTO places (place, name, devices) VALUES ($1, $2, $3) \
                 ON CONFLICT (place) DO UPDATE SET name = excluded.name, devices = excluded.devices",
            )
            .bind(place)
            .bind(name.as_deref())
            .bind(serde_json::json!(devices).to_string())
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await
    }

    pub async fn agents(&self, scope: &Scope) -> Result<Vec<Agent>> {
        let mut sql = Sql::new("SELECT agent, name, grp, devices FROM agents WHERE ");
        scope.of_agent(&mut sql, "agent");
        sql.push(" ORDER BY agent");
        let mut agents = Vec::new();
        for row in sql.rows(self).await? {
            let devices: String = row.try_get(3)?;
            agents.push(Agent {
                agent: row.try_get(0)?,
                name: row.try_get(1)?,
                group: row.try_get(2)?,
                devices: list(&devices)?,
            });
        }
        Ok(agents)
    }

    pub async fn groups(&self) -> Result<Vec<Group>> {
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as("SELECT name, parent FROM groups ORDER BY name").fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(group, parent)| Group { group, parent }).collect())
    }

    pub async fn places(&self) -> Result<Vec<Place>> {
        let rows: Vec<(String, Option<String>, String)> =
            sqlx::query_as("SELECT place, name, devices FROM places ORDER BY place")
                .fetch_all(&self.pool)
                .await?;
        let place = |(place, name, devices): (String, Option<String>, String)| {
            Ok(Place { place, name, devices: list(&devices)? })
        };
        rows.into_iter().map(place).collect()
    }
}
