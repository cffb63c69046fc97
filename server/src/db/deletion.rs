//! Deletes interactions and recordings. Their objects are deleted afterwards; see `App::purge`.

use deskreel_model::{InteractionId, RecordingId};

use crate::db::sql::RecordingRow;
use crate::db::{Db, Write};
use crate::error::Result;
use crate::time::now_ms;

/// The result of a request to delete an interaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// Done, together with these recordings.
    Done(Vec<RecordingId>),
    /// Not done, because of a hold with this reason.
    Held(String),
}

impl Db {
    /// Deletes the interaction and its recordings, except those that another interaction needs.
    pub async fn delete_interaction(&self, interaction: &InteractionId, why: &str) -> Result<Deletion> {
        let mut write = self.write().await?;
        let hold: Option<String> = sqlx::query_scalar("SELECT reason FROM holds WHERE interaction = $1")
            .bind(interaction.as_str())
            .fetch_optional(&mut *write.tx)
            .await?;
        if let Some(reason) = hold {
            return Ok(Deletion::Held(reason));
        }
        let recordings: Vec<RecordingRow> = sqlx::query_as(
            "SELECT DISTINCT recording FROM segments s WHERE interaction = $1 AND recording IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM segments o WHERE o.recording = s.recording AND o.interaction <> $1)",
        )
        .bind(interaction.as_str())
        .fetch_all(&mut *write.tx)
        .await?;
        let recordings: Vec<RecordingId> = recordings.into_iter().map(|row| row.recording).collect();
        for recording in &recordings {
            write.mark_deleted(recording, why).await?;
        }
        sqlx::query("UPDATE interactions SET deleted = $1 WHERE interaction = $2")
            .bind(now_ms())
            .bind(interaction.as_str())
            .execute(&mut *write.tx)
            .await?;
        for table in [
            "DELETE FROM segments WHERE interaction = $1",
            "DELETE FROM calls WHERE interaction = $1",
            "DELETE FROM attached WHERE interaction = $1",
            "DELETE FROM tags WHERE interaction = $1",
            "DELETE FROM labels WHERE interaction = $1",
            "DELETE FROM notes WHERE interaction = $1",
        ] {
            sqlx::query(table).bind(interaction.as_str()).execute(&mut *write.tx).await?;
        }
        write.commit().await?;
        Ok(Deletion::Done(recordings))
    }

    /// Deleted recordings whose objects may still exist.
    pub async fn unpurged(&self) -> Result<Vec<RecordingId>> {
        let rows: Vec<RecordingRow> = sqlx::query_as(
            "SELECT recording FROM recordings r WHERE deleted IS NOT NULL \
             AND EXISTS (SELECT 1 FROM fragments f WHERE f.recording = r.recording)",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| row.recording).collect())
    }

    /// Called for a recording whose objects are deleted. Keeps only that it existed, and why it was deleted.
    pub async fn forget_fragments(&self, recording: &RecordingId) -> Result<()> {
        sqlx::query("DELETE FROM fragments WHERE recording = $1")
            .bind(recording.as_str())
            .execute(&self.pool)
            .await?;
        sqlx::query("UPDATE recordings SET manifest = NULL, about = NULL, bytes = 0 WHERE recording = $1")
            .bind(recording.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl Write {
    pub async fn mark_deleted(&mut self, recording: &RecordingId, why: &str) -> Result<()> {
        sqlx::query(
            "UPDATE recordings SET deleted = $1, why_deleted = $2 WHERE recording = $3 AND deleted IS NULL",
        )
        .bind(now_ms())
        .bind(why)
        .bind(recording.as_str())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
