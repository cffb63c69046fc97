//! The audit log: records who looked at what, and who changed what.

use serde::Serialize;
use utoipa::ToSchema;

use crate::db::Db;
use crate::db::sql::{Sql, new_id, row};
use crate::error::Result;
use crate::schema::Time;
use crate::time::{now_ms, rfc3339};

#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    pub id: String,
    #[schema(value_type = Time)]
    pub at: String,
    pub who: String,
    pub what: String,
    pub subject: String,
    pub detail: Option<String>,
}

row! {
    struct AuditRow {
        id: String,
        at: i64,
        who: String,
        what: String,
        subject: String,
        detail: Option<String>,
    }
}

impl From<AuditRow> for AuditEntry {
    fn from(AuditRow { id, at, who, what, subject, detail }: AuditRow) -> AuditEntry {
        AuditEntry { id, at: rfc3339(at), who, what, subject, detail }
    }
}

impl Db {
    /// Callers write the entry before they act: an action that is not in the log must not happen.
    pub async fn audit(&self, who: &str, what: &str, subject: &str, detail: Option<&str>) -> Result<()> {
        sqlx::query("INSERT INTO audit (id, at, who, what, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(new_id()?)
            .bind(now_ms())
            .bind(who)
            .bind(what)
            .bind(subject)
            .bind(detail)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Entries, newest first, from before the entry with the id `before`.
    pub async fn audit_entries(
        &self,
        subject: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AuditEntry>> {
        let mut sql = Sql::new("SELECT id, at, who, what, subject, detail FROM audit WHERE 1 = 1");
        sql.push_if(" AND subject = ", subject).push_if(" AND id < ", before);
        sql.push(" ORDER BY id DESC LIMIT ").bind(i64::from(limit));
        let rows: Vec<AuditRow> = sql.rows(self).await?;
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }
}
