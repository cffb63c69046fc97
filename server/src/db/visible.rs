//! Who may see what. Decided here and in the queries, never in a route.
//!
//! An administrator sees everything, a supervisor the segments of agents in their groups and in groups below those, an agent
//! their own. An interaction is seen by whoever sees a segment of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{Person, Role};
use crate::db::Db;
use crate::db::sql::Sql;
use crate::error::Result;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Groups(BTreeSet<String>),
    Own(String),
    Nothing,
}

impl Scope {
    /// Adds a condition on the column `agent`, which stands before.
    pub fn of_agent(&self, sql: &mut Sql, column: &'static str) {
        match self {
            Scope::All => drop(sql.push("1 = 1")),
            Scope::Nothing => drop(sql.push("1 = 0")),
            Scope::Own(agent) => drop(sql.push(column).push(" = ").bind(agent)),
            Scope::Groups(groups) => {
                sql.push(column)
                    .push(" IN (SELECT agent FROM agents WHERE grp IN ")
                    .bind_all(groups)
                    .push(")");
            }
        }
    }
}

impl Db {
    pub async fn scope(&self, person: &Person) -> Result<Scope> {
        Ok(match person.role {
            Role::Administrator => Scope::All,
            Role::Agent => person.agent.clone().map_or(Scope::Nothing, Scope::Own),
            Role::Supervisor => Scope::Groups(self.below(&person.groups).await?),
        })
    }

    /// These groups, and all below them.
    pub async fn below(&self, groups: &[String]) -> Result<BTreeSet<String>> {
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as("SELECT name, parent FROM groups").fetch_all(&self.pool).await?;
        let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, parent) in rows {
            children.entry(parent.unwrap_or_default()).or_default().push(name);
        }
        let mut found = BTreeSet::new();
        let mut open: Vec<String> = groups.to_vec();
        while let Some(group) = open.pop() {
            // A group that is, by mistake, below itself, is met once.
            if found.insert(group.clone()) {
                open.extend(children.get(&group).into_iter().flatten().cloned());
            }
        }
        Ok(found)
    }

    pub async fn sees_recording(&self, scope: &Scope, recording: &str) -> Result<bool> {
        let mut sql = Sql::new("SELECT recording FROM recordings WHERE deleted IS NULL AND recording = ");
        sql.bind(recording).push(" AND (");
        scope.of_agent(&mut sql, "agent");
        // Before anything was said about it, its segments say whose it is.
        sql.push(" OR EXISTS (SELECT 1 FROM segments WHERE segments.recording = recordings.recording AND ");
        scope.of_agent(&mut sql, "segments.agent");
        sql.push("))");
        Ok(!sql.rows(self).await?.is_empty())
    }

    pub async fn sees_interaction(&self, scope: &Scope, interaction: &str) -> Result<bool> {
        let mut sql = Sql::new("SELECT 1 FROM interactions WHERE deleted IS NULL AND interaction = ");
        sql.bind(interaction).push(
            " AND EXISTS (SELECT 1 FROM segments WHERE segments.interaction = interactions.interaction AND ",
        );
        scope.of_agent(&mut sql, "segments.agent");
        sql.push(")");
        Ok(!sql.rows(self).await?.is_empty())
    }
}
