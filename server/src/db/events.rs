//! Events as received; control replays the newest at a start.

use deskreel_model::Utc;
use deskreel_model::event::Event;
use deskreel_model::link::EventStreamId;
use jiff::Timestamp;

use crate::db::Db;
use crate::db::sql::{ROWS, insert, new_id, row};
use crate::error::Result;
use crate::names::RecorderId;

pub struct ReceivedEvent<'a> {
    /// Sorts in the order of arrival.
    pub id: String,
    pub feed: &'a str,
    /// Time of arrival by the server's clock.
    pub received: i64,
    /// Its time by the server's clock; `None`: as written in the body.
    pub at: Option<i64>,
    pub body: &'a str,
}

/// All events of a recorder's stream up to `number` are stored.
pub struct StreamPosition<'a> {
    pub recorder: &'a RecorderId,
    pub stream: &'a EventStreamId,
    pub number: u64,
}

row! {
    struct EventRow {
        received: i64,
        at: Option<i64>,
        body: String,
    }
}

/// Ids for events that arrived together, at this time. They sort in this order within the millisecond.
pub fn event_ids(count: usize, received: i64) -> Result<Vec<String>> {
    let id = new_id()?;
    let (time, random) = (time_prefix(received), id.split_at(12).1);
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
            for ReceivedEvent { id, feed, received, at, body } in chunk {
                query = query.bind(id).bind(*feed).bind(*received).bind(*at).bind(*body);
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

    /// The events that arrived from `since` to `until`, with their times of arrival, in that order. A later
    /// arrival was noted under a wrong clock.
    pub async fn events_since(&self, since: i64, until: i64) -> Result<Vec<(Event, Utc)>> {
        self.events_between(since, i64::MAX >> 16, until).await
    }

    /// The same of those that arrived before `before`.
    pub async fn events_between(&self, since: i64, before: i64, until: i64) -> Result<Vec<(Event, Utc)>> {
        let rows: Vec<EventRow> = sqlx::query_as(
            "SELECT received, at, body FROM events WHERE id >= $1 AND id < $2 AND received <= $3 ORDER BY id",
        )
        .bind(time_prefix(since))
        .bind(time_prefix(before))
        .bind(until)
        .fetch_all(&self.pool)
        .await?;
        let utc = |ms| Timestamp::from_millisecond(ms).ok().map(Utc);
        let event = |EventRow { received, at, body }: EventRow| {
            let event = Event::parse(&body).ok()?;
            let at = at.and_then(utc).unwrap_or(event.at);
            Some((Event { at, ..event }, utc(received)?))
        };
        Ok(rows.into_iter().filter_map(event).collect())
    }

    /// When the last event before this time arrived.
    pub async fn newest_arrival_before(&self, ms: i64) -> Result<Option<i64>> {
        let query = sqlx::query_scalar("SELECT MAX(received) FROM events WHERE received < $1");
        Ok(query.bind(ms).fetch_one(&self.pool).await?)
    }

    /// When the newest event arrived.
    pub async fn newest_arrival(&self) -> Result<Option<Utc>> {
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT MAX(received) FROM events").fetch_one(&self.pool).await?;
        Ok(newest.and_then(|ms| Timestamp::from_millisecond(ms).ok().map(Utc)))
    }
}

/// The beginning of an id that sorts by this time.
fn time_prefix(ms: i64) -> String {
    format!("{:012x}", ms.max(0))
}
