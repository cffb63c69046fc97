//! Footage that this server decided on, and its segments: written when it begins, corrected with each event,
//! final shortly after its end.

use deskreel_contract::Role;
use deskreel_interaction::CallSummary;
use deskreel_model::link::RunningRecording;
use deskreel_model::segment::{Footage, Segment};
use deskreel_model::{AgentId, CallId, InteractionId, Place, RecordingId, Utc};
use serde_json::json;

use crate::db::recorders::Recorder;
use crate::db::segments::{NewSegment, SegmentOrigin};
use crate::db::sql::{InteractionRow, ROWS, insert, row};
use crate::db::{Db, Write};
use crate::error::Result;
use crate::names::RecorderId;
use crate::segments::{CallSummaries, Stretch};
use crate::time::{now_ms, to_ms};

/// Footage that is being commanded. Its id is that of the requested recording.
pub struct NewFootage {
    pub recording: RecordingId,
    pub agent: AgentId,
    pub place: Option<Place>,
    pub from: Utc,
    pub why: String,
    /// When it was learned that it is wanted.
    pub learned: Utc,
    /// Why no recorder can be commanded; `None`: one is.
    pub missing: Option<String>,
}

/// Footage that was wanted before this start of the server.
pub struct StoredFootage {
    pub id: RecordingId,
    pub agent: AgentId,
    pub place: Option<Place>,
    pub from: i64,
    pub to: Option<i64>,
    /// The commanded recorder.
    pub recorder: Option<RecorderId>,
    /// Something of its newest recording is here.
    pub has_run: bool,
    /// Recordings that continued it, each with its beginning.
    pub continued: Vec<(RecordingId, i64)>,
}

row! {
    struct FootageRow {
        footage: RecordingId,
        agent: AgentId,
        place: Option<Place>,
        from_ms: i64,
        to_ms: Option<i64>,
        recorder: Option<RecorderId>,
    }
}

row! {
    struct ContinuedRow {
        recording: RecordingId,
        from_ms: i64,
    }
}

impl Db {
    /// Footage that began at `since` or later, or still runs.
    pub async fn unsettled_footage(&self, since: i64) -> Result<Vec<StoredFootage>> {
        let rows: Vec<FootageRow> = sqlx::query_as(
            "SELECT f.footage, f.agent, f.place, f.from_ms, f.to_ms, \
             CASE WHEN f.recording IS NOT NULL THEN \
             COALESCE((SELECT recorder FROM recordings r WHERE r.recording = f.recording), \
             (SELECT recorder FROM recorders r WHERE r.place = f.place AND revoked IS NULL ORDER BY created DESC LIMIT 1)) \
             END AS recorder FROM footage f WHERE f.from_ms >= $1 OR f.to_ms IS NULL ORDER BY f.from_ms",
        )
        .bind(since)
        .fetch_all(&self.pool)
        .await?;
        let mut all = Vec::new();
        for FootageRow { footage: id, agent, place, from_ms: from, to_ms: to, recorder } in rows {
            let continued = self.continued(&id).await?;
            let newest = continued.last().map_or(&id, |(recording, _)| recording);
            let has_run = to.is_none() && self.state(newest).await?.is_some();
            all.push(StoredFootage { id, agent, place, from, to, recorder, has_run, continued });
        }
        Ok(all)
    }

    async fn continued(&self, footage: &RecordingId) -> Result<Vec<(RecordingId, i64)>> {
        let rows: Vec<ContinuedRow> = sqlx::query_as(
            "SELECT recording, from_ms FROM footage_recordings WHERE footage = $1 AND recording <> $1 ORDER BY from_ms",
        )
        .bind(footage.as_str())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.recording, row.from_ms)).collect())
    }

    /// Ends footage that nothing wants any more, and its segments.
    pub async fn end_footage(&self, footage: &RecordingId, to: i64, why: &str) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE footage SET to_ms = $1, why_ended = $2 WHERE footage = $3 AND to_ms IS NULL")
            .bind(to)
            .bind(why)
            .bind(footage.as_str())
            .execute(&mut *write.tx)
            .await?;
        let rows: Vec<InteractionRow> = sqlx::query_as(
            "UPDATE segments SET to_ms = $1 WHERE footage = $2 AND to_ms IS NULL RETURNING interaction",
        )
        .bind(to)
        .bind(footage.as_str())
        .fetch_all(&mut *write.tx)
        .await?;
        for InteractionRow { interaction } in &rows {
            write.measure(interaction).await?;
        }
        write.commit().await
    }

    /// Durable once this returns.
    pub async fn add_footage(&self, new: &[NewFootage]) -> Result<()> {
        let mut write = self.write().await?;
        for chunk in new.chunks(ROWS) {
            let columns = "footage (footage, agent, place, from_ms, why, recording, missing, learned)";
            let mut query = sqlx::query(insert(columns, 8, chunk.len()));
            for NewFootage { recording, agent, place, from, why, missing, learned } in chunk {
                let recording = recording.as_str();
                query = query.bind(recording).bind(agent.as_str()).bind(place.as_ref().map(Place::as_str));
                query = query
                    .bind(to_ms(*from))
                    .bind(why)
                    .bind(missing.is_none().then_some(recording))
                    .bind(missing.as_deref())
                    .bind(to_ms(*learned));
            }
            query.execute(&mut *write.tx).await?;
        }
        write.commit().await
    }
}

impl Write {
    /// Adds a recording that a recorder reports, before anything of it has arrived. Times are by the server's
    /// clock. A recorder that has just connected does not know the offset of its own: the last one counts.
    pub async fn set_running(
        &mut self,
        recorder: &Recorder,
        running: &RunningRecording,
        offset_ms: Option<i64>,
    ) -> Result<()> {
        let (recording, capture) = (&running.recording, json!(running.capture));
        let state = self.claim(recording, recorder).await?;
        if state.recorder != recorder.id || state.closed || state.deleted {
            return Ok(());
        }
        sqlx::query(
            "UPDATE recordings SET agent = $1, started = $2 + COALESCE($3, clock_offset_ms, 0), \
             clock_offset_ms = COALESCE($3, clock_offset_ms), capture = $4, running = $6 WHERE recording = $5",
        )
        .bind(running.agent.as_str())
        .bind(to_ms(running.since))
        .bind(offset_ms)
        .bind(capture.as_str())
        .bind(recording.as_str())
        .bind(now_ms())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Writes the present state of footage, in place of its earlier rows and of segments that its recorder
    /// reported by itself.
    pub async fn write_footage(
        &mut self,
        id: &RecordingId,
        stretches: &[Stretch],
        footage: &Footage,
        calls: &CallSummaries,
    ) -> Result<()> {
        self.upsert_footage(id, footage).await?;
        self.write_recordings(id, stretches, footage).await?;
        let before = self.clear_segments(id, stretches, &footage.segments).await?;
        let (mut deleted, mut current) = (0, Vec::new());
        for segment in &footage.segments {
            let call = segment.call.clone().and_then(|call| calls.get(&(segment.interaction.clone(), call)));
            let from = to_ms(segment.from);
            let interaction = self.interaction_meant(&segment.interaction, media(segment), from).await?;
            let segment = Segment { interaction, ..segment.clone() };
            let origin = SegmentOrigin::Server;
            if !self.write_segment(id, stretches, footage, &segment, (call, origin)).await? {
                deleted += 1;
            }
            current.push(segment.interaction);
        }
        for interaction in &current {
            self.measure(interaction).await?;
        }
        self.leave(before.iter().filter(|before| !current.contains(*before))).await?;
        for recording in stretches.iter().filter_map(|stretch| stretch.recording.as_ref()) {
            if footage.segments.is_empty() {
                // Then the recorder's `about` is the only source.
                self.restore_about(recording).await?;
            } else if deleted == footage.segments.len() {
                self.mark_deleted(recording, "its interaction was deleted before it came").await?;
            }
        }
        Ok(())
    }

    /// Stores that a recorder refused to make the footage as this recording, and why.
    pub async fn refuse_footage(
        &mut self,
        id: &RecordingId,
        recording: &RecordingId,
        why: &str,
    ) -> Result<()> {
        sqlx::query(
            "UPDATE footage SET not_made = $1, recording = CASE WHEN recording = $2 THEN NULL ELSE recording END \
             WHERE footage = $3",
        )
        .bind(why)
        .bind(recording.as_str())
        .bind(id.as_str())
        .execute(&mut *self.tx)
        .await?;
        sqlx::query("DELETE FROM footage_recordings WHERE footage = $1 AND recording = $2")
            .bind(id.as_str())
            .bind(recording.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Removes the segments of footage that a late event took back.
    pub async fn remove_footage(&mut self, id: &RecordingId, stretches: &[Stretch]) -> Result<()> {
        let before = self.clear_segments(id, stretches, &[]).await?;
        self.leave(before.iter()).await
    }

    pub(super) async fn upsert_footage(&mut self, id: &RecordingId, footage: &Footage) -> Result<()> {
        sqlx::query(
            "INSERT INTO footage (footage, agent, place, from_ms, to_ms, why, why_ended) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (footage) DO UPDATE SET from_ms = excluded.from_ms, to_ms = excluded.to_ms, why_ended = excluded.why_ended",
        )
        .bind(id.as_str())
        .bind(footage.agent.as_str())
        .bind(footage.place.as_ref().map(Place::as_str))
        .bind(to_ms(footage.from))
        .bind(footage.to.map(to_ms))
        .bind(&footage.why)
        .bind(footage.why_ended.as_deref())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Writes which recordings the footage became.
    async fn write_recordings(
        &mut self,
        id: &RecordingId,
        stretches: &[Stretch],
        footage: &Footage,
    ) -> Result<()> {
        for Stretch { recording, from, .. } in stretches {
            let Some(recording) = recording else { continue };
            if recording == id {
                sqlx::query("UPDATE footage SET recording = $1, missing = NULL WHERE footage = $1")
                    .bind(id.as_str())
                    .execute(&mut *self.tx)
                    .await?;
            }
            sqlx::query(
                "INSERT INTO footage_recordings (footage, recording, from_ms) VALUES ($1, $2, $3) \
                 ON CONFLICT (footage, recording) DO UPDATE SET from_ms = excluded.from_ms",
            )
            .bind(id.as_str())
            .bind(recording.as_str())
            .bind(from.unwrap_or_else(|| to_ms(footage.from)))
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Removes the segments of footage, so that `next` can be written. What a redo has added stays, unless
    /// the calls of `next` replace it. Returns the interactions that the removed segments belonged to.
    async fn clear_segments(
        &mut self,
        id: &RecordingId,
        stretches: &[Stretch],
        next: &[Segment],
    ) -> Result<Vec<InteractionId>> {
        let recordings = stretches.iter().filter_map(|stretch| stretch.recording.as_ref());
        let mut interactions = Vec::new();
        for id in std::iter::once(id).chain(recordings.filter(|recording| *recording != id)) {
            let rows: Vec<InteractionRow> = sqlx::query_as(
                "DELETE FROM segments WHERE (footage = $1 OR recording = $1) AND origin <> 'redone' \
                 RETURNING interaction",
            )
            .bind(id.as_str())
            .fetch_all(&mut *self.tx)
            .await?;
            interactions.extend(rows.into_iter().map(|row| row.interaction));
        }
        interactions.extend(self.clear_redone(id, next).await?);
        interactions.sort();
        interactions.dedup();
        Ok(interactions)
    }

    /// Removes the segments that a redo has added to this footage for the same calls.
    async fn clear_redone(&mut self, id: &RecordingId, next: &[Segment]) -> Result<Vec<InteractionId>> {
        let mut interactions = Vec::new();
        let redone: i64 = match next {
            [] => 0,
            _ => {
                sqlx::query_scalar("SELECT COUNT(*) FROM segments WHERE footage = $1 AND origin = 'redone'")
                    .bind(id.as_str())
                    .fetch_one(&mut *self.tx)
                    .await?
            }
        };
        for call in next.iter().filter_map(|segment| segment.call.as_ref()).filter(|_| redone > 0) {
            let rows: Vec<InteractionRow> = sqlx::query_as(
                "DELETE FROM segments WHERE footage = $1 AND origin = 'redone' AND call = $2 RETURNING interaction",
            )
            .bind(id.as_str())
            .bind(call.as_str())
            .fetch_all(&mut *self.tx)
            .await?;
            interactions.extend(rows.into_iter().map(|row| row.interaction));
        }
        Ok(interactions)
    }

    /// Updates interactions that have lost a segment.
    async fn leave(&mut self, interactions: impl Iterator<Item = &InteractionId>) -> Result<()> {
        for interaction in interactions {
            self.measure(interaction).await?;
            self.drop_if_empty(interaction).await?;
        }
        Ok(())
    }

    /// Writes a segment with its interaction, call and tags. False: the interaction was deleted, and the
    /// segment is not wanted.
    pub(super) async fn write_segment(
        &mut self,
        id: &RecordingId,
        stretches: &[Stretch],
        footage: &Footage,
        segment: &Segment,
        (call, origin): (Option<&CallSummary>, SegmentOrigin),
    ) -> Result<bool> {
        let interaction = &segment.interaction;
        let media = media(segment);
        let direction = call.and_then(|call| call.direction.as_deref());
        if !self.ensure_interaction(interaction, media, direction, to_ms(segment.from)).await? {
            return Ok(false);
        }
        for stretch in stretches {
            let Some((from, to)) = stretch.cut(to_ms(segment.from), segment.to.map(to_ms)) else { continue };
            self.insert_segment(&NewSegment {
                interaction,
                footage: Some(id),
                recording: stretch.recording.as_ref(),
                agent: &footage.agent,
                place: footage.place.as_ref(),
                call: segment.call.as_ref(),
                role: role(segment.role),
                from,
                to,
                why: &segment.why,
                origin,
            })
            .await?;
        }
        if let (Some(id), Some(call)) = (&segment.call, call) {
            self.write_call(interaction, id, call).await?;
        }
        for tag in &footage.tags {
            self.insert_tag(interaction, &tag.name, &tag.value).await?;
        }
        Ok(true)
    }

    async fn write_call(
        &mut self,
        interaction: &InteractionId,
        id: &CallId,
        call: &CallSummary,
    ) -> Result<()> {
        let held: Vec<_> = call
            .held
            .iter()
            .map(|(from, to)| json!({ "from": from.to_string(), "to": to.map(|to| to.to_string()) }))
            .collect();
        sqlx::query(
            "INSERT INTO calls (interaction, call, direction, type, held) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (interaction, call) DO UPDATE SET direction = excluded.direction, type = excluded.type, held = excluded.held",
        )
        .bind(interaction.as_str())
        .bind(id.as_str())
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
            .bind(interaction.as_str())
            .bind(id.as_str())
            .bind(key)
            .bind(value)
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }
}

pub(super) fn media(segment: &Segment) -> &'static str {
    if segment.role == Role::Digital { "digital" } else { "voice" }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Primary => "primary",
        Role::Consult => "consult",
        Role::Conference => "conference",
        Role::Monitor => "monitor",
        Role::Coach => "coach",
        Role::Barge => "barge",
        Role::AfterCallWork => "after_call_work",
        Role::Digital => "digital",
    }
}
