//! Retention rules. The first rule that matches an interaction decides; without a match it is kept.

use std::collections::HashSet;

use deskreel_model::InteractionId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::Db;
use crate::db::sql::{Sql, row};
use crate::error::Result;
use crate::schema::{Text, Time};
use crate::time::{now_ms, rfc3339};

const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub label: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub media: Option<String>,
    /// Matches if one of the interaction's agents is in this group or in one below it.
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    pub group: Option<String>,
    /// Counted from the end of the interaction.
    #[schema(maximum = 4294967295u32)]
    pub days: u32,
}

/// An interaction that its rule deletes now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Due {
    #[schema(value_type = String)]
    pub interaction: InteractionId,
    #[schema(value_type = Time)]
    pub ended: String,
    /// Index of the rule, from 0.
    pub rule: usize,
}

row! {
    struct RuleRow {
        label: Option<String>,
        media: Option<String>,
        grp: Option<String>,
        days: i64,
    }
}

impl From<RuleRow> for Rule {
    fn from(RuleRow { label, media, grp, days }: RuleRow) -> Rule {
        Rule { label, media, group: grp, days: u32::try_from(days).unwrap_or(u32::MAX) }
    }
}

row! {
    struct EndedRow {
        interaction: InteractionId,
        ended: i64,
    }
}

impl Db {
    pub async fn retention(&self) -> Result<Vec<Rule>> {
        let rows: Vec<RuleRow> =
            sqlx::query_as("SELECT label, media, grp, days FROM retention ORDER BY position")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(Rule::from).collect())
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

    /// Interactions that these rules would delete now, except those on hold. Also serves as a dry run.
    pub async fn due(&self, rules: &[Rule]) -> Result<Vec<Due>> {
        let mut due: Vec<Due> = Vec::new();
        let mut decided = HashSet::new();
        for (index, rule) in rules.iter().enumerate() {
            let until = now_ms() - i64::from(rule.days) * DAY_MS;
            for EndedRow { interaction, ended } in self.matching(rule).await? {
                if decided.insert(interaction.clone()) && ended < until {
                    due.push(Due { interaction, ended: rfc3339(ended), rule: index });
                }
            }
        }
        Ok(due)
    }

    /// All interactions that a rule matches, also those that are not due yet: no later rule decides on them.
    async fn matching(&self, rule: &Rule) -> Result<Vec<EndedRow>> {
        let mut sql = Sql::new(
            "SELECT interaction, ended FROM interactions i WHERE deleted IS NULL AND ended IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.interaction = i.interaction)",
        );
        sql.push_if(" AND media = ", rule.media.as_ref());
        if let Some(label) = &rule.label {
            sql.push(
                " AND EXISTS (SELECT 1 FROM labels l WHERE l.interaction = i.interaction AND l.label = ",
            );
            sql.bind(label).push(")");
        }
        if let Some(group) = &rule.group {
            let groups = self.with_groups_below(std::slice::from_ref(group)).await?;
            sql.push(
                " AND EXISTS (SELECT 1 FROM segments s JOIN agents a ON a.agent = s.agent \
                 WHERE s.interaction = i.interaction AND a.grp IN ",
            );
            sql.bind_all(&groups).push(")");
        }
        sql.push(" ORDER BY ended, interaction");
        sql.rows(self).await
    }
}
