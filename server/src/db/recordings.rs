//! What recorders have handed over, as it is asked for; `arrivals.rs` takes it in.

use sqlx::Row as _;

use crate::db::Db;
use crate::db::interactions::SILENCE_MS;
use crate::db::sql::Sql;
use crate::db::visible::Scope;
use crate::error::Result;
use crate::time::{self, now_ms};

/// Track, part and number; number 0 is the part's header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub track: String,
    pub part: u32,
    pub number: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub name: Name,
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub times: Option<Times>,
}

/// Of a fragment that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub start_ns: u64,
    pub duration_ns: u64,
    pub keyframe: bool,
}

/// How a recording stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub recorder: String,
    pub closed: bool,
    pub deleted: bool,
    /// Digest of the one file that it is cut from; `None`: its fragments come.
    pub file: Option<String>,
}

/// What is asked about one.
#[derive(Debug, Clone)]
pub struct Recording {
    pub agent: Option<String>,
    pub place: Option<String>,
    pub started: Option<i64>,
    pub ended: Option<i64>,
    pub closed: bool,
    pub touched: i64,
    pub bytes: i64,
}

impl Recording {
    /// Something of it may still come.
    pub fn live(&self) -> bool {
        !self.closed && now_ms() - self.touched < SILENCE_MS
    }
}

/// Of all recordings, and of recorders with a link.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub open: i64,
    pub closed: i64,
    pub bytes: i64,
    pub connected: i64,
}

type Row = (String, i64, i64, i64, String, Option<i64>, Option<i64>, Option<i64>);

fn held((track, part, number, size, sha256, start, duration, keyframe): Row) -> Held {
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let short = |value: i64| u32::try_from(value).unwrap_or(0);
    let times = start.zip(duration).map(|(start, duration)| Times {
        start_ns: unsigned(start),
        duration_ns: unsigned(duration),
        keyframe: keyframe == Some(1),
    });
    Held {
        name: Name { track, part: short(part), number: short(number) },
        size: unsigned(size),
        sha256,
        times,
    }
}

pub(super) type StandingRow = (String, Option<i64>, Option<i64>, Option<String>);

pub(super) fn standing((recorder, closed, deleted, file): StandingRow) -> Standing {
    Standing { recorder, closed: closed.is_some(), deleted: deleted.is_some(), file }
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Db {
    pub async fn standing(&self, recording: &str) -> Result<Option<Standing>> {
        let row: Option<StandingRow> =
            sqlx::query_as("SELECT recorder, closed, deleted, file FROM recordings WHERE recording = $1")
                .bind(recording)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(standing))
    }

    /// And the digest of what is there under this name.
    pub async fn standing_of(
        &self,
        recording: &str,
        name: &Name,
    ) -> Result<Option<(Standing, Option<String>)>> {
        type Row = (String, Option<i64>, Option<i64>, Option<String>, Option<String>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT r.recorder, r.closed, r.deleted, r.file, f.sha256 FROM recordings r LEFT JOIN fragments f \
             ON f.recording = r.recording AND f.track = $2 AND f.part = $3 AND f.number = $4 WHERE r.recording = $1",
        )
        .bind(recording)
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(recorder, closed, deleted, file, sha256)| {
            (standing((recorder, closed, deleted, file)), sha256)
        }))
    }

    pub async fn fragment(&self, recording: &str, name: &Name) -> Result<Option<Held>> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
        )
        .bind(recording)
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(held))
    }

    /// All of a recording, in order.
    pub async fn fragments(&self, recording: &str) -> Result<Vec<Held>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 ORDER BY track, part, number",
        )
        .bind(recording)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(held).collect())
    }

    /// Of one part, from a name to a number.
    pub async fn fragments_between(&self, recording: &str, first: &Name, last: u32) -> Result<Vec<Held>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 AND track = $2 AND part = $3 AND number BETWEEN $4 AND $5 ORDER BY number",
        )
        .bind(recording)
        .bind(&first.track)
        .bind(i64::from(first.part))
        .bind(i64::from(first.number))
        .bind(i64::from(last))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(held).collect())
    }

    /// `None`: there is none, or it was deleted.
    pub async fn recording(&self, recording: &str) -> Result<Option<Recording>> {
        type Row = (Option<String>, Option<String>, Option<i64>, Option<i64>, Option<i64>, i64, i64);
        let row: Option<Row> = sqlx::query_as(
            "SELECT agent, place, started, ended, closed, touched, bytes FROM recordings \
             WHERE recording = $1 AND deleted IS NULL",
        )
        .bind(recording)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(agent, place, started, ended, closed, touched, bytes)| Recording {
            agent,
            place,
            started,
            ended,
            closed: closed.is_some(),
            touched,
            bytes,
        }))
    }

    /// Recordings that run: not closed, and something of them came after `since`.
    pub async fn live(&self, scope: &Scope, since: i64) -> Result<Vec<serde_json::Value>> {
        let mut sql = Sql::new(
            "SELECT r.recording, COALESCE(r.agent, s.agent), r.place, r.started, s.interaction, r.capture FROM recordings r \
             LEFT JOIN segments s ON s.recording = r.recording AND s.to_ms IS NULL \
             WHERE r.closed IS NULL AND r.deleted IS NULL AND r.file IS NULL AND r.touched >= ",
        );
        sql.bind(since).push(" AND ");
        scope.of_agent(&mut sql, "COALESCE(r.agent, s.agent)");
        sql.push(" ORDER BY r.started DESC, r.recording");
        let mut found: Vec<serde_json::Value> = Vec::new();
        for row in sql.rows(self).await? {
            let recording: String = row.try_get(0)?;
            if found.last().is_some_and(|last| last["recording"] == recording.as_str()) {
                continue;
            }
            let (agent, place): (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
            let (started, interaction): (Option<i64>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
            let capture: Option<String> = row.try_get(5)?;
            found.push(serde_json::json!({
                "recording": recording, "agent": agent, "place": place, "started": started.map(time::rfc3339),
                "interaction": interaction, "capture": capture.as_deref().unwrap_or("live"),
            }));
        }
        Ok(found)
    }

    pub async fn counts(&self) -> Result<Counts> {
        let (open, closed, bytes): (i64, i64, i64) = sqlx::query_as(
            "SELECT COUNT(*) - COUNT(closed), COUNT(closed), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) \
             FROM recordings WHERE deleted IS NULL",
        )
        .fetch_one(&self.pool)
        .await?;
        let (connected,): (i64,) =
            sqlx::query_as("SELECT COUNT(connected) FROM recorders").fetch_one(&self.pool).await?;
        Ok(Counts { open, closed, bytes, connected })
    }

    /// Bytes of the recorder's recordings that are not closed.
    pub async fn open_bytes(&self, recorder: &str) -> Result<u64> {
        let (bytes,): (i64,) = sqlx::query_as(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM recordings \
             WHERE recorder = $1 AND closed IS NULL AND deleted IS NULL",
        )
        .bind(recorder)
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// The manifest that closed it, and what was said about it.
    pub async fn documents(&self, recording: &str) -> Result<(Option<String>, Option<String>)> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT manifest, about FROM recordings WHERE recording = $1")
                .bind(recording)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.unwrap_or_default())
    }
}
