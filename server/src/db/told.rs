//! Interactions of recorders that decide by themselves: what they say about a recording becomes its segments, unless this server
//! has decided over it.

use crate::db::Write;
use crate::error::{Error, Result};
use crate::manifest::About;
use crate::secret;
use crate::time;

/// Why such a segment is there.
const WHY: &str = "the recorder said so";

impl Write {
    /// What was said stands, now that this server has nothing of its own to say.
    pub async fn tell_again(&mut self, recording: &str) -> Result<()> {
        let row: Option<(Option<String>,)> =
            sqlx::query_as("SELECT about FROM recordings WHERE recording = $1 AND deleted IS NULL")
                .bind(recording)
                .fetch_optional(&mut *self.tx)
                .await?;
        let about = row.and_then(|(about,)| serde_json::from_str(&about?).ok());
        match about {
            Some(about) => self.tell(recording, &about).await,
            None => Ok(()),
        }
    }

    /// Again after each word about the recording; the last one counts.
    pub async fn tell(&mut self, recording: &str, about: &About) -> Result<()> {
        let (decided,): (i64,) =
            sqlx::query_as("SELECT COUNT(*) FROM segments WHERE recording = $1 AND origin = 'server'")
                .bind(recording)
                .fetch_one(&mut *self.tx)
                .await?;
        if decided > 0 {
            return Ok(());
        }
        let before: Vec<(String,)> =
            sqlx::query_as("SELECT DISTINCT interaction FROM segments WHERE recording = $1")
                .bind(recording)
                .fetch_all(&mut *self.tx)
                .await?;
        sqlx::query("DELETE FROM segments WHERE recording = $1")
            .bind(recording)
            .execute(&mut *self.tx)
            .await?;

        type Row = (Option<String>, Option<String>, Option<i64>, Option<i64>, Option<i64>);
        let (agent, place, started, ended, offset): Row = sqlx::query_as(
            "SELECT agent, place, started, ended, clock_offset_ms FROM recordings WHERE recording = $1",
        )
        .bind(recording)
        .fetch_one(&mut *self.tx)
        .await?;
        let started = started.unwrap_or_else(time::now_ms);
        // What was asked for, within what there is, once that is known.
        let within = |text: Option<&String>| {
            let at = text.and_then(|text| time::parse(text))? + offset.unwrap_or(0);
            Some(ended.map_or(at, |ended| at.clamp(started, ended.max(started))))
        };
        let from = within(about.from.as_ref()).unwrap_or(started);
        let to = within(about.to.as_ref()).or(ended);
        let agent = agent.unwrap_or_else(|| "unknown".to_owned());

        let own = [recording.to_owned()];
        let first_call = about.calls.first().map(std::slice::from_ref);
        let interactions: &[String] = match (about.interactions.is_empty(), first_call) {
            (false, _) => &about.interactions,
            (true, Some(call)) => call,
            // Footage that belongs to no contact is found by its own id.
            (true, None) => &own,
        };
        let media = if about.calls.is_empty() { "screen" } else { "voice" };
        let mut deleted = 0;
        for interaction in interactions {
            if !self.begin(interaction, media, from).await? {
                deleted += 1;
                continue;
            }
            let call = match &about.calls[..] {
                [only] => Some(only),
                calls => calls.iter().find(|call| *call == interaction),
            };
            let id = secret::id().map_err(|error| Error::Corrupt(error.to_string()))?;
            sqlx::query(
                "INSERT INTO segments (id, interaction, recording, agent, place, call, role, from_ms, to_ms, why, origin) \
                 VALUES ($1, $2, $3, $4, $5, $6, 'primary', $7, $8, $9, 'about')",
            )
            .bind(id)
            .bind(interaction)
            .bind(recording)
            .bind(&agent)
            .bind(place.as_deref())
            .bind(call)
            .bind(from)
            .bind(to)
            .bind(WHY)
            .execute(&mut *self.tx)
            .await?;
            for (name, value) in &about.tags {
                sqlx::query(
                    "INSERT INTO tags (interaction, name, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(interaction)
                .bind(name)
                .bind(value)
                .execute(&mut *self.tx)
                .await?;
            }
        }
        for interaction in interactions.iter().chain(before.iter().map(|(interaction,)| interaction)) {
            self.measure(interaction).await?;
        }
        for call in &about.calls {
            let of = interactions.iter().find(|one| *one == call).or(interactions.first());
            sqlx::query(
                "INSERT INTO calls (interaction, call, held) VALUES ($1, $2, '[]') ON CONFLICT DO NOTHING",
            )
            .bind(of)
            .bind(call)
            .execute(&mut *self.tx)
            .await?;
        }
        if deleted == interactions.len() {
            // It comes late, and is not wanted again.
            self.mark_deleted(recording, "its interaction was deleted before it came").await?;
        }
        for (interaction,) in before.iter().filter(|(before,)| !interactions.contains(before)) {
            self.drop_if_empty(interaction).await?;
        }
        Ok(())
    }

    /// Makes the interaction if it is not there. False: it was deleted.
    async fn begin(&mut self, interaction: &str, media: &str, from: i64) -> Result<bool> {
        sqlx::query(
            "INSERT INTO interactions (interaction, media, started) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(interaction)
        .bind(media)
        .bind(from)
        .execute(&mut *self.tx)
        .await?;
        let (deleted,): (Option<i64>,) =
            sqlx::query_as("SELECT deleted FROM interactions WHERE interaction = $1")
                .bind(interaction)
                .fetch_one(&mut *self.tx)
                .await?;
        Ok(deleted.is_none())
    }

    /// From its first segment to its last.
    pub(super) async fn measure(&mut self, interaction: &str) -> Result<()> {
        sqlx::query(
            "UPDATE interactions SET \
             started = COALESCE((SELECT MIN(from_ms) FROM segments WHERE interaction = $1), started), \
             ended = (SELECT CASE WHEN COUNT(*) = COUNT(to_ms) THEN MAX(to_ms) END FROM segments WHERE interaction = $1) \
             WHERE interaction = $1",
        )
        .bind(interaction)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// An interaction without a segment, which is nobody's any more, unless somebody has said something about it.
    pub(super) async fn drop_if_empty(&mut self, interaction: &str) -> Result<()> {
        let (left,): (i64,) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM segments WHERE interaction = $1) + (SELECT COUNT(*) FROM notes WHERE interaction = $1) \
             + (SELECT COUNT(*) FROM labels WHERE interaction = $1)",
        )
        .bind(interaction)
        .fetch_one(&mut *self.tx)
        .await?;
        if left == 0 {
            for table in [
                "DELETE FROM interactions WHERE interaction = $1 AND deleted IS NULL",
                "DELETE FROM calls WHERE interaction = $1",
                "DELETE FROM attached WHERE interaction = $1",
                "DELETE FROM tags WHERE interaction = $1",
            ] {
                sqlx::query(table).bind(interaction).execute(&mut *self.tx).await?;
            }
        }
        Ok(())
    }

    /// The objects go afterwards; see `purge`.
    pub async fn mark_deleted(&mut self, recording: &str, why: &str) -> Result<()> {
        sqlx::query(
            "UPDATE recordings SET deleted = $1, why_deleted = $2 WHERE recording = $3 AND deleted IS NULL",
        )
        .bind(time::now_ms())
        .bind(why)
        .bind(recording)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
