//! Rows of segments and of the interactions that they make up; those that a recorder's `about` asks for are
//! written here too.

use std::collections::BTreeSet;

use deskreel_model::{AgentId, CallId, InteractionId, Place, RecordingId};

use crate::about_segments::{AboutSegments, Footage};
use crate::db::Write;
use crate::db::sql::{InteractionRow, new_id, row};
use crate::error::Result;
use crate::manifest::About;
use crate::time;

/// The reason in segments that a recorder asked for.
const WHY: &str = "stated by the recorder";

/// The decider of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentOrigin {
    Server,
    /// A recorder that decides by itself.
    About,
    /// This server, later, once it knew whose events they were.
    Redone,
}

#[derive(Debug)]
pub(super) struct NewSegment<'a> {
    pub interaction: &'a InteractionId,
    pub footage: Option<&'a RecordingId>,
    pub recording: Option<&'a RecordingId>,
    pub agent: &'a AgentId,
    pub place: Option<&'a Place>,
    pub call: Option<&'a CallId>,
    pub role: &'static str,
    pub from: i64,
    pub to: Option<i64>,
    pub why: &'a str,
    pub origin: SegmentOrigin,
}

row! {
    struct AboutRow {
        about: Option<String>,
    }
}

row! {
    struct RecordedRow {
        agent: Option<AgentId>,
        place: Option<Place>,
        started: Option<i64>,
        ended: Option<i64>,
        clock_offset_ms: Option<i64>,
    }
}

impl Write {
    /// Writes the segments of the stored `about` again, since this server has none of its own any more.
    pub(super) async fn restore_about(&mut self, recording: &RecordingId) -> Result<()> {
        let row: Option<AboutRow> =
            sqlx::query_as("SELECT about FROM recordings WHERE recording = $1 AND deleted IS NULL")
                .bind(recording.as_str())
                .fetch_optional(&mut *self.tx)
                .await?;
        let about = row.and_then(|row| serde_json::from_str(&row.about?).ok());
        match about {
            Some(about) => self.apply_about(recording, &about).await,
            None => Ok(()),
        }
    }

    /// Writes the segments that `about` asks for in place of earlier ones, unless this server has decided on
    /// the recording.
    pub async fn apply_about(&mut self, recording: &RecordingId, about: &About) -> Result<()> {
        let decided: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM segments WHERE recording = $1 AND origin <> 'about'")
                .bind(recording.as_str())
                .fetch_one(&mut *self.tx)
                .await?;
        if decided > 0 {
            return Ok(());
        }
        let before = self.clear_recording_segments(recording).await?;
        let RecordedRow { agent, place, started, ended, clock_offset_ms } = sqlx::query_as(
            "SELECT agent, place, started, ended, clock_offset_ms FROM recordings WHERE recording = $1",
        )
        .bind(recording.as_str())
        .fetch_one(&mut *self.tx)
        .await?;
        let started = started.unwrap_or_else(time::now_ms);
        let footage = Footage { agent, started, ended, clock_offset_ms: clock_offset_ms.unwrap_or(0) };
        let mut segments = AboutSegments::new(recording, about, &footage);
        self.name_interactions(&mut segments).await?;
        let deleted = self.write_about_segments(recording, place.as_ref(), about, &segments).await?;

        let current = || segments.interactions.iter().map(|(interaction, _)| interaction);
        for interaction in current().chain(&before) {
            self.measure(interaction).await?;
        }
        for (call, interaction) in &segments.calls {
            sqlx::query(
                "INSERT INTO calls (interaction, call, held) VALUES ($1, $2, '[]') ON CONFLICT DO NOTHING",
            )
            .bind(interaction.as_str())
            .bind(call.as_str())
            .execute(&mut *self.tx)
            .await?;
        }
        if deleted == segments.interactions.len() {
            self.mark_deleted(recording, "its interaction was deleted before it came").await?;
        }
        let current: BTreeSet<&InteractionId> = current().collect();
        for interaction in before.iter().filter(|before| !current.contains(before)) {
            self.drop_if_empty(interaction).await?;
        }
        Ok(())
    }

    /// Returns how many of the interactions were deleted and get no segment.
    async fn write_about_segments(
        &mut self,
        recording: &RecordingId,
        place: Option<&Place>,
        about: &About,
        segments: &AboutSegments,
    ) -> Result<usize> {
        let AboutSegments { agent, from, to, media, interactions, .. } = segments;
        let mut deleted = 0;
        for (interaction, call) in interactions {
            if !self.ensure_interaction(interaction, media, None, *from).await? {
                deleted += 1;
                continue;
            }
            self.insert_segment(&NewSegment {
                interaction,
                footage: None,
                recording: Some(recording),
                agent,
                place,
                call: call.as_ref(),
                role: "primary",
                from: *from,
                to: *to,
                why: WHY,
                origin: SegmentOrigin::About,
            })
            .await?;
            for (name, value) in &about.tags {
                self.insert_tag(interaction, name, value).await?;
            }
        }
        Ok(deleted)
    }

    /// Returns the interactions that the removed segments belonged to.
    async fn clear_recording_segments(&mut self, recording: &RecordingId) -> Result<Vec<InteractionId>> {
        let rows: Vec<InteractionRow> =
            sqlx::query_as("SELECT DISTINCT interaction FROM segments WHERE recording = $1")
                .bind(recording.as_str())
                .fetch_all(&mut *self.tx)
                .await?;
        sqlx::query("DELETE FROM segments WHERE recording = $1")
            .bind(recording.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(rows.into_iter().map(|row| row.interaction).collect())
    }

    /// Adds the interaction if it does not exist. False: it was deleted.
    pub(super) async fn ensure_interaction(
        &mut self,
        interaction: &InteractionId,
        media: &str,
        direction: Option<&str>,
        started: i64,
    ) -> Result<bool> {
        sqlx::query(
            "INSERT INTO interactions (interaction, media, direction, started) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (interaction) DO UPDATE SET direction = COALESCE(interactions.direction, excluded.direction)",
        )
        .bind(interaction.as_str())
        .bind(media)
        .bind(direction)
        .bind(started)
        .execute(&mut *self.tx)
        .await?;
        let deleted: Option<i64> =
            sqlx::query_scalar("SELECT deleted FROM interactions WHERE interaction = $1")
                .bind(interaction.as_str())
                .fetch_one(&mut *self.tx)
                .await?;
        Ok(deleted.is_none())
    }

    pub(super) async fn insert_segment(&mut self, segment: &NewSegment<'_>) -> Result<()> {
        sqlx::query(
            "INSERT INTO segments (id, interaction, footage, recording, agent, place, call, role, from_ms, to_ms, why, origin) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(new_id()?)
        .bind(segment.interaction.as_str())
        .bind(segment.footage.map(RecordingId::as_str))
        .bind(segment.recording.map(RecordingId::as_str))
        .bind(segment.agent.as_str())
        .bind(segment.place.map(Place::as_str))
        .bind(segment.call.map(CallId::as_str))
        .bind(segment.role)
        .bind(segment.from)
        .bind(segment.to)
        .bind(segment.why)
        .bind(match segment.origin {
            SegmentOrigin::Server => "server",
            SegmentOrigin::About => "about",
            SegmentOrigin::Redone => "redone",
        })
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub(super) async fn insert_tag(
        &mut self,
        interaction: &InteractionId,
        name: &str,
        value: &str,
    ) -> Result<()> {
        sqlx::query("INSERT INTO tags (interaction, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind(interaction.as_str())
            .bind(name)
            .bind(value)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Sets an interaction's times: from its first segment to its last.
    pub(super) async fn measure(&mut self, interaction: &InteractionId) -> Result<()> {
        sqlx::query(
            "UPDATE interactions SET \
             started = COALESCE((SELECT MIN(from_ms) FROM segments WHERE interaction = $1), started), \
             ended = (SELECT CASE WHEN COUNT(*) = COUNT(to_ms) THEN MAX(to_ms) END FROM segments WHERE interaction = $1) \
             WHERE interaction = $1",
        )
        .bind(interaction.as_str())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Removes an interaction without segments, unless it has a note or a label.
    pub(super) async fn drop_if_empty(&mut self, interaction: &InteractionId) -> Result<()> {
        let left: i64 = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM segments WHERE interaction = $1) + (SELECT COUNT(*) FROM notes WHERE interaction = $1) \
             + (SELECT COUNT(*) FROM labels WHERE interaction = $1)",
        )
        .bind(interaction.as_str())
        .fetch_one(&mut *self.tx)
        .await?;
        if left == 0 {
            for table in [
                "DELETE FROM interactions WHERE interaction = $1 AND deleted IS NULL",
                "DELETE FROM calls WHERE interaction = $1",
                "DELETE FROM attached WHERE interaction = $1",
                "DELETE FROM tags WHERE interaction = $1",
            ] {
                sqlx::query(table).bind(interaction.as_str()).execute(&mut *self.tx).await?;
            }
        }
        Ok(())
    }
}
