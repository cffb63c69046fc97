//! What recorders have handed over.

use std::collections::HashSet;

use sqlx::Row as _;

use crate::db::interactions::SILENCE_MS;
use crate::db::sql::Sql;
use crate::db::visible::Scope;
use crate::db::{Db, Write};
use crate::error::Result;
use crate::time::{self, now_ms};

/// Track, part and number; number 0 is the part's header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub track: String,
    pub part: u32,
    pub number: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub name: Name,
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    pub times: Option<Times>,
}

/// Of a fragment that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub start_ns: u64,
    pub duration_ns: u64,
    pub keyframe: bool,
}

/// How a recording stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub recorder: String,
    pub closed: bool,
    pub deleted: bool,
    /// Digest of the one file that it is cut from; `None`: its fragments come.
    pub file: Option<String>,
}

/// What is asked about one.
#[derive(Debug, Clone)]
pub struct Recording {
    pub agent: Option<String>,
    pub place: Option<String>,
    pub started: Option<i64>,
    pub ended: Option<i64>,
    pub closed: bool,
    pub touched: i64,
    pub bytes: i64,
}

impl Recording {
    /// Something of it may still come.
    pub fn live(&self) -> bool {
        !self.closed && now_ms() - self.touched < SILENCE_MS
    }
}

/// Of all recordings, and of recorders with a link.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub open: i64,
    pub closed: i64,
    pub bytes: i64,
    pub connected: i64,
}

/// A fragment that lies in the store and wants to be known.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub recorder: String,
    pub place: String,
    pub recording: String,
    pub held: Held,
    /// Digest of the file that it was cut from.
    pub file: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    New,
    Same,
    /// Other bytes are there under this name.
    Other,
    Closed,
    Deleted,
    NotYours,
    /// It came by itself, and the recording is cut from one file, or the other way round.
    Mixed,
}

/// What became of a file that is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Nothing of it is here, also where an earlier try left something.
    Begun,
    Closed,
    OtherFile,
    Deleted,
    NotYours,
    Mixed,
}

type Row = (String, i64, i64, i64, String, Option<i64>, Option<i64>, Option<i64>);

fn held((track, part, number, size, sha256, start, duration, keyframe): Row) -> Held {
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    let short = |value: i64| u32::try_from(value).unwrap_or(0);
    let times = start.zip(duration).map(|(start, duration)| Times {
        start_ns: unsigned(start),
        duration_ns: unsigned(duration),
        keyframe: keyframe == Some(1),
    });
    Held {
        name: Name { track, part: short(part), number: short(number) },
        size: unsigned(size),
        sha256,
        times,
    }
}

type StandingRow = (String, Option<i64>, Option<i64>, Option<String>);

fn standing((recorder, closed, deleted, file): StandingRow) -> Standing {
    Standing { recorder, closed: closed.is_some(), deleted: deleted.is_some(), file }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Db {
    pub async fn standing(&self, recording: &str) -> Result<Option<Standing>> {
        let row: Option<StandingRow> =
            sqlx::query_as("SELECT recorder, closed, deleted, file FROM recordings WHERE recording = $1")
                .bind(recording)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(standing))
    }

    /// And the digest of what is there under this name.
    pub async fn standing_of(
        &self,
        recording: &str,
        name: &Name,
    ) -> Result<Option<(Standing, Option<String>)>> {
        type Row = (String, Option<i64>, Option<i64>, Option<String>, Option<String>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT r.recorder, r.closed, r.deleted, r.file, f.sha256 FROM recordings r LEFT JOIN fragments f \
             ON f.recording = r.recording AND f.track = $2 AND f.part = $3 AND f.number = $4 WHERE r.recording = $1",
        )
        .bind(recording)
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(recorder, closed, deleted, file, sha256)| {
            (standing((recorder, closed, deleted, file)), sha256)
        }))
    }

    pub async fn fragment(&self, recording: &str, name: &Name) -> Result<Option<Held>> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
        )
        .bind(recording)
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(held))
    }

    /// All of a recording, in order.
    pub async fn fragments(&self, recording: &str) -> Result<Vec<Held>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 ORDER BY track, part, number",
        )
        .bind(recording)
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(held).collect())
    }

    /// Of one part, from a name to a number.
    pub async fn fragments_between(&self, recording: &str, first: &Name, last: u32) -> Result<Vec<Held>> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 AND track = $2 AND part = $3 AND number BETWEEN $4 AND $5 ORDER BY number",
        )
        .bind(recording)
        .bind(&first.track)
        .bind(i64::from(first.part))
        .bind(i64::from(first.number))
        .bind(i64::from(last))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(held).collect())
    }

    /// `None`: there is none, or it was deleted.
    pub async fn recording(&self, recording: &str) -> Result<Option<Recording>> {
        type Row = (Option<String>, Option<String>, Option<i64>, Option<i64>, Option<i64>, i64, i64);
        let row: Option<Row> = sqlx::query_as(
            "SELECT agent, place, started, ended, closed, touched, bytes FROM recordings \
             WHERE recording = $1 AND deleted IS NULL",
        )
        .bind(recording)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(agent, place, started, ended, closed, touched, bytes)| Recording {
            agent,
            place,
            started,
            ended,
            closed: closed.is_some(),
            touched,
            bytes,
        }))
    }

    /// Recordings that run: not closed, and something of them came after `since`.
    pub async fn live(&self, scope: &Scope, since: i64) -> Result<Vec<serde_json::Value>> {
        let mut sql = Sql::new(
            "SELECT r.recording, COALESCE(r.agent, s.agent), r.place, r.started, s.interaction, r.capture FROM recordings r \
             LEFT JOIN segments s ON s.recording = r.recording AND s.to_ms IS NULL \
             WHERE r.closed IS NULL AND r.deleted IS NULL AND r.file IS NULL AND r.touched >= ",
        );
        sql.bind(since).push(" AND ");
        scope.of_agent(&mut sql, "COALESCE(r.agent, s.agent)");
        sql.push(" ORDER BY r.started DESC, r.recording");
        let mut found: Vec<serde_json::Value> = Vec::new();
        for row in sql.rows(self).await? {
            let recording: String = row.try_get(0)?;
            if found.last().is_some_and(|last| last["recording"] == recording.as_str()) {
                continue;
            }
            let (agent, place): (Option<String>, Option<String>) = (row.try_get(1)?, row.try_get(2)?);
            let (started, interaction): (Option<i64>, Option<String>) = (row.try_get(3)?, row.try_get(4)?);
            let capture: Option<String> = row.try_get(5)?;
            found.push(serde_json::json!({
                "recording": recording, "agent": agent, "place": place, "started": started.map(time::rfc3339),
                "interaction": interaction, "capture": capture.as_deref().unwrap_or("live"),
            }));
        }
        Ok(found)
    }

    pub async fn counts(&self) -> Result<Counts> {
        let (open, closed, bytes): (i64, i64, i64) = sqlx::query_as(
            "SELECT COUNT(*) - COUNT(closed), COUNT(closed), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) \
             FROM recordings WHERE deleted IS NULL",
        )
        .fetch_one(&self.pool)
        .await?;
        let (connected,): (i64,) =
            sqlx::query_as("SELECT COUNT(connected) FROM recorders").fetch_one(&self.pool).await?;
        Ok(Counts { open, closed, bytes, connected })
    }

    /// Bytes of the recorder's recordings that are not closed.
    pub async fn open_bytes(&self, recorder: &str) -> Result<u64> {
        let (bytes,): (i64,) = sqlx::query_as(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM recordings \
             WHERE recorder = $1 AND closed IS NULL AND deleted IS NULL",
        )
        .bind(recorder)
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// The manifest that closed it, and what was said about it.
    pub async fn documents(&self, recording: &str) -> Result<(Option<String>, Option<String>)> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT manifest, about FROM recordings WHERE recording = $1")
                .bind(recording)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.unwrap_or_default())
    }
}

impl Write {
    /// Takes the recording as this recorder's, if it is nobody's yet.
    pub async fn claim(&mut self, recording: &str, recorder: &str, place: &str) -> Result<Standing> {
        sqlx::query(
            "INSERT INTO recordings (recording, recorder, created, touched, bytes, place, started, clock_offset_ms) \
             VALUES ($1, $2, $3, $3, 0, $4, $5, (SELECT clock_offset_ms FROM recorders WHERE recorder = $2)) \
             ON CONFLICT (recording) DO NOTHING",
        )
        .bind(recording)
        .bind(recorder)
        .bind(now_ms())
        .bind(place)
        .bind(time::of_recording(recording).unwrap_or_else(now_ms))
        .execute(&mut *self.tx)
        .await?;
        // Locks the row: a manifest that closes the recording and a fragment that comes late wait for each other.
        sqlx::query("UPDATE recordings SET touched = $1 WHERE recording = $2")
            .bind(now_ms())
            .bind(recording)
            .execute(&mut *self.tx)
            .await?;
        let row: StandingRow =
            sqlx::query_as("SELECT recorder, closed, deleted, file FROM recordings WHERE recording = $1")
                .bind(recording)
                .fetch_one(&mut *self.tx)
                .await?;
        Ok(standing(row))
    }

    /// From now on the recording is cut from this file. What an earlier try left goes: it may have been cut otherwise.
    pub async fn begin_file(
        &mut self,
        recording: &str,
        (recorder, place): (&str, &str),
        sha256: &str,
    ) -> Result<Beginning> {
        let standing = self.claim(recording, recorder, place).await?;
        match standing.file.as_deref() {
            _ if standing.recorder != recorder => return Ok(Beginning::NotYours),
            _ if standing.deleted => return Ok(Beginning::Deleted),
            Some(file) if file != sha256 => return Ok(Beginning::OtherFile),
            None if standing.closed => return Ok(Beginning::Mixed),
            _ if standing.closed => return Ok(Beginning::Closed),
            Some(_) => {
                sqlx::query("DELETE FROM fragments WHERE recording = $1")
                    .bind(recording)
                    .execute(&mut *self.tx)
                    .await?;
            }
            None => {
                let (fragments,): (i64,) =
                    sqlx::query_as("SELECT COUNT(*) FROM fragments WHERE recording = $1")
                        .bind(recording)
                        .fetch_one(&mut *self.tx)
                        .await?;
                if fragments > 0 {
                    return Ok(Beginning::Mixed);
                }
            }
        }
        sqlx::query("UPDATE recordings SET file = $1, bytes = 0 WHERE recording = $2")
            .bind(sha256)
            .bind(recording)
            .execute(&mut *self.tx)
            .await?;
        Ok(Beginning::Begun)
    }

    /// Two statements for what is new, which almost everything is; the rest is looked at closer.
    pub async fn enter(&mut self, arrival: &Arrival) -> Result<Entry> {
        let Arrival { recorder, recording, held, file, .. } = arrival;
        // Locks the row: a manifest that closes the recording and a fragment that comes late wait for each other.
        let open = sqlx::query(
            "UPDATE recordings SET touched = $1, bytes = bytes + $2 \
             WHERE recording = $3 AND recorder = $4 AND closed IS NULL AND deleted IS NULL AND COALESCE(file, '') = $5",
        )
        .bind(now_ms())
        .bind(signed(held.size))
        .bind(recording)
        .bind(recorder)
        .bind(file.as_deref().unwrap_or_default())
        .execute(&mut *self.tx)
        .await?;
        if open.rows_affected() == 0 {
            return self.enter_first(arrival).await;
        }
        if self.insert(recording, held).await? {
            return Ok(Entry::New);
        }
        self.add_bytes(recording, -signed(held.size)).await?;
        Ok(self.compare(recording, held).await?.unwrap_or(Entry::Other))
    }

    /// Into a recording that is not open: it is new, or nothing more belongs to it.
    async fn enter_first(&mut self, arrival: &Arrival) -> Result<Entry> {
        let Arrival { recorder, place, recording, held, file } = arrival;
        let standing = self.claim(recording, recorder, place).await?;
        if standing.recorder != *recorder {
            return Ok(Entry::NotYours);
        }
        if standing.deleted {
            return Ok(Entry::Deleted);
        }
        if standing.file != *file {
            return Ok(Entry::Mixed);
        }
        if standing.closed {
            return Ok(self.compare(recording, held).await?.unwrap_or(Entry::Closed));
        }
        if self.insert(recording, held).await? {
            self.add_bytes(recording, signed(held.size)).await?;
            return Ok(Entry::New);
        }
        Ok(self.compare(recording, held).await?.unwrap_or(Entry::Other))
    }

    /// False: something is there under its name.
    async fn insert(&mut self, recording: &str, held: &Held) -> Result<bool> {
        let Held { name, size, sha256, times } = held;
        let done = sqlx::query(
            "INSERT INTO fragments (recording, track, part, number, size, sha256, start_ns, duration_ns, keyframe) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(recording)
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .bind(signed(*size))
        .bind(sha256)
        .bind(times.map(|times| signed(times.start_ns)))
        .bind(times.map(|times| signed(times.duration_ns)))
        .bind(times.map(|times| i64::from(times.keyframe)))
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn add_bytes(&mut self, recording: &str, bytes: i64) -> Result<()> {
        sqlx::query("UPDATE recordings SET bytes = bytes + $1 WHERE recording = $2")
            .bind(bytes)
            .bind(recording)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// With what is there under its name.
    async fn compare(&mut self, recording: &str, held: &Held) -> Result<Option<Entry>> {
        let Held { name, sha256, .. } = held;
        let there: Option<(String,)> = sqlx::query_as(
            "SELECT sha256 FROM fragments WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
        )
        .bind(recording)
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(there.map(|(there,)| if there == *sha256 { Entry::Same } else { Entry::Other }))
    }

    pub async fn set_about(&mut self, recording: &str, about: &str) -> Result<bool> {
        let (had,): (Option<String>,) = sqlx::query_as("SELECT about FROM recordings WHERE recording = $1")
            .bind(recording)
            .fetch_one(&mut *self.tx)
            .await?;
        sqlx::query("UPDATE recordings SET about = $1 WHERE recording = $2")
            .bind(about)
            .bind(recording)
            .execute(&mut *self.tx)
            .await?;
        Ok(had.is_some())
    }

    pub async fn documents(&mut self, recording: &str) -> Result<(Option<String>, Option<String>)> {
        let row = sqlx::query_as("SELECT manifest, about FROM recordings WHERE recording = $1")
            .bind(recording)
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(row)
    }

    pub async fn close_recording(&mut self, recording: &str, manifest: &str) -> Result<()> {
        sqlx::query("UPDATE recordings SET manifest = $1, closed = $2 WHERE recording = $3")
            .bind(manifest)
            .bind(now_ms())
            .bind(recording)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    pub async fn keep_only(&mut self, recording: &str, named: &HashSet<Name>) -> Result<()> {
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT track, part, number FROM fragments WHERE recording = $1")
                .bind(recording)
                .fetch_all(&mut *self.tx)
                .await?;
        for (track, part, number) in rows {
            let short = |value: i64| u32::try_from(value).unwrap_or(0);
            let name = Name { track, part: short(part), number: short(number) };
            if named.contains(&name) {
                continue;
            }
            sqlx::query(
                "DELETE FROM fragments WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
            )
            .bind(recording)
            .bind(&name.track)
            .bind(part)
            .bind(number)
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Whose it is, and when it was by the recorder's clock, as far as known by now.
    pub async fn describe(
        &mut self,
        recording: &str,
        agent: Option<&str>,
        place: Option<&str>,
        (started, ended): (Option<i64>, Option<i64>),
    ) -> Result<()> {
        sqlx::query(
            "UPDATE recordings SET agent = COALESCE($1, agent), place = COALESCE($2, place), \
             started = COALESCE($3 + COALESCE(clock_offset_ms, 0), started), \
             ended = COALESCE($4 + COALESCE(clock_offset_ms, 0), ended) WHERE recording = $5",
        )
        .bind(agent)
        .bind(place)
        .bind(started)
        .bind(ended)
        .bind(recording)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
