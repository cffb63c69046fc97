//! People's additions to interactions: labels, notes and holds.

use deskreel_model::{InteractionId, RecordingId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::Db;
use crate::db::sql::{new_id, row};
use crate::error::Result;
use crate::names::PersonName;
use crate::schema::Time;
use crate::time::{now_ms, rfc3339};

#[derive(Debug, Serialize, ToSchema)]
pub struct Note {
    pub id: String,
    /// Milliseconds since the beginning of the interaction.
    pub at_ms: i64,
    #[schema(value_type = Option<String>)]
    pub recording: Option<RecordingId>,
    #[schema(value_type = String)]
    pub author: PersonName,
    pub text: String,
    pub label: Option<String>,
    #[schema(value_type = Time)]
    pub created: String,
}

row! {
    struct NoteRow {
        id: String,
        at_ms: i64,
        recording: Option<RecordingId>,
        author: PersonName,
        text: String,
        label: Option<String>,
        created: i64,
    }
}

impl From<NoteRow> for Note {
    fn from(NoteRow { id, at_ms, recording, author, text, label, created }: NoteRow) -> Note {
        Note { id, at_ms, recording, author, text, label, created: rfc3339(created) }
    }
}

pub fn note_id() -> Result<String> {
    new_id()
}

impl Db {
    pub async fn label(&self, interaction: &InteractionId, label: &str, author: &PersonName) -> Result<()> {
        sqlx::query(
            "INSERT INTO labels (interaction, label, author, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(interaction.as_str())
        .bind(label)
        .bind(author.as_str())
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn unlabel(&self, interaction: &InteractionId, label: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM labels WHERE interaction = $1 AND label = $2")
            .bind(interaction.as_str())
            .bind(label)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn add_note(&self, interaction: &InteractionId, note: &Note) -> Result<()> {
        sqlx::query(
            "INSERT INTO notes (id, interaction, recording, at_ms, author, text, label, created) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(&note.id)
        .bind(interaction.as_str())
        .bind(note.recording.as_ref().map(RecordingId::as_str))
        .bind(note.at_ms)
        .bind(note.author.as_str())
        .bind(&note.text)
        .bind(note.label.as_deref())
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Removes a note. If an author is given, only a note of theirs.
    pub async fn remove_note(
        &self,
        interaction: &InteractionId,
        id: &str,
        author: Option<&PersonName>,
    ) -> Result<bool> {
        let done = sqlx::query(
            "DELETE FROM notes WHERE interaction = $1 AND id = $2 AND author = COALESCE($3, author)",
        )
        .bind(interaction.as_str())
        .bind(id)
        .bind(author.map(PersonName::as_str))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    pub async fn notes(&self, interaction: &InteractionId) -> Result<Vec<Note>> {
        let rows: Vec<NoteRow> = sqlx::query_as(
            "SELECT id, at_ms, recording, author, text, label, created FROM notes WHERE interaction = $1 ORDER BY id",
        )
        .bind(interaction.as_str())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(Note::from).collect())
    }

    pub async fn hold(&self, interaction: &InteractionId, reason: &str, author: &PersonName) -> Result<()> {
        sqlx::query(
            "INSERT INTO holds (interaction, reason, author, created) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (interaction) DO UPDATE SET reason = excluded.reason, author = excluded.author",
        )
        .bind(interaction.as_str())
        .bind(reason)
        .bind(author.as_str())
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn release(&self, interaction: &InteractionId) -> Result<bool> {
        let done = sqlx::query("DELETE FROM holds WHERE interaction = $1")
            .bind(interaction.as_str())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
