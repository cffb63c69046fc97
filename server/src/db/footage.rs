//! Footage that this server decided on, and the segments on it: written when it begins, put right with each event, final a little
//! after it has ended.

use std::collections::HashMap;

use deskreel_contract::Role;
use deskreel_model::link::RunningRecording;
use deskreel_model::segment::{Footage, Segment};
use deskreel_model::{AgentId, CallId, Place, RecordingId, Utc};
use serde_json::json;

use crate::control::{Call, Stretch};
use crate::db::sql::{ROWS, insert};
use crate::db::{Db, Write};
use crate::error::{Error, Result};
use crate::secret;
use crate::time::to_ms;

/// Footage that was commanded before this start.
pub struct Commanded {
    pub footage: String,
    pub recorder: Option<String>,
    /// Recordings that went on for it, and when each began.
    pub next: Vec<(String, i64)>,
}

impl Db {
    pub async fn footage_at(&self, agent: &str, from: i64) -> Result<Option<Commanded>> {
        let row: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT footage, (SELECT recorder FROM recorders WHERE recorders.place = footage.place AND revoked IS NULL \
             ORDER BY created DESC LIMIT 1) FROM footage WHERE agent = $1 AND from_ms = $2",
        )
        .bind(agent)
        .bind(from)
        .fetch_optional(&self.pool)
        .await?;
        let Some((footage, recorder)) = row else { return Ok(None) };
        let next = sqlx::query_as(
            "SELECT DISTINCT r.recording, r.started FROM segments s JOIN recordings r ON r.recording = s.recording \
             WHERE s.footage = $1 AND s.recording <> $1 AND r.started IS NOT NULL ORDER BY r.started",
        )
        .bind(&footage)
        .fetch_all(&self.pool)
        .await?;
        Ok(Some(Commanded { footage, recorder, next }))
    }
}

/// Footage that is commanded.
pub struct Begun {
    pub recording: RecordingId,
    /// Which is told; none where nobody can be, which is `missing` then.
    pub recorder: Option<String>,
    pub agent: AgentId,
    pub place: Option<Place>,
    pub from: Utc,
    pub why: String,
    pub missing: Option<String>,
}

impl Db {
    /// Durable once this returns.
    pub async fn footage_begun(&self, begun: &[Begun]) -> Result<()> {
        let mut write = self.write().await?;
        for some in begun.chunks(ROWS) {
            let columns = "footage (footage, agent, place, from_ms, why, recording, missing)";
            let mut query = sqlx::query(insert(columns, 7, some.len()));
            for Begun { recording, recorder, agent, place, from, why, missing } in some {
                let recording = recording.as_str();
                query = query.bind(recording).bind(agent.as_str()).bind(place.as_ref().map(Place::as_str));
                query = query
                    .bind(to_ms(*from))
                    .bind(why)
                    .bind(recorder.as_ref().map(|_| recording))
                    .bind(missing.as_deref());
            }
            query.execute(&mut *write.tx).await?;
        }
        write.commit().await
    }
}

impl Write {
    /// A recorder says that it records: known from then on, before anything of it has come. By the server's clock.
    pub async fn runs(
        &mut self,
        (recorder, place): (&str, &str),
        running: &RunningRecording,
        offset_ms: Option<i64>,
    ) -> Result<()> {
        let (recording, capture) = (running.recording.as_str(), json!(running.capture));
        let standing = self.claim(recording, recorder, place).await?;
        if standing.recorder != recorder || standing.closed || standing.deleted {
            return Ok(());
        }
        sqlx::query(
            "UPDATE recordings SET agent = $1, started = $2, clock_offset_ms = $3, capture = $4 WHERE recording = $5",
        )
        .bind(running.agent.as_str())
        .bind(to_ms(running.since.shifted_ms(offset_ms.unwrap_or(0))))
        .bind(offset_ms)
        .bind(capture.as_str())
        .bind(recording)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Footage as it stands, in place of how it stood before. What a recorder said of its recording by itself, it replaces too.
    pub async fn footage_stands(
        &mut self,
        own: &str,
        stretches: &[Stretch],
        footage: &Footage,
        calls: &HashMap<CallId, Call>,
    ) -> Result<()> {
        let place = footage.place.as_ref().map(|place| place.as_str());
        sqlx::query(
            "INSERT INTO footage (footage, agent, place, from_ms, to_ms, why, why_ended) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (footage) DO UPDATE SET from_ms = excluded.from_ms, to_ms = excluded.to_ms, why_ended = excluded.why_ended",
        )
        .bind(own)
        .bind(footage.agent.as_str())
        .bind(place)
        .bind(to_ms(footage.from))
        .bind(footage.to.map(to_ms))
        .bind(&footage.why)
        .bind(footage.why_ended.as_deref())
        .execute(&mut *self.tx)
        .await?;
        let before = self.clear_segments(own, stretches).await?;
        let interactions: Vec<&str> =
            footage.segments.iter().map(|segment| segment.interaction.as_str()).collect();
        let mut deleted = 0;
        for segment in &footage.segments {
            let interaction = segment.interaction.as_str();
            let call = segment.call.as_ref().and_then(|call| calls.get(call));
            if self.interaction(segment, call).await? {
                // It is not wanted again.
                deleted += 1;
                continue;
            }
            for stretch in stretches {
                self.segment(own, stretch, footage, segment).await?;
            }
            if let (Some(id), Some(call)) = (&segment.call, call) {
                self.call(interaction, id.as_str(), call).await?;
            }
            for tag in &footage.tags {
                sqlx::query(
                    "INSERT INTO tags (interaction, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(interaction)
                .bind(&tag.name)
                .bind(&tag.value)
                .execute(&mut *self.tx)
                .await?;
            }
        }
        for interaction in &interactions {
            self.measure(interaction).await?;
        }
        for interaction in before.iter().filter(|before| !interactions.contains(&before.as_str())) {
            self.measure(interaction).await?;
            self.drop_if_empty(interaction).await?;
        }
        for recording in
            stretches.iter().filter_map(|stretch| stretch.recording.as_ref()).map(RecordingId::as_str)
        {
            if footage.segments.is_empty() {
                // What the recorder says of it is all there is.
                self.tell_again(recording).await?;
            } else if deleted == footage.segments.len() {
                self.mark_deleted(recording, "its interaction was deleted before it came").await?;
            }
        }
        Ok(())
    }

    /// Nothing of it is wanted any longer: an event that came late took it back.
    pub async fn footage_gone(&mut self, own: &str, stretches: &[Stretch]) -> Result<()> {
        for interaction in self.clear_segments(own, stretches).await? {
            self.measure(&interaction).await?;
            self.drop_if_empty(&interaction).await?;
        }
        Ok(())
    }

    /// Gives the interactions that they were of.
    async fn clear_segments(&mut self, own: &str, stretches: &[Stretch]) -> Result<Vec<String>> {
        let recordings =
            stretches.iter().filter_map(|stretch| stretch.recording.as_ref()).map(RecordingId::as_str);
        let mut interactions = Vec::new();
        for id in std::iter::once(own).chain(recordings.filter(|recording| *recording != own)) {
            let rows: Vec<(String,)> = sqlx::query_as(
                "DELETE FROM segments WHERE footage = $1 OR recording = $1 RETURNING interaction",
            )
            .bind(id)
            .fetch_all(&mut *self.tx)
            .await?;
            interactions.extend(rows.into_iter().map(|(interaction,)| interaction));
        }
        interactions.sort();
        interactions.dedup();
        Ok(interactions)
    }

    /// True: it was deleted.
    async fn interaction(&mut self, segment: &Segment, call: Option<&Call>) -> Result<bool> {
        let media = if segment.role == Role::Digital { "digital" } else { "voice" };
        sqlx::query(
            "INSERT INTO interactions (interaction, media, direction, started) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (interaction) DO UPDATE SET direction = COALESCE(interactions.direction, excluded.direction)",
        )
        .bind(segment.interaction.as_str())
        .bind(media)
        .bind(call.and_then(|call| call.direction.as_deref()))
        .bind(to_ms(segment.from))
        .execute(&mut *self.tx)
        .await?;
        let (deleted,): (Option<i64>,) =
            sqlx::query_as("SELECT deleted FROM interactions WHERE interaction = $1")
                .bind(segment.interaction.as_str())
                .fetch_one(&mut *self.tx)
                .await?;
        Ok(deleted.is_some())
    }

    /// As much of the segment as lies on the stretch.
    async fn segment(
        &mut self,
        own: &str,
        stretch: &Stretch,
        footage: &Footage,
        segment: &Segment,
    ) -> Result<()> {
        let Some((from, to)) = stretch.cut(to_ms(segment.from), segment.to.map(to_ms)) else {
            return Ok(());
        };
        let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
        sqlx::query(
            "INSERT INTO segments (id, interaction, footage, recording, agent, place, call, role, from_ms, to_ms, why, origin) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'server')",
        )
        .bind(id)
        .bind(segment.interaction.as_str())
        .bind(own)
        .bind(stretch.recording.as_ref().map(RecordingId::as_str))
        .bind(footage.agent.as_str())
        .bind(footage.place.as_ref().map(|place| place.as_str()))
        .bind(segment.call.as_ref().map(|call| call.as_str()))
        .bind(role(segment.role))
        .bind(from)
        .bind(to)
        .bind(&segment.why)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn call(&mut self, interaction: &str, id: &str, call: &Call) -> Result<()> {
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
