//! Names of agents: those that the directory and administrators give them, and those in events that mean no
//! agent.

use std::collections::BTreeMap;

use deskreel_model::identities::NameKind;
use deskreel_model::{AgentId, Identities};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::directory::{DirectoryAgent, read_list};
use crate::db::sql::{Sql, row};
use crate::db::{Db, Write};
use crate::error::Result;
use crate::schema::Time;
use crate::time::{now_ms, rfc3339};

/// Rows that are shown and looked through; a feed that makes up names must not fill the index.
const MOST: i64 = 10_000;

/// A name in events of a feed that means no agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnresolvedName {
    pub kind: NameKind,
    pub name: String,
    pub feed: String,
}

/// Events with such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnresolvedEvents {
    pub events: u64,
    /// Arrival of the first and the last, in milliseconds since 1970.
    pub first: i64,
    pub last: i64,
}

/// A name in events that means no agent, with the number of these events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnresolvedName)]
pub struct UnresolvedView {
    #[schema(value_type = UnresolvedKind)]
    kind: NameKind,
    name: String,
    feed: String,
    events: u64,
    #[schema(value_type = Time)]
    first: String,
    #[schema(value_type = Time)]
    last: String,
}

/// Whether a name is an agent's or a device's.
#[expect(dead_code, reason = "only the API's document has this type")]
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum UnresolvedKind {
    Agent,
    Device,
}

row! {
    struct AssignmentRow {
        kind: String,
        name: String,
        agent: AgentId,
    }
}

row! {
    struct NamesRow {
        agent: AgentId,
        aliases: String,
        devices: String,
    }
}

row! {
    struct CountsRow {
        names: i64,
        events: i64,
    }
}

row! {
    struct UnresolvedRow {
        kind: String,
        name: String,
        feed: String,
        events: u64,
        first_ms: i64,
        last_ms: i64,
    }
}

impl Db {
    /// All agents with their names.
    pub async fn identities(&self) -> Result<Identities> {
        let rows: Vec<NamesRow> =
            sqlx::query_as("SELECT agent, aliases, devices FROM agents").fetch_all(&self.pool).await?;
        let mut names: BTreeMap<AgentId, (Vec<String>, Vec<String>)> = BTreeMap::new();
        for NamesRow { agent, aliases, devices } in rows {
            names.insert(agent, (read_list(&aliases)?, read_list(&devices)?));
        }
        for AssignmentRow { kind, name, agent } in self.assignments().await? {
            let own = names.entry(agent).or_default();
            match read_kind(&kind) {
                NameKind::Agent => own.0.push(name),
                NameKind::Device => own.1.push(name),
            }
        }
        Ok(Identities::new(names.into_iter().map(|(agent, (aliases, devices))| (agent, aliases, devices))))
    }

    async fn assignments(&self) -> Result<Vec<AssignmentRow>> {
        let query = "SELECT kind, name, agent FROM assignments ORDER BY kind, name";
        Ok(sqlx::query_as(query).fetch_all(&self.pool).await?)
    }

    /// Adds names that an administrator has assigned to those of the directory.
    pub(super) async fn add_assigned(&self, agents: &mut [DirectoryAgent]) -> Result<()> {
        for AssignmentRow { kind, name, agent } in self.assignments().await? {
            let Some(known) = agents.iter_mut().find(|known| known.agent == agent) else { continue };
            let names = match read_kind(&kind) {
                NameKind::Agent => &mut known.aliases,
                NameKind::Device => &mut known.devices,
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(())
    }

    /// Assigns a name to an agent, who is added to the directory if necessary.
    pub async fn assign(&self, kind: NameKind, name: &str, agent: &AgentId, author: &str) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query("INSERT INTO agents (agent, devices) VALUES ($1, '[]') ON CONFLICT (agent) DO NOTHING")
            .bind(agent.as_str())
            .execute(&mut *write.tx)
            .await?;
        sqlx::query(
            "INSERT INTO assignments (kind, name, agent, author, created) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (kind, name) DO UPDATE SET agent = excluded.agent, author = excluded.author, created = excluded.created",
        )
        .bind(kind.as_str())
        .bind(name)
        .bind(agent.as_str())
        .bind(author)
        .bind(now_ms())
        .execute(&mut *write.tx)
        .await?;
        write.commit().await
    }

    /// Takes an assignment back. False: there is none.
    pub async fn unassign(&self, kind: NameKind, name: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM assignments WHERE kind = $1 AND name = $2")
            .bind(kind.as_str())
            .bind(name)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Names that mean no agent, the last seen first.
    pub async fn unresolved(&self) -> Result<Vec<(UnresolvedName, UnresolvedEvents)>> {
        let mut sql = Sql::new(
            "SELECT kind, name, feed, events, first_ms, last_ms FROM unresolved ORDER BY last_ms DESC, name LIMIT ",
        );
        sql.bind(MOST);
        let rows: Vec<UnresolvedRow> = sql.rows(self).await?;
        let read = |row: UnresolvedRow| {
            let UnresolvedRow { kind, name, feed, events, first_ms: first, last_ms: last } = row;
            let name = UnresolvedName { kind: read_kind(&kind), name, feed };
            (name, UnresolvedEvents { events, first, last })
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// The number of names that mean no agent, and of events with them.
    pub async fn unresolved_counts(&self) -> Result<(i64, i64)> {
        let CountsRow { names, events } = sqlx::query_as(
            "SELECT COUNT(*) AS names, CAST(COALESCE(SUM(events), 0) AS BIGINT) AS events FROM unresolved",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((names, events))
    }

    /// Forgets names that were last seen before this time.
    pub async fn forget_unresolved(&self, before: i64) -> Result<()> {
        sqlx::query("DELETE FROM unresolved WHERE last_ms < $1").bind(before).execute(&self.pool).await?;
        Ok(())
    }
}

impl Write {
    /// Counts events with a name that means no agent.
    pub async fn count_unresolved(&mut self, of: &UnresolvedName, events: &UnresolvedEvents) -> Result<()> {
        sqlx::query(
            "INSERT INTO unresolved (kind, name, feed, events, first_ms, last_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (kind, name, feed) DO UPDATE SET events = unresolved.events + excluded.events, \
             first_ms = CASE WHEN excluded.first_ms < unresolved.first_ms THEN excluded.first_ms ELSE unresolved.first_ms END, \
             last_ms = CASE WHEN excluded.last_ms > unresolved.last_ms THEN excluded.last_ms ELSE unresolved.last_ms END",
        )
        .bind(of.kind.as_str())
        .bind(&of.name)
        .bind(&of.feed)
        .bind(i64::try_from(events.events).unwrap_or(i64::MAX))
        .bind(events.first)
        .bind(events.last)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Removes names that mean an agent now, unless more of their events have arrived since.
    pub async fn resolve(&mut self, names: &[(UnresolvedName, UnresolvedEvents)]) -> Result<()> {
        for (UnresolvedName { kind, name, feed }, UnresolvedEvents { last, .. }) in names {
            sqlx::query(
                "DELETE FROM unresolved WHERE kind = $1 AND name = $2 AND feed = $3 AND last_ms <= $4",
            )
            .bind(kind.as_str())
            .bind(name)
            .bind(feed)
            .bind(*last)
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}

impl From<(UnresolvedName, UnresolvedEvents)> for UnresolvedView {
    fn from((name, events): (UnresolvedName, UnresolvedEvents)) -> UnresolvedView {
        let UnresolvedName { kind, name, feed } = name;
        let UnresolvedEvents { events, first, last } = events;
        UnresolvedView { kind, name, feed, events, first: rfc3339(first), last: rfc3339(last) }
    }
}

fn read_kind(text: &str) -> NameKind {
    if text == NameKind::Device.as_str() { NameKind::Device } else { NameKind::Agent }
}
