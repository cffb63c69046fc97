//! What this server decides by: events as received, and how recorders stand.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::secret;
use crate::time::now_ms;

impl Db {
    /// In this order; durable once this returns.
    pub async fn store_events(&self, feed: &str, events: &[(i64, String)]) -> Result<()> {
        let mut write = self.write().await?;
        let first = id()?;
        // Of one millisecond, the order is that in which they came.
        let (time, random) = first.split_at(12);
        for (index, (at, body)) in events.iter().enumerate() {
            sqlx::query("INSERT INTO events (id, feed, received, at, body) VALUES ($1, $2, $3, $4, $5)")
                .bind(format!("{time}{index:06}{random}"))
                .bind(feed)
                .bind(now_ms())
                .bind(*at)
                .bind(body)
                .execute(&mut *write.tx)
                .await?;
        }
        write.commit().await
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

    /// A recorder's link is up, with a program of this version, or down.
    pub async fn presence(&self, recorder: &str, version: Option<&str>) -> Result<()> {
        sqlx::query(
            "UPDATE recorders SET connected = $1, seen = $2, version = COALESCE($3, version) WHERE recorder = $4",
        )
        .bind(version.map(|_| now_ms()))
        .bind(now_ms())
        .bind(version)
        .bind(recorder)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn doing(&self, recorder: &str, doing: &str, offset_ms: Option<i64>) -> Result<()> {
        sqlx::query("UPDATE recorders SET doing = $1, clock_offset_ms = $2, seen = $3 WHERE recorder = $4")
            .bind(doing)
            .bind(offset_ms)
            .bind(now_ms())
            .bind(recorder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

fn id() -> Result<String> {
    secret::id().map_err(|error| Error::Corrupt(error.to_string()))
}
