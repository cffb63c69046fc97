//! Events as received; control replays the newest at a start.

use deskreel_model::link::EventStreamId;

use crate::db::Db;
use crate::db::sql::{ROWS, insert, new_id};
use crate::error::Result;
use crate::names::RecorderId;
use crate::time::now_ms;

pub struct ReceivedEvent<'a> {
    /// Sorts in the order of arrival.
    pub id: String,
    pub feed: &'a str,
    pub at: i64,
    pub body: &'a str,
}

/// All events of a recorder's stream up to `number` are stored.
pub struct StreamPosition<'a> {
    pub recorder: &'a RecorderId,
    pub stream: &'a EventStreamId,
    pub number: u64,
}

/// Ids for events that arrived together. They sort in this order within the millisecond.
pub fn event_ids(count: usize) -> Result<Vec<String>> {
    let first = new_id()?;
    let (time, random) = first.split_at(12);
    Ok((0..count).map(|index| format!("{time}{index:06}{random}")).collect())
}

impl Db {
    /// Stores events in this order, together with the positions of the streams that they came on. Durable
    /// once this returns.
    pub async fn store_events(
        &self,
        events: &[ReceivedEvent<'_>],
        positions: &[StreamPosition<'_>],
    ) -> Result<()> {
        let mut write = self.write().await?;
        for chunk in events.chunks(ROWS) {
            // An id that exists is the same event: this is another attempt to store it.
            let mut query = sqlx::query(insert("events (id, feed, received, at, body)", 5, chunk.len()));
            for ReceivedEvent { id, feed, at, body } in chunk {
                query = query.bind(id).bind(*feed).bind(now_ms()).bind(*at).bind(*body);
            }
            query.execute(&mut *write.tx).await?;
        }
        for StreamPosition { recorder, stream, number } in positions {
            sqlx::query("UPDATE recorders SET stream = $1, heard = $2 WHERE recorder = $3")
                .bind(&*stream.0)
                .bind(i64::try_from(*number).unwrap_or(i64::MAX))
                .bind(recorder.as_str())
                .execute(&mut *write.tx)
                .await?;
        }
        write.commit().await
    }

    /// The events since then, in the order of arrival.
    pub async fn events_since(&self, since: i64) -> Result<Vec<String>> {
        let bodies = sqlx::query_scalar("SELECT body FROM events WHERE at >= $1 ORDER BY id")
            .bind(since)
            .fetch_all(&self.pool)
            .await?;
        Ok(bodies)
    }
}
