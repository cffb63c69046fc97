//! Who looked at what, and who changed what.

use serde::Serialize;

use crate::db::Db;
use crate::db::sql::Sql;
use crate::error::{Error, Result};
use crate::secret;
use crate::time::{now_ms, rfc3339};
use sqlx::Row;

#[derive(Debug, Serialize)]
pub struct Entry {
    pub id: String,
    pub at: String,
    pub who: String,
    pub what: String,
    pub subject: String,
    pub detail: Option<String>,
}

impl Db {
    /// What was not written down must not happen: callers do this first.
    pub async fn audit(&self, who: &str, what: &str, subject: &str, detail: Option<&str>) -> Result<()> {
        let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
        sqlx::query("INSERT INTO audit (id, at, who, what, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(id)
            .bind(now_ms())
            .bind(who)
            .bind(what)
            .bind(subject)
            .bind(detail)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Newest first, before the entry of that id.
    pub async fn audited(
        &self,
        subject: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        let mut sql = Sql::new("SELECT id, at, who, what, subject, detail FROM audit WHERE 1 = 1");
        if let Some(subject) = subject {
            sql.push(" AND subject = ").bind(subject);
        }
        if let Some(before) = before {
            sql.push(" AND id < ").bind(before);
        }
        sql.push(" ORDER BY id DESC LIMIT ").bind(i64::from(limit));
        let mut entries = Vec::new();
        for row in sql.rows(self).await? {
            entries.push(Entry {
                id: row.try_get(0)?,
                at: rfc3339(row.try_get(1)?),
                who: row.try_get(2)?,
                what: row.try_get(3)?,
                subject: row.try_get(4)?,
                detail: row.try_get(5)?,
            });
        }
        Ok(entries)
    }
}
