//! What people add to interactions: labels, notes, holds; and taking them away.

use serde::Serialize;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::secret;
use crate::time::{now_ms, rfc3339};

#[derive(Debug, Serialize)]
pub struct Note {
    pub id: String,
    pub at_ms: i64,
    pub recording: Option<String>,
    pub author: String,
    pub text: String,
    pub label: Option<String>,
    pub created: String,
}

/// What became of a wish to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleting {
    /// These recordings went with it.
    Done(Vec<String>),
    /// Why not.
    Held(String),
}

impl Db {
    pub async fn label(&self, interaction: &str, label: &str, author: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO labels (interaction, label, author, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(interaction)
        .bind(label)
        .bind(author)
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn unlabel(&self, interaction: &str, label: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM labels WHERE interaction = $1 AND label = $2")
            .bind(interaction)
            .bind(label)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn add_note(&self, interaction: &str, note: &Note) -> Result<()> {
        sqlx::query(
            "INSERT INTO notes (id, interaction, recording, at_ms, author, text, label, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&note.id)
        .bind(interaction)
        .bind(note.recording.as_deref())
        .bind(note.at_ms)
        .bind(&note.author)
        .bind(&note.text)
        .bind(note.label.as_deref())
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// `author`: only if it is theirs.
    pub async fn remove_note(&self, interaction: &str, id: &str, author: Option<&str>) -> Result<bool> {
        let done = sqlx::query(
            "DELETE FROM notes WHERE interaction = $1 AND id = $2 AND author = COALESCE($3, author)",
        )
        .bind(interaction)
        .bind(id)
        .bind(author)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn notes(&self, interaction: &str) -> Result<Vec<Note>> {
        type Row = (String, i64, Option<String>, String, String, Option<String>, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT id, at_ms, recording, author, text, label, created FROM notes WHERE interaction = $1 ORDER BY id",
        )
        .bind(interaction)
        .fetch_all(&self.pool)
        .await?;
        let note = |(id, at_ms, recording, author, text, label, created): Row| Note {
            id,
            at_ms,
            recording,
            author,
            text,
            label,
            created: rfc3339(created),
        };
        Ok(rows.into_iter().map(note).collect())
    }

    pub async fn hold(&self, interaction: &str, reason: &str, author: &str) -> Result<()> {
        sqlx::query(
            "INSERT INTO holds (interaction, reason, author, created) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (interaction) DO UPDATE SET reason = excluded.reason, author = excluded.author",
        )
        .bind(interaction)
        .bind(reason)
        .bind(author)
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn release(&self, interaction: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM holds WHERE interaction = $1")
            .bind(interaction)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The interaction and its recordings, but for those that another interaction needs. Only the index: see `purge`.
    pub async fn delete_interaction(&self, interaction: &str, why: &str) -> Result<Deleting> {
        let mut write = self.write().await?;
        let hold: Option<(String,)> = sqlx::query_as("SELECT reason FROM holds WHERE interaction = $1")
            .bind(interaction)
            .fetch_optional(&mut *write.tx)
            .await?;
        if let Some((reason,)) = hold {
            return Ok(Deleting::Held(reason));
        }
        let recordings: Vec<(String,)> = sqlx::query_as(
            "SELECT DISTINCT recording FROM segments s WHERE interaction = $1 AND recording IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM segments o WHERE o.recording = s.recording AND o.interaction <> $1)",
        )
        .bind(interaction)
        .fetch_all(&mut *write.tx)
        .await?;
        for (recording,) in &recordings {
            write.mark_deleted(recording, why).await?;
        }
        sqlx::query("UPDATE interactions SET deleted = $1 WHERE interaction = $2")
            .bind(now_ms())
            .bind(interaction)
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
            sqlx::query(table).bind(interaction).execute(&mut *write.tx).await?;
        }
        write.commit().await?;
        Ok(Deleting::Done(recordings.into_iter().map(|(recording,)| recording).collect()))
    }

    /// Recordings that were deleted and whose objects are still there.
    pub async fn unpurged(&self) -> Result<Vec<String>> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT recording FROM recordings r WHERE deleted IS NOT NULL \
             AND EXISTS (SELECT 1 FROM fragments f WHERE f.recording = r.recording)",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(recording,)| recording).collect())
    }

    /// Once its objects are gone. What remains is that there was one, and why it is not there.
    pub async fn forget_fragments(&self, recording: &str) -> Result<()> {
        sqlx::query("DELETE FROM fragments WHERE recording = $1").bind(recording).execute(&self.pool).await?;
        sqlx::query("UPDATE recordings SET manifest = NULL, about = NULL, bytes = 0 WHERE recording = $1")
            .bind(recording)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

pub fn note_id() -> Result<String> {
    secret::id().map_err(|error| Error::Corrupt(error.to_string()))
}
