//! The rows that a person may see. Decided here and in the queries, never in a route.
//!
//! An administrator sees everything, a supervisor the segments of agents in their groups and in groups below
//! those, an agent their own. A person sees an interaction if they see one of its segments.

use std::collections::{BTreeMap, BTreeSet};

use deskreel_model::{AgentId, InteractionId, RecordingId};

use crate::db::Db;
use crate::db::sql::{InteractionRow, RecordingRow, Sql, row};
use crate::error::Result;
use crate::people::{Person, Role};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Groups(BTreeSet<String>),
    Own(AgentId),
    Nothing,
}

row! {
    struct GroupRow {
        name: String,
        parent: Option<String>,
    }
}

impl Scope {
    /// Adds the condition that the agent in `column` may be seen. The query must end where a condition is
    /// expected.
    pub fn restrict(&self, sql: &mut Sql, column: &'static str) {
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
            Role::Supervisor => Scope::Groups(self.with_groups_below(&person.groups).await?),
        })
    }

    /// These groups, and all groups below them.
    pub async fn with_groups_below(&self, groups: &[String]) -> Result<BTreeSet<String>> {
        let rows: Vec<GroupRow> =
            sqlx::query_as("SELECT name, parent FROM groups").fetch_all(&self.pool).await?;
        let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for GroupRow { name, parent } in rows {
            children.entry(parent.unwrap_or_default()).or_default().push(name);
        }
        let mut found = BTreeSet::new();
        let mut open: Vec<String> = groups.to_vec();
        while let Some(group) = open.pop() {
            // A group that is below itself by mistake is visited once.
            if found.insert(group.clone()) {
                open.extend(children.get(&group).into_iter().flatten().cloned());
            }
        }
        Ok(found)
    }

    pub async fn sees_recording(&self, scope: &Scope, recording: &RecordingId) -> Result<bool> {
        let mut sql = Sql::new("SELECT recording FROM recordings WHERE deleted IS NULL AND recording = ");
        sql.bind(recording).push(" AND (");
        scope.restrict(&mut sql, "agent");
        // Until the recording's own agent is known, its segments decide.
        sql.push(" OR EXISTS (SELECT 1 FROM segments WHERE segments.recording = recordings.recording AND ");
        scope.restrict(&mut sql, "segments.agent");
        sql.push("))");
        let found: Vec<RecordingRow> = sql.rows(self).await?;
        Ok(!found.is_empty())
    }

    pub async fn sees_interaction(&self, scope: &Scope, interaction: &InteractionId) -> Result<bool> {
        let mut sql =
            Sql::new("SELECT interaction FROM interactions WHERE deleted IS NULL AND interaction = ");
        sql.bind(interaction).push(
            " AND EXISTS (SELECT 1 FROM segments WHERE segments.interaction = interactions.interaction AND ",
        );
        scope.restrict(&mut sql, "segments.agent");
        sql.push(")");
        let found: Vec<InteractionRow> = sql.rows(self).await?;
        Ok(!found.is_empty())
    }
}
