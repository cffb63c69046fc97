//! Reads and writes what a redo of the mapping compares and adds.

use deskreel_model::segment::{Footage, Segment};
use deskreel_model::{AgentId, CallId, InteractionId, RecordingId};

use crate::additions::{Addition, IndexedAgent, IndexedFootage, IndexedSegment};
use crate::db::footage::media;
use crate::db::segments::SegmentOrigin;
use crate::db::sql::{InteractionRow, new_id, row};
use crate::db::{Db, Write};
use crate::error::Result;
use crate::segments::{CallSummaries, Stretch};
use crate::time::to_ms;

/// The reason of footage whose agent was not known in time.
const UNKNOWN: &str = "its events named no known agent then";

row! {
    struct FootageRow {
        footage: RecordingId,
        from_ms: i64,
        to_ms: Option<i64>,
    }
}

row! {
    struct RecordingRow {
        recording: RecordingId,
        from_ms: i64,
        deleted: Option<i64>,
    }
}

row! {
    struct SegmentRow {
        call: Option<CallId>,
        interaction: InteractionId,
        from_ms: i64,
        to_ms: Option<i64>,
    }
}

impl Db {
    /// What the index has of an agent in this time.
    pub async fn indexed_agent(&self, agent: &AgentId, from: i64, to: i64) -> Result<IndexedAgent> {
        let rows: Vec<FootageRow> = sqlx::query_as(
            "SELECT footage, from_ms, to_ms FROM footage WHERE agent = $1 AND from_ms < $2 \
             AND (to_ms IS NULL OR to_ms > $3) ORDER BY from_ms",
        )
        .bind(agent.as_str())
        .bind(to)
        .bind(from)
        .fetch_all(&self.pool)
        .await?;
        let mut footage = Vec::new();
        for FootageRow { footage: id, from_ms, to_ms } in rows {
            let stretches = self.kept_stretches(&id).await?;
            footage.push(IndexedFootage { id, from: from_ms, to: to_ms, stretches });
        }
        let rows: Vec<SegmentRow> = sqlx::query_as(
            "SELECT call, interaction, from_ms, to_ms FROM segments WHERE agent = $1 AND from_ms < $2 \
             AND (to_ms IS NULL OR to_ms > $3)",
        )
        .bind(agent.as_str())
        .bind(to)
        .bind(from)
        .fetch_all(&self.pool)
        .await?;
        let segment = |row: SegmentRow| IndexedSegment {
            call: row.call,
            interaction: row.interaction,
            from: row.from_ms,
            to: row.to_ms,
        };
        Ok(IndexedAgent { footage, segments: rows.into_iter().map(segment).collect() })
    }

    /// The stretches of footage, without those whose recording was deleted.
    async fn kept_stretches(&self, footage: &RecordingId) -> Result<Vec<Stretch>> {
        let rows: Vec<RecordingRow> = sqlx::query_as(
            "SELECT fr.recording, fr.from_ms, r.deleted FROM footage_recordings fr \
             LEFT JOIN recordings r ON r.recording = fr.recording WHERE fr.footage = $1 ORDER BY fr.from_ms",
        )
        .bind(footage.as_str())
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(vec![Stretch { recording: None, from: None, to: None }]);
        }
        let ends = rows.iter().skip(1).map(|row| Some(row.from_ms)).chain([None]);
        let begins = [None].into_iter().chain(rows.iter().skip(1).map(|row| Some(row.from_ms)));
        let stretches = rows.iter().zip(begins.zip(ends)).filter(|(row, _)| row.deleted.is_none());
        let stretch = |(row, (from, to)): (&RecordingRow, (Option<i64>, Option<i64>))| Stretch {
            recording: Some(row.recording.clone()),
            from,
            to,
        };
        Ok(stretches.map(stretch).collect())
    }

    /// The interaction that the index has for the call of this segment at that time, of whichever agent.
    pub async fn indexed_interaction(&self, segment: &Segment, now: i64) -> Result<Option<InteractionId>> {
        let Some(call) = &segment.call else { return Ok(None) };
        let row: Option<InteractionRow> = sqlx::query_as(
            "SELECT interaction FROM segments WHERE call = $1 AND from_ms <= $2 \
             AND (to_ms IS NULL OR to_ms >= $3) ORDER BY from_ms LIMIT 1",
        )
        .bind(call.as_str())
        .bind(segment.to.map_or(now, to_ms))
        .bind(to_ms(segment.from))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| row.interaction))
    }
}

impl Write {
    /// Adds what the index lacks. Returns the number of segments that were added: those of deleted
    /// interactions and recordings are not.
    pub async fn add_redone(
        &mut self,
        Addition { on, footage }: &Addition,
        stretches: &[Stretch],
        calls: &CallSummaries,
    ) -> Result<usize> {
        let mut segments = Vec::new();
        for segment in &footage.segments {
            let call = segment.call.clone().and_then(|call| calls.get(&(segment.interaction.clone(), call)));
            let from = to_ms(segment.from);
            let interaction = self.interaction_meant(&segment.interaction, media(segment), from).await?;
            if !self.is_deleted(&interaction).await? {
                segments.push((Segment { interaction, ..segment.clone() }, call));
            }
        }
        if segments.is_empty() || stretches.is_empty() {
            return Ok(0);
        }
        let id = match on {
            Some(id) => id.clone(),
            None => self.add_unmade(footage).await?,
        };
        for (segment, call) in &segments {
            let origin = SegmentOrigin::Redone;
            self.write_segment(&id, stretches, footage, segment, (*call, origin)).await?;
            self.measure(&segment.interaction).await?;
        }
        Ok(segments.len())
    }

    async fn is_deleted(&mut self, interaction: &InteractionId) -> Result<bool> {
        let count: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM interactions WHERE interaction = $1 AND deleted IS NOT NULL",
        )
        .bind(interaction.as_str())
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(count > 0)
    }

    /// Adds footage that nobody made. Returns its id.
    async fn add_unmade(&mut self, footage: &Footage) -> Result<RecordingId> {
        // The id of no recording: none was requested. It sorts by the footage's beginning.
        let salt = new_id()?.bytes().fold(0u32, |salt, byte| salt.wrapping_mul(31).wrapping_add(byte.into()));
        let id = RecordingId::new(footage.from, salt);
        self.upsert_footage(&id, footage).await?;
        sqlx::query("UPDATE footage SET not_made = $1 WHERE footage = $2")
            .bind(UNKNOWN)
            .bind(id.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(id)
    }
}
