//! Completeness: counts what was to be recorded, what was captured and what has arrived, with the reasons for
//! the rest.

use deskreel_model::{AgentId, InteractionId, RecordingId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::Db;
use crate::db::interactions::SILENCE_MS;
use crate::db::scope::Scope;
use crate::db::sql::{Sql, row};
use crate::error::Result;
use crate::schema::Time;
use crate::time::{now_ms, rfc3339};

#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Completeness {
    /// Footage that was decided on, and recordings that recorders made by themselves.
    pub expected: u64,
    /// Of these, the number with any footage.
    pub captured: u64,
    /// Of these, the number that is here as a whole.
    pub uploaded: u64,
    /// Those that are neither here nor running, newest first; at most a thousand.
    pub missing: Vec<Missing>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MissingFootage)]
pub struct Missing {
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentId>,
    #[schema(value_type = Option<String>)]
    pub interaction: Option<InteractionId>,
    #[schema(value_type = Time)]
    pub at: String,
    pub why: String,
}

/// Most entries of `missing`.
const MOST: usize = 1000;

row! {
    struct ExpectedRow {
        recording: Option<RecordingId>,
        agent: Option<AgentId>,
        at: i64,
        bytes: i64,
        closed: Option<i64>,
        deleted: Option<i64>,
        touched: Option<i64>,
        missing: Option<String>,
        interaction: Option<InteractionId>,
    }
}

impl Db {
    pub async fn completeness(&self, scope: &Scope, from: i64, to: i64) -> Result<Completeness> {
        let mut all = Completeness::default();
        let mut sql = Sql::new(
            "SELECT r.recording AS recording, COALESCE(r.agent, f.agent) AS agent, COALESCE(r.started, f.from_ms) AS at, \
             r.bytes AS bytes, r.closed AS closed, r.deleted AS deleted, r.touched AS touched, f.missing AS missing, \
             (SELECT MIN(interaction) FROM segments s WHERE s.recording = r.recording) AS interaction \
             FROM recordings r LEFT JOIN footage f ON f.recording = r.recording \
             WHERE COALESCE(r.started, f.from_ms) >= ",
        );
        sql.bind(from).push(" AND COALESCE(r.started, f.from_ms) < ").bind(to).push(" AND ");
        scope.restrict(&mut sql, "COALESCE(r.agent, f.agent)");
        sql.push(
            " UNION ALL SELECT f.recording, f.agent, f.from_ms, 0, NULL, NULL, NULL, f.missing, \
             (SELECT MIN(interaction) FROM segments s WHERE s.footage = f.footage) FROM footage f \
             WHERE NOT EXISTS (SELECT 1 FROM recordings r WHERE r.recording = f.recording) AND f.from_ms >= ",
        );
        sql.bind(from).push(" AND f.from_ms < ").bind(to).push(" AND ");
        scope.restrict(&mut sql, "f.agent");
        sql.push(" ORDER BY 3 DESC, 1 DESC");
        for row in sql.rows(self).await? {
            let ExpectedRow { recording, agent, at, bytes, closed, deleted, touched, missing, interaction } =
                row;
            all.expected += 1;
            // A deleted recording had been captured.
            all.captured += u64::from(bytes > 0 || deleted.is_some());
            all.uploaded += u64::from(closed.is_some());
            let runs = touched.is_some_and(|touched| now_ms() - touched < SILENCE_MS);
            if closed.is_some() || deleted.is_some() || runs || all.missing.len() >= MOST {
                continue;
            }
            let why = missing.unwrap_or_else(|| match touched {
                Some(touched) => {
                    format!("it is incomplete, and nothing of it has arrived since {}", rfc3339(touched))
                }
                None => "nothing of it has arrived".to_owned(),
            });
            all.missing.push(Missing { recording, agent, interaction, at: rfc3339(at), why });
        }
        Ok(all)
    }
}
