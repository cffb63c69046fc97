//! What this server has decided: events as received, footage that was commanded, and the segments on it once they are final.

use deskreel_contract::Role;
use deskreel_model::segment::Footage;
use serde_json::json;

use crate::control::Calls;
use crate::db::{Db, Write};
use crate::error::{Error, Result};
use crate::secret;
use crate::time::{now_ms, to_ms};

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

    /// The recording of footage that was commanded, and its recorder.
    pub async fn footage_at(&self, agent: &str, from: i64) -> Result<Option<(String, Option<String>)>> {
        let row: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT footage, (SELECT recorder FROM recorders WHERE recorders.place = footage.place AND revoked IS NULL \
             ORDER BY created DESC LIMIT 1) FROM footage WHERE agent = $1 AND from_ms = $2",
        )
        .bind(agent)
        .bind(from)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row)
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

impl Write {
    /// Footage was commanded; `told` is its recording, and the recorder that was told.
    pub async fn footage_begun(
        &mut self,
        told: (&str, Option<&str>),
        agent: &str,
        place: Option<&str>,
        from: i64,
        why: &str,
        missing: Option<&str>,
    ) -> Result<()> {
        let (recording, recorder) = told;
        sqlx::query(
            "INSERT INTO footage (footage, agent, place, from_ms, why, recording, missing) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(recording)
        .bind(agent)
        .bind(place)
        .bind(from)
        .bind(why)
        .bind(recorder.map(|_| recording))
        .bind(missing)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// The row of the segment table is final. What a recorder said of its recording by itself, it replaces.
    pub async fn footage_final(
        &mut self,
        recording: Option<&str>,
        footage: &Footage,
        calls: &Calls,
    ) -> Result<()> {
        let own = match recording {
            Some(recording) => recording.to_owned(),
            None => id()?,
        };
        let (agent, place) = (footage.agent.as_str(), footage.place.as_ref().map(|place| place.as_str()));
        sqlx::query(
            "INSERT INTO footage (footage, agent, place, from_ms, to_ms, why, why_ended) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (footage) DO UPDATE SET from_ms = excluded.from_ms, to_ms = excluded.to_ms, why_ended = excluded.why_ended",
        )
        .bind(&own)
        .bind(agent)
        .bind(place)
        .bind(to_ms(footage.from))
        .bind(footage.to.map(to_ms))
        .bind(&footage.why)
        .bind(footage.why_ended.as_deref())
        .execute(&mut *self.tx)
        .await?;
        // What was said without calls is an interaction of its own, which this one takes the place of.
        sqlx::query(
            "DELETE FROM interactions WHERE deleted IS NULL AND interaction IN \
             (SELECT interaction FROM segments WHERE recording = $1 AND origin = 'about' AND interaction = $1)",
        )
        .bind(&own)
        .execute(&mut *self.tx)
        .await?;
        sqlx::query("DELETE FROM segments WHERE recording = $1").bind(&own).execute(&mut *self.tx).await?;
        for segment in &footage.segments {
            let interaction = segment.interaction.as_str();
            let media = if segment.role == Role::Digital { "digital" } else { "voice" };
            let call = segment.call.as_ref().and_then(|call| calls.get(call));
            sqlx::query(
                "INSERT INTO interactions (interaction, media, direction, started, ended) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (interaction) DO UPDATE SET \
                 started = CASE WHEN excluded.started < interactions.started THEN excluded.started ELSE interactions.started END, \
                 ended = CASE WHEN interactions.ended > excluded.ended THEN interactions.ended ELSE excluded.ended END, \
                 direction = COALESCE(interactions.direction, excluded.direction)",
            )
            .bind(interaction)
            .bind(media)
            .bind(call.and_then(|call| call.direction.as_deref()))
            .bind(to_ms(segment.from))
            .bind(segment.to.map(to_ms))
            .execute(&mut *self.tx)
            .await?;
            sqlx::query(
                "INSERT INTO segments (id, interaction, footage, recording, agent, place, call, role, from_ms, to_ms, why, origin) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'server')",
            )
            .bind(id()?)
            .bind(interaction)
            .bind(&own)
            .bind(recording)
            .bind(agent)
            .bind(place)
            .bind(segment.call.as_ref().map(|call| call.as_str()))
            .bind(role(segment.role))
            .bind(to_ms(segment.from))
            .bind(segment.to.map(to_ms))
            .bind(&segment.why)
            .execute(&mut *self.tx)
            .await?;
            if let (Some(id), Some(call)) = (&segment.call, call) {
                self.call(interaction, id.as_str(), call).await?;
            }
        }
        for tag in &footage.tags {
            for segment in &footage.segments {
                sqlx::query(
                    "INSERT INTO tags (interaction, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(segment.interaction.as_str())
                .bind(&tag.name)
                .bind(&tag.value)
                .execute(&mut *self.tx)
                .await?;
            }
        }
        Ok(())
    }

    async fn call(&mut self, interaction: &str, id: &str, call: &crate::control::Call) -> Result<()> {
        let held: Vec<_> = call
            .held
            .iter()
            .map(|(from, to)| json!({ "from": from.to_string(), "to": to.map(|to| to.to_string()) }))
            .collect();
        sqlx::query(
            "INSERT INTO calls (interaction, call, direction, type, held) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (interaction, call) DO UPDATE SET direction = excluded.direction, type = excluded.type, held = excluded.held",
        )
        .bind(interaction)
        .bind(id)
        .bind(call.direction.as_deref())
        .bind(call.call_type.as_deref())
        .bind(json!(held).to_string())
        .execute(&mut *self.tx)
        .await?;
        for (key, value) in &call.attached {
            sqlx::query(
                "INSERT INTO attached (interaction, call, key, value) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (interaction, call, key) DO UPDATE SET value = excluded.value",
            )
            .bind(interaction)
            .bind(id)
            .bind(key)
            .bind(value)
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Consult => "consult",
        Role::Conference => "conference",
        Role::AfterCallWork => "after_call_work",
        Role::Digital => "digital",
    }
}

fn id() -> Result<String> {
    secret::id().map_err(|error| Error::Corrupt(error.to_string()))
}
