//! What this server decides by: events as received, and how recorders stand.

use deskreel_model::link::{EventStreamId, RecorderStatus};

use crate::db::sql::{ROWS, insert};
use crate::db::{Db, Write};
use crate::error::{Error, Result};
use crate::secret;
use crate::time::now_ms;

/// An event as it came.
pub struct Received<'a> {
    /// Sorts as the events came.
    pub id: String,
    pub feed: &'a str,
    pub at: i64,
    pub body: &'a str,
}

/// Of a recorder's stream of events, up to this number.
pub type Heard<'a> = (&'a str, &'a EventStreamId, u64);

/// Ids for so many events that came at one moment: of one millisecond, the order is that in which they came.
pub fn event_ids(count: usize) -> Result<Vec<String>> {
    let first = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
    let (time, random) = first.split_at(12);
    Ok((0..count).map(|index| format!("{time}{index:06}{random}")).collect())
}

impl Db {
    /// In this order; durable once this returns.
    pub async fn store_events(&self, events: &[Received<'_>], heard: &[Heard<'_>]) -> Result<()> {
        let mut write = self.write().await?;
        for some in events.chunks(ROWS) {
            // One that is there is this one: it was asked for again.
            let mut query = sqlx::query(insert("events (id, feed, received, at, body)", 5, some.len()));
            for Received { id, feed, at, body } in some {
                query = query.bind(id).bind(*feed).bind(now_ms()).bind(*at).bind(*body);
            }
            query.execute(&mut *write.tx).await?;
        }
        for (recorder, stream, number) in heard {
            sqlx::query("UPDATE recorders SET stream = $1, heard = $2 WHERE recorder = $3")
                .bind(&*stream.0)
                .bind(i64::try_from(*number).unwrap_or(i64::MAX))
                .bind(*recorder)
                .execute(&mut *write.tx)
                .await?;
        }
        write.commit().await
    }

    /// Up to which event of which stream a recorder was heard.
    pub async fn heard(&self, recorder: &str) -> Result<Option<(EventStreamId, u64)>> {
        let row: Option<(Option<String>, Option<i64>)> =
            sqlx::query_as("SELECT stream, heard FROM recorders WHERE recorder = $1")
                .bind(recorder)
                .fetch_optional(&self.pool)
                .await?;
        let heard = row.and_then(|(stream, heard)| stream.zip(heard));
        Ok(heard.and_then(|(stream, heard)| Some((EventStreamId(stream.into()), u64::try_from(heard).ok()?))))
    }

    /// The events since then, in the order in which they were received.
    pub async fn events_since(&self, since: i64) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT body FROM events WHERE at >= $1 ORDER BY id")
            .bind(since)
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.into_iter().map(|(body,)| body).collect())
    }

    /// Places that have a recorder.
    pub async fn places_of_recorders(&self) -> Result<Vec<String>> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT DISTINCT place FROM recorders WHERE revoked IS NULL")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|(place,)| place).collect())
    }
}

impl Write {
    /// A recorder's link is up, with a program of this version, or down.
    pub async fn presence(&mut self, recorder: &str, version: Option<&str>) -> Result<()> {
        sqlx::query(
            "UPDATE recorders SET connected = $1, seen = $2, version = COALESCE($3, version) WHERE recorder = $4",
        )
        .bind(version.map(|_| now_ms()))
        .bind(now_ms())
        .bind(version)
        .bind(recorder)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub async fn doing(&mut self, recorder: &str, status: &RecorderStatus) -> Result<()> {
        sqlx::query("UPDATE recorders SET doing = $1, clock_offset_ms = $2, seen = $3 WHERE recorder = $4")
            .bind(serde_json::to_string(status).unwrap_or_default())
            .bind(status.offset_ms)
            .bind(now_ms())
            .bind(recorder)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
