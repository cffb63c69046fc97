//! Enrolled recorders: their tokens, their places and their state.

use deskreel_model::Place;
use deskreel_model::link::{EventStreamId, RecorderStatus};

use crate::db::sql::{new_id, random, row};
use crate::db::{Db, Write};
use crate::error::Result;
use crate::names::RecorderId;
use crate::schema::Time;
use crate::secret;
use crate::time::{now_ms, rfc3339};

/// Life of an enrolment code, which is typed soon after it was created.
const CODE_LIFE_MS: i64 = 24 * 3600 * 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    pub id: RecorderId,
    pub place: Place,
}

/// A recorder as administrators see it, by the last messages on its link.
#[derive(Debug, Clone, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Recorder)]
pub struct RecorderOverview {
    #[schema(value_type = String)]
    pub recorder: RecorderId,
    #[schema(value_type = String)]
    pub place: Place,
    pub revoked: bool,
    pub connected: bool,
    #[schema(value_type = Option<Time>)]
    pub seen: Option<String>,
    pub version: Option<String>,
    pub clock_offset_ms: Option<i64>,
    /// The `status` of its link, as JSON.
    pub doing: Option<String>,
    /// Another recorder that is connected at the same place. While it is, this one is not commanded.
    pub occupied_by: Option<String>,
}

row! {
    struct TokenRow {
        recorder: RecorderId,
        place: Place,
    }
}

row! {
    struct PlaceRow {
        place: Place,
    }
}

row! {
    struct RecorderRow {
        recorder: RecorderId,
        place: Place,
        revoked: Option<i64>,
        connected: Option<i64>,
        seen: Option<i64>,
        version: Option<String>,
        clock_offset_ms: Option<i64>,
        doing: Option<String>,
        occupied_by: Option<String>,
    }
}

row! {
    struct StreamRow {
        stream: Option<String>,
        heard: Option<u64>,
    }
}

impl From<RecorderRow> for RecorderOverview {
    fn from(row: RecorderRow) -> RecorderOverview {
        RecorderOverview {
            recorder: row.recorder,
            place: row.place,
            revoked: row.revoked.is_some(),
            connected: row.connected.is_some(),
            seen: row.seen.map(rfc3339),
            version: row.version,
            clock_offset_ms: row.clock_offset_ms,
            doing: row.doing,
            occupied_by: row.occupied_by,
        }
    }
}

impl Db {
    /// Adds a recorder at a place. Returns its token, which is stored nowhere.
    pub async fn enrol(&self, place: &Place) -> Result<(Recorder, String)> {
        let (id, token) = (RecorderId(new_id()?), random(secret::token())?);
        sqlx::query("INSERT INTO recorders (recorder, place, token_sha256, created) VALUES ($1, $2, $3, $4)")
            .bind(id.as_str())
            .bind(place.as_str())
            .bind(secret::sha256(&token))
            .bind(now_ms())
            .execute(&self.pool)
            .await?;
        Ok((Recorder { id, place: place.clone() }, token))
    }

    pub async fn recorder_of_token(&self, token: &str) -> Result<Option<Recorder>> {
        let row: Option<TokenRow> = sqlx::query_as(
            "SELECT recorder, place FROM recorders WHERE token_sha256 = $1 AND revoked IS NULL",
        )
        .bind(secret::sha256(token))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|TokenRow { recorder, place }| Recorder { id: recorder, place }))
    }

    /// Another token for the same recorder; the previous one is invalid from now on.
    pub async fn rotate(&self, recorder: &RecorderId) -> Result<Option<String>> {
        let token = random(secret::token())?;
        let done =
            sqlx::query("UPDATE recorders SET token_sha256 = $1 WHERE recorder = $2 AND revoked IS NULL")
                .bind(secret::sha256(&token))
                .bind(recorder.as_str())
                .execute(&self.pool)
                .await?;
        Ok((done.rows_affected() > 0).then_some(token))
    }

    pub async fn revoke(&self, recorder: &RecorderId) -> Result<bool> {
        let done = sqlx::query("UPDATE recorders SET revoked = $1 WHERE recorder = $2 AND revoked IS NULL")
            .bind(now_ms())
            .bind(recorder.as_str())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A code with which one recorder can enrol itself, once.
    pub async fn add_enrolment(&self, place: &Place) -> Result<String> {
        let code = random(secret::code())?;
        sqlx::query("INSERT INTO enrolments (code_sha256, place, created, expires) VALUES ($1, $2, $3, $4)")
            .bind(secret::sha256(&code))
            .bind(place.as_str())
            .bind(now_ms())
            .bind(now_ms() + CODE_LIFE_MS)
            .execute(&self.pool)
            .await?;
        Ok(code)
    }

    /// Enrols a recorder by its code. `None`: the code is unknown, used or too old.
    pub async fn redeem(&self, code: &str) -> Result<Option<(Recorder, String)>> {
        let sha256 = secret::sha256(code);
        let used = sqlx::query(
            "UPDATE enrolments SET used = $1 WHERE code_sha256 = $2 AND used IS NULL AND expires > $1",
        )
        .bind(now_ms())
        .bind(&sha256)
        .execute(&self.pool)
        .await?;
        if used.rows_affected() == 0 {
            return Ok(None);
        }
        let PlaceRow { place } = sqlx::query_as("SELECT place FROM enrolments WHERE code_sha256 = $1")
            .bind(sha256)
            .fetch_one(&self.pool)
            .await?;
        Ok(Some(self.enrol(&place).await?))
    }

    pub async fn recorders(&self) -> Result<Vec<RecorderOverview>> {
        let rows: Vec<RecorderRow> = sqlx::query_as(
            "SELECT recorder, place, revoked, connected, seen, version, clock_offset_ms, doing, occupied_by \
             FROM recorders ORDER BY place, recorder",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(RecorderOverview::from).collect())
    }

    /// Stores that no recorder's link is up.
    pub async fn forget_links(&self) -> Result<()> {
        for text in [
            "UPDATE recorders SET connected = NULL, occupied_by = NULL WHERE connected IS NOT NULL",
            "UPDATE recordings SET running = NULL WHERE running IS NOT NULL",
        ] {
            sqlx::query(text).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Places that have a recorder.
    pub async fn places_of_recorders(&self) -> Result<Vec<Place>> {
        let rows: Vec<PlaceRow> =
            sqlx::query_as("SELECT DISTINCT place FROM recorders WHERE revoked IS NULL")
                .fetch_all(&self.pool)
                .await?;
        Ok(rows.into_iter().map(|row| row.place).collect())
    }

    /// The stream of a recorder's events that is being received, and the number of its last stored event.
    pub async fn stored_stream(&self, recorder: &RecorderId) -> Result<Option<(EventStreamId, u64)>> {
        let row: Option<StreamRow> =
            sqlx::query_as("SELECT stream, heard FROM recorders WHERE recorder = $1")
                .bind(recorder.as_str())
                .fetch_optional(&self.pool)
                .await?;
        let stored = row.and_then(|row| row.stream.zip(row.heard));
        Ok(stored.map(|(stream, heard)| (EventStreamId(stream.into()), heard)))
    }
}

impl Write {
    /// Stores that these recordings of a recorder run, and no others.
    async fn set_running_alone(&mut self, recorder: &RecorderId, running: &[&str]) -> Result<()> {
        sqlx::query("UPDATE recordings SET running = NULL WHERE recorder = $1 AND running IS NOT NULL")
            .bind(recorder.as_str())
            .execute(&mut *self.tx)
            .await?;
        for recording in running {
            sqlx::query("UPDATE recordings SET running = $1 WHERE recorder = $2 AND recording = $3")
                .bind(now_ms())
                .bind(recorder.as_str())
                .bind(*recording)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// Stores that a recorder's link is up, with its program's version, or down.
    pub async fn set_presence(
        &mut self,
        recorder: &RecorderId,
        version: Option<&str>,
        occupied_by: Option<&str>,
    ) -> Result<()> {
        if version.is_none() {
            self.set_running_alone(recorder, &[]).await?;
        }
        sqlx::query(
            "UPDATE recorders SET connected = $1, seen = $2, version = COALESCE($3, version), occupied_by = $5 \
             WHERE recorder = $4",
        )
        .bind(version.map(|_| now_ms()))
        .bind(now_ms())
        .bind(version)
        .bind(recorder.as_str())
        .bind(occupied_by)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub async fn set_status(&mut self, recorder: &RecorderId, status: &RecorderStatus) -> Result<()> {
        let running: Vec<_> = status.recordings.iter().map(|one| one.recording.as_str()).collect();
        self.set_running_alone(recorder, &running).await?;
        sqlx::query(
            "UPDATE recorders SET doing = $1, clock_offset_ms = COALESCE($2, clock_offset_ms), seen = $3 \
             WHERE recorder = $4",
        )
        .bind(serde_json::to_string(status).unwrap_or_default())
        .bind(status.offset_ms)
        .bind(now_ms())
        .bind(recorder.as_str())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
