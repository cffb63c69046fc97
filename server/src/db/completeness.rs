//! What was to be recorded, what was, what has arrived, and why not.

use serde::Serialize;
use sqlx::Row;

use crate::db::Db;
use crate::db::interactions::SILENCE_MS;
use crate::db::sql::Sql;
use crate::db::visible::Scope;
use crate::error::Result;
use crate::time::{now_ms, rfc3339};

#[derive(Debug, Default, Serialize)]
pub struct Completeness {
    /// Footage that was decided on, and recordings that recorders made by themselves.
    pub expected: u64,
    /// Something of it was recorded.
    pub captured: u64,
    /// All of it is here.
    pub uploaded: u64,
    /// What is not here and does not run, newest first; a thousand at most.
    pub missing: Vec<Missing>,
}

#[derive(Debug, Serialize)]
pub struct Missing {
    pub recording: Option<String>,
    pub agent: Option<String>,
    pub interaction: Option<String>,
    pub at: String,
    pub why: String,
}

const MOST: usize = 1000;

impl Db {
    pub async fn completeness(&self, scope: &Scope, from: i64, to: i64) -> Result<Completeness> {
        let mut all = Completeness::default();
        let mut sql = Sql::new(
            "SELECT r.recording, COALESCE(r.agent, f.agent), COALESCE(r.started, f.from_ms), r.bytes, r.closed, \
             r.deleted, r.touched, f.missing, (SELECT MIN(interaction) FROM segments s WHERE s.recording = r.recording) \
             FROM recordings r LEFT JOIN footage f ON f.recording = r.recording \
             WHERE COALESCE(r.started, f.from_ms) >= ",
        );
        sql.bind(from).push(" AND COALESCE(r.started, f.from_ms) < ").bind(to).push(" AND ");
        scope.of_agent(&mut sql, "COALESCE(r.agent, f.agent)");
        sql.push(
            " UNION ALL SELECT f.recording, f.agent, f.from_ms, 0, NULL, NULL, NULL, f.missing, \
             (SELECT MIN(interaction) FROM segments s WHERE s.footage = f.footage) FROM footage f \
             WHERE NOT EXISTS (SELECT 1 FROM recordings r WHERE r.recording = f.recording) AND f.from_ms >= ",
        );
        sql.bind(from).push(" AND f.from_ms < ").bind(to).push(" AND ");
        scope.of_agent(&mut sql, "f.agent");
        sql.push(" ORDER BY 3 DESC, 1 DESC");
        for row in sql.rows(self).await? {
            let (bytes, closed): (i64, Option<i64>) = (row.try_get(3)?, row.try_get(4)?);
            let (deleted, touched): (Option<i64>, Option<i64>) = (row.try_get(5)?, row.try_get(6)?);
            all.expected += 1;
            // What was deleted had been here.
            all.captured += u64::from(bytes > 0 || deleted.is_some());
            all.uploaded += u64::from(closed.is_some());
            let runs = touched.is_some_and(|touched| now_ms() - touched < SILENCE_MS);
            if closed.is_some() || deleted.is_some() || runs || all.missing.len() >= MOST {
                continue;
            }
            let known: Option<String> = row.try_get(7)?;
            let why = known.unwrap_or_else(|| match touched {
                Some(touched) => {
                    format!("it is not whole, and nothing of it came since {}", rfc3339(touched))
                }
                None => "nothing of it has arrived".to_owned(),
            });
            all.missing.push(Missing {
                recording: row.try_get(0)?,
                agent: row.try_get(1)?,
                interaction: row.try_get(8)?,
                at: rfc3339(row.try_get(2)?),
                why,
            });
        }
        Ok(all)
    }
}
