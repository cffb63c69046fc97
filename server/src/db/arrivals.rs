//! Takes in what recorders hand over: fragments, one finished file, and what is said about a recording, until its manifest closes it.

use std::collections::HashSet;

use crate::db::Write;
use crate::db::recordings::{Held, Name, Standing, StandingRow, signed, standing};
use crate::error::Result;
use crate::time::{self, now_ms};

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
