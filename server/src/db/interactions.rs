//! Finding interactions, and all that there is to one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::db::Db;
use crate::db::sql::Sql;
use crate::db::visible::Scope;
use crate::error::Result;
use crate::time::{now_ms, rfc3339};

/// A recording that is not closed and of which nothing came for so long is not live; on a still screen, a fragment may last
/// ten minutes.
pub const SILENCE_MS: i64 = 11 * 60 * 1000;

/// What is looked for; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub agent: Option<String>,
    pub group: Option<String>,
    pub call: Option<String>,
    pub label: Option<String>,
    pub media: Option<String>,
    pub direction: Option<String>,
    pub role: Option<String>,
    /// Milliseconds since 1970.
    pub from: Option<i64>,
    pub to: Option<i64>,
    pub min_ms: Option<i64>,
    pub max_ms: Option<i64>,
    pub attached: Vec<(String, String)>,
    pub tags: Vec<(String, Option<String>)>,
    /// Where the page before ended: when it started, and its id.
    pub after: Option<(i64, String)>,
    pub limit: u32,
}

#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    pub interaction: String,
    pub started: String,
    pub ended: Option<String>,
    pub duration_ms: Option<i64>,
    pub media: String,
    pub direction: Option<String>,
    pub agents: Vec<String>,
    pub calls: Vec<String>,
    pub labels: Vec<String>,
    pub has_footage: &'static str,
    pub live: bool,
    pub held: bool,
    #[serde(skip)]
    pub started_ms: i64,
}

#[derive(Debug, Clone)]
pub struct Segment {
    pub interaction: String,
    pub agent: String,
    pub place: Option<String>,
    pub recording: Option<String>,
    pub call: Option<String>,
    pub role: String,
    pub from: i64,
    pub to: Option<i64>,
    pub why: String,
    /// Of its recording: media time zero, and whether something of it may still come.
    pub zero: Option<i64>,
    pub live: bool,
    /// There is footage.
    pub is_there: bool,
    pub missing: Option<String>,
}

impl Db {
    /// Newest first; one more than the limit, where there is more.
    pub async fn find(&self, scope: &Scope, filter: &Filter) -> Result<Vec<Summary>> {
        let mut sql = Sql::new(
            "SELECT interaction, media, direction, started, ended FROM interactions i WHERE deleted IS NULL \
             AND EXISTS (SELECT 1 FROM segments s WHERE s.interaction = i.interaction AND ",
        );
        scope.of_agent(&mut sql, "s.agent");
        // One segment has all that was asked of segments.
        if let Some(agent) = &filter.agent {
            sql.push(" AND s.agent = ").bind(agent);
        }
        if let Some(role) = &filter.role {
            sql.push(" AND s.role = ").bind(role);
        }
        if let Some(group) = &filter.group {
            let groups = self.below(std::slice::from_ref(group)).await?;
            sql.push(" AND s.agent IN (SELECT agent FROM agents WHERE grp IN ").bind_all(&groups).push(")");
        }
        sql.push(")");
        if let Some(call) = &filter.call {
            sql.push(" AND EXISTS (SELECT 1 FROM calls c WHERE c.interaction = i.interaction AND c.call = ")
                .bind(call)
                .push(")");
        }
        if let Some(label) = &filter.label {
            sql.push(
                " AND EXISTS (SELECT 1 FROM labels l WHERE l.interaction = i.interaction AND l.label = ",
            )
            .bind(label)
            .push(")");
        }
        for (key, value) in &filter.attached {
            sql.push(
                " AND EXISTS (SELECT 1 FROM attached a WHERE a.interaction = i.interaction AND a.key = ",
            )
            .bind(key)
            .push(" AND a.value = ")
            .bind(value)
            .push(")");
        }
        for (name, value) in &filter.tags {
            sql.push(" AND EXISTS (SELECT 1 FROM tags t WHERE t.interaction = i.interaction AND t.name = ")
                .bind(name);
            if let Some(value) = value {
                sql.push(" AND t.value = ").bind(value);
            }
            sql.push(")");
        }
        for (column, value) in [(" AND media = ", &filter.media), (" AND direction = ", &filter.direction)] {
            if let Some(value) = value {
                sql.push(column).bind(value);
            }
        }
        for (condition, value) in [
            (" AND started >= ", filter.from),
            (" AND started < ", filter.to),
            (" AND ended - started >= ", filter.min_ms),
            (" AND ended - started <= ", filter.max_ms),
        ] {
            if let Some(value) = value {
                sql.push(condition).bind(value);
            }
        }
        if let Some((started, interaction)) = &filter.after {
            sql.push(" AND (started < ").bind(*started).push(" OR (started = ").bind(*started);
            sql.push(" AND interaction < ").bind(interaction).push("))");
        }
        sql.push(" ORDER BY started DESC, interaction DESC LIMIT ").bind(i64::from(filter.limit) + 1);
        let rows = sql.rows(self).await?;
        self.summaries(scope, rows).await
    }

    /// `None`: there is none, or not for this scope.
    pub async fn summary(&self, scope: &Scope, interaction: &str) -> Result<Option<Summary>> {
        if !self.sees_interaction(scope, interaction).await? {
            return Ok(None);
        }
        let mut sql = Sql::new(
            "SELECT interaction, media, direction, started, ended FROM interactions WHERE interaction = ",
        );
        sql.bind(interaction);
        let rows = sql.rows(self).await?;
        Ok(self.summaries(scope, rows).await?.pop())
    }

    async fn summaries(&self, scope: &Scope, rows: Vec<AnyRow>) -> Result<Vec<Summary>> {
        let ids: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let mut segments: BTreeMap<String, Vec<Segment>> = BTreeMap::new();
        for segment in self.segments(scope, &ids).await? {
            segments.entry(segment.interaction.clone()).or_default().push(segment);
        }
        let calls = self.words("SELECT interaction, call FROM calls WHERE interaction IN ", &ids).await?;
        let labels = self.words("SELECT interaction, label FROM labels WHERE interaction IN ", &ids).await?;
        let holds = self.words("SELECT interaction, reason FROM holds WHERE interaction IN ", &ids).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let interaction: String = row.try_get(0)?;
            let (started, ended): (i64, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
            let segments = segments.get(&interaction).map_or(&[][..], Vec::as_slice);
            let there = segments.iter().filter(|segment| segment.is_there).count();
            let agents: BTreeSet<_> = segments.iter().map(|segment| segment.agent.clone()).collect();
            let words =
                |of: &BTreeMap<String, Vec<String>>| of.get(&interaction).cloned().unwrap_or_default();
            found.push(Summary {
                started: rfc3339(started),
                ended: ended.map(rfc3339),
                duration_ms: ended.map(|ended| ended - started),
                media: row.try_get(1)?,
                direction: row.try_get(2)?,
                agents: agents.into_iter().collect(),
                calls: words(&calls),
                labels: words(&labels),
                has_footage: match there {
                    0 => "none",
                    there if there < segments.len() => "some",
                    _ => "all",
                },
                live: segments.iter().any(|segment| segment.live),
                held: holds.contains_key(&interaction),
                started_ms: started,
                interaction,
            });
        }
        Ok(found)
    }

    /// Of these interactions, as far as the scope sees them, in the order of time.
    pub async fn segments(&self, scope: &Scope, interactions: &[String]) -> Result<Vec<Segment>> {
        let mut sql = Sql::new(
            "SELECT s.interaction, s.agent, s.place, s.recording, s.call, s.role, s.from_ms, s.to_ms, s.why, \
             r.started, r.closed, r.deleted, r.touched, r.bytes, r.why_deleted, f.missing \
             FROM segments s LEFT JOIN recordings r ON r.recording = s.recording \
             LEFT JOIN footage f ON f.footage = s.footage WHERE s.interaction IN ",
        );
        sql.bind_all(interactions).push(" AND ");
        scope.of_agent(&mut sql, "s.agent");
        sql.push(" ORDER BY s.from_ms, s.id");
        let mut found = Vec::new();
        for row in sql.rows(self).await? {
            let (closed, deleted): (Option<i64>, Option<i64>) = (row.try_get(10)?, row.try_get(11)?);
            let (touched, bytes): (Option<i64>, Option<i64>) = (row.try_get(12)?, row.try_get(13)?);
            let (why_deleted, missing): (Option<String>, Option<String>) =
                (row.try_get(14)?, row.try_get(15)?);
            let fresh = touched.is_some_and(|touched| now_ms() - touched < SILENCE_MS);
            let is_there = deleted.is_none() && bytes.unwrap_or(0) > 0;
            let none = || (!is_there).then(|| "nothing of it has arrived".to_owned());
            found.push(Segment {
                interaction: row.try_get(0)?,
                agent: row.try_get(1)?,
                place: row.try_get(2)?,
                recording: row.try_get(3)?,
                call: row.try_get(4)?,
                role: row.try_get(5)?,
                from: row.try_get(6)?,
                to: row.try_get(7)?,
                why: row.try_get(8)?,
                zero: row.try_get(9)?,
                live: is_there && closed.is_none() && fresh,
                is_there,
                missing: why_deleted.filter(|_| deleted.is_some()).or(missing).or_else(none),
            });
        }
        Ok(found)
    }

    /// The words of each interaction, in order.
    async fn words(&self, query: &'static str, ids: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
        let mut sql = Sql::new(query);
        sql.bind_all(ids).push(" ORDER BY 1, 2");
        let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sql.rows(self).await? {
            words.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
        }
        Ok(words)
    }

    /// With attached data and the stretches on hold.
    pub async fn calls(&self, interaction: &str) -> Result<Vec<Value>> {
        let attached: Vec<(String, String, String)> =
            sqlx::query_as("SELECT call, key, value FROM attached WHERE interaction = $1")
                .bind(interaction)
                .fetch_all(&self.pool)
                .await?;
        let rows: Vec<(String, Option<String>, Option<String>, String)> = sqlx::query_as(
            "SELECT call, direction, type, held FROM calls WHERE interaction = $1 ORDER BY call",
        )
        .bind(interaction)
        .fetch_all(&self.pool)
        .await?;
        let call = |(call, direction, kind, held): (String, Option<String>, Option<String>, String)| {
            let own = attached.iter().filter(|(of, ..)| *of == call);
            let own: BTreeMap<&str, &str> =
                own.map(|(_, key, value)| (key.as_str(), value.as_str())).collect();
            let held: Value = serde_json::from_str(&held).unwrap_or_default();
            serde_json::json!({ "call": call, "direction": direction, "type": kind, "attached": own, "held": held })
        };
        Ok(rows.into_iter().map(call).collect())
    }
}
