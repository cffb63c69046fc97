//! Who may hand recordings over.

use crate::db::Db;
use crate::error::{Error, Result};
use crate::secret;
use crate::time::now_ms;

/// One-time codes are typed soon after they were given.
const CODE_LIFE_MS: i64 = 24 * 3600 * 1000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// An id of this server's.
    pub recorder: String,
    pub place: String,
}

/// As its link last told.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Presence {
    pub recorder: String,
    pub place: String,
    pub revoked: bool,
    pub connected: bool,
    pub seen: Option<String>,
    pub version: Option<String>,
    pub clock_offset_ms: Option<i64>,
    pub doing: Option<String>,
}

impl Db {
    /// A new recorder at a place, and its token, which is nowhere but in what this returns.
    pub async fn enrol(&self, place: &str) -> Result<(Recorder, String)> {
        let (recorder, token) = (random(secret::id())?, random(secret::token())?);
        sqlx::query("INSERT INTO recorders (recorder, place, token_sha256, created) VALUES ($1, $2, $3, $4)")
            .bind(&recorder)
            .bind(place)
            .bind(secret::sha256(&token))
            .bind(now_ms())
            .execute(&self.pool)
            .await?;
        Ok((Recorder { recorder, place: place.to_owned() }, token))
    }

    pub async fn recorder_of_token(&self, token: &str) -> Result<Option<Recorder>> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT recorder, place FROM recorders WHERE token_sha256 = $1 AND revoked IS NULL",
        )
        .bind(secret::sha256(token))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(recorder, place)| Recorder { recorder, place }))
    }

    /// Another token for the same recorder; the one before is worth nothing from now on.
    pub async fn rotate(&self, recorder: &str) -> Result<Option<String>> {
        let token = random(secret::token())?;
        let done =
            sqlx::query("UPDATE recorders SET token_sha256 = $1 WHERE recorder = $2 AND revoked IS NULL")
                .bind(secret::sha256(&token))
                .bind(recorder)
                .execute(&self.pool)
                .await?;
        Ok((done.rows_affected() > 0).then_some(token))
    }

    pub async fn revoke(&self, recorder: &str) -> Result<bool> {
        let done = sqlx::query("UPDATE recorders SET revoked = $1 WHERE recorder = $2 AND revoked IS NULL")
            .bind(now_ms())
            .bind(recorder)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A code with which one recorder enrols itself, once.
    pub async fn enrolment(&self, place: &str) -> Result<String> {
        let code = random(secret::code())?;
        sqlx::query("INSERT INTO enrolments (code_sha256, place, created, expires) VALUES ($1, $2, $3, $4)")
            .bind(secret::sha256(&code))
            .bind(place)
            .bind(now_ms())
            .bind(now_ms() + CODE_LIFE_MS)
            .execute(&self.pool)
            .await?;
        Ok(code)
    }

    /// `None`: there is no such code, or it was used, or is too old.
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
        let (place,): (String,) = sqlx::query_as("SELECT place FROM enrolments WHERE code_sha256 = $1")
            .bind(sha256)
            .fetch_one(&self.pool)
            .await?;
        Ok(Some(self.enrol(&place).await?))
    }

    pub async fn recorders(&self) -> Result<Vec<Presence>> {
        type Row = (
            String,
            String,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<String>,
            Option<i64>,
            Option<String>,
        );
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT recorder, place, revoked, connected, seen, version, clock_offset_ms, doing FROM recorders \
             ORDER BY place, recorder",
        )
        .fetch_all(&self.pool)
        .await?;
        let presence =
            |(recorder, place, revoked, connected, seen, version, clock_offset_ms, doing): Row| Presence {
                recorder,
                place,
                revoked: revoked.is_some(),
                connected: connected.is_some(),
                seen: seen.map(crate::time::rfc3339),
                version,
                clock_offset_ms,
                doing,
            };
        Ok(rows.into_iter().map(presence).collect())
    }
}

fn random<T>(made: std::result::Result<T, getrandom::Error>) -> Result<T> {
    made.map_err(|error| Error::Corrupt(format!("the system has no randomness: {error}")))
}
