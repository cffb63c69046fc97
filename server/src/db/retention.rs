//! How long what is kept. The first rule that an interaction fits decides; without one it stays.

use serde::{Deserialize, Serialize};
use sqlx::Row;

use crate::db::Db;
use crate::db::sql::Sql;
use crate::error::Result;
use crate::time::{now_ms, rfc3339};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub media: Option<String>,
    /// Of one of its agents; groups below count.
    #[serde(default)]
    pub group: Option<String>,
    /// From its end.
    pub days: u32,
}

/// An interaction whose time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Due {
    pub interaction: String,
    pub ended: String,
    /// Which rule, from 0.
    pub rule: usize,
}

impl Db {
    pub async fn retention(&self) -> Result<Vec<Rule>> {
        type Row = (Option<String>, Option<String>, Option<String>, i64);
        let rows: Vec<Row> =
            sqlx::query_as("SELECT label, media, grp, days FROM retention ORDER BY position")
                .fetch_all(&self.pool)
                .await?;
        let rule = |(label, media, group, days): Row| Rule {
            label,
            media,
            group,
            days: u32::try_from(days).unwrap_or(u32::MAX),
        };
        Ok(rows.into_iter().map(rule).collect())
    }

    pub async fn set_retention(&self, rules: &[Rule]) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query("DELETE FROM retention").execute(&mut *write.tx).await?;
        for (position, rule) in (0i64..).zip(rules) {
            sqlx::query(
                "INSERT INTO retention (position, label, media, grp, days) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(position)
            .bind(rule.label.as_deref())
            .bind(rule.media.as_deref())
            .bind(rule.group.as_deref())
            .bind(i64::from(rule.days))
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await
    }

    /// What these rules would take now: a dry run, and what the real one begins with. What is held is not due.
    pub async fn due(&self, rules: &[Rule]) -> Result<Vec<Due>> {
        let mut due: Vec<Due> = Vec::new();
        let mut decided = std::collections::HashSet::new();
        for (index, rule) in rules.iter().enumerate() {
            // All that fit, also those whose time is not over: a later rule has no say over them.
            let mut sql = Sql::new(
                "SELECT interaction, ended FROM interactions i WHERE deleted IS NULL AND ended IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.interaction = i.interaction)",
            );
            if let Some(media) = &rule.media {
                sql.push(" AND media = ").bind(media);
            }
            if let Some(label) = &rule.label {
                sql.push(
                    " AND EXISTS (SELECT 1 FROM labels l WHERE l.interaction = i.interaction AND l.label = ",
                );
                sql.bind(label).push(")");
            }
            if let Some(group) = &rule.group {
                let groups = self.below(std::slice::from_ref(group)).await?;
                sql.push(
                    " AND EXISTS (SELECT 1 FROM segments s JOIN agents a ON a.agent = s.agent \
                     WHERE s.interaction = i.interaction AND a.grp IN ",
                );
                sql.bind_all(&groups).push(")");
            }
            sql.push(" ORDER BY ended, interaction");
            let until = now_ms() - i64::from(rule.days) * DAY_MS;
            for row in sql.rows(self).await? {
                let (interaction, ended): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
                if decided.insert(interaction.clone()) && ended < until {
                    due.push(Due { interaction, ended: rfc3339(ended), rule: index });
                }
            }
        }
        Ok(due)
    }
}
