//! Rows of uploads of recorders: fragments, one finished file, the `about` of a recording, until its manifest
//! closes it.

use std::collections::HashSet;

use deskreel_model::{AgentId, Place, RecordingId};

use crate::account::coverage::Coverage;
use crate::db::Write;
use crate::db::recorders::Recorder;
use crate::db::recordings::{Documents, DocumentsRow, RecordingState, StateRow};
use crate::db::sql::{row, signed};
use crate::error::Result;
use crate::fragments::{FragmentName, StoredFragment};
use crate::time::{self, now_ms};

/// A fragment whose bytes are in the store, and that the index does not know yet.
#[derive(Debug, Clone)]
pub struct NewFragment {
    pub recorder: Recorder,
    pub recording: RecordingId,
    pub fragment: StoredFragment,
    /// Digest of the finished file that it was cut from.
    pub file: Option<String>,
}

/// The result of adding a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FragmentOutcome {
    New,
    Same,
    /// A fragment with other bytes has this name.
    Other,
    Closed,
    Deleted,
    NotYours,
    /// It was uploaded by itself, and the recording is cut from a finished file, or the other way round.
    Mixed,
}

/// The result of beginning to cut a finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileStart {
    /// The recording has no fragments, or no longer has those of an earlier attempt.
    Started,
    Closed,
    OtherFile,
    Deleted,
    NotYours,
    Mixed,
}

row! {
    struct NameRow {
        track: String,
        part: u32,
        number: u32,
    }
}

impl Write {
    /// Makes the recording this recorder's, if it is not in the index yet. Locks its row until the
    /// transaction ends, so that a late fragment and the manifest that closes the recording wait for each
    /// other.
    pub async fn claim(&mut self, recording: &RecordingId, by: &Recorder) -> Result<RecordingState> {
        sqlx::query(
            "INSERT INTO recordings (recording, recorder, created, touched, bytes, place, started, clock_offset_ms) \
             VALUES ($1, $2, $3, $3, 0, $4, $5, (SELECT clock_offset_ms FROM recorders WHERE recorder = $2)) \
             ON CONFLICT (recording) DO NOTHING",
        )
        .bind(recording.as_str())
        .bind(by.id.as_str())
        .bind(now_ms())
        .bind(by.place.as_str())
        .bind(time::of_recording(recording).unwrap_or_else(now_ms))
        .execute(&mut *self.tx)
        .await?;
        // This takes the lock.
        sqlx::query("UPDATE recordings SET touched = $1 WHERE recording = $2")
            .bind(now_ms())
            .bind(recording.as_str())
            .execute(&mut *self.tx)
            .await?;
        let row: StateRow =
            sqlx::query_as("SELECT recorder, closed, deleted, file FROM recordings WHERE recording = $1")
                .bind(recording.as_str())
                .fetch_one(&mut *self.tx)
                .await?;
        Ok(row.into())
    }

    /// Marks the recording as cut from this file. Removes the fragments of an earlier attempt, which may have
    /// been cut otherwise.
    pub async fn begin_file(
        &mut self,
        recording: &RecordingId,
        from: &Recorder,
        sha256: &str,
    ) -> Result<FileStart> {
        let state = self.claim(recording, from).await?;
        match state.file.as_deref() {
            _ if state.recorder != from.id => return Ok(FileStart::NotYours),
            _ if state.deleted => return Ok(FileStart::Deleted),
            Some(file) if file != sha256 => return Ok(FileStart::OtherFile),
            None if state.closed => return Ok(FileStart::Mixed),
            _ if state.closed => return Ok(FileStart::Closed),
            Some(_) => {
                sqlx::query("DELETE FROM fragments WHERE recording = $1")
                    .bind(recording.as_str())
                    .execute(&mut *self.tx)
                    .await?;
            }
            None => {
                let fragments: i64 =
                    sqlx::query_scalar("SELECT COUNT(*) FROM fragments WHERE recording = $1")
                        .bind(recording.as_str())
                        .fetch_one(&mut *self.tx)
                        .await?;
                if fragments > 0 {
                    return Ok(FileStart::Mixed);
                }
            }
        }
        sqlx::query("UPDATE recordings SET file = $1, bytes = 0 WHERE recording = $2")
            .bind(sha256)
            .bind(recording.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(FileStart::Started)
    }

    /// Adds a fragment. Takes two statements if it is new, as almost every one is.
    pub async fn add_fragment(&mut self, new: &NewFragment) -> Result<FragmentOutcome> {
        let NewFragment { recorder, recording, fragment, file } = new;
        // Locks the row, as `claim` does.
        let open = sqlx::query(
            "UPDATE recordings SET touched = $1, bytes = bytes + $2, \
             newest_ns = CASE WHEN $6 > COALESCE(newest_ns, 0) THEN $6 ELSE newest_ns END \
             WHERE recording = $3 AND recorder = $4 AND closed IS NULL AND deleted IS NULL AND COALESCE(file, '') = $5",
        )
        .bind(now_ms())
        .bind(signed(fragment.size))
        .bind(recording.as_str())
        .bind(recorder.id.as_str())
        .bind(file.as_deref().unwrap_or_default())
        .bind(fragment.times.map_or(0, |times| signed(times.end_ns())))
        .execute(&mut *self.tx)
        .await?;
        if open.rows_affected() == 0 {
            return self.add_first_fragment(new).await;
        }
        if self.insert(recording, fragment).await? {
            return Ok(FragmentOutcome::New);
        }
        self.add_bytes(recording, -signed(fragment.size)).await?;
        Ok(self.compare(recording, fragment).await?.unwrap_or(FragmentOutcome::Other))
    }

    /// Adds a fragment to a recording that is not open: it is new, or takes no more fragments.
    async fn add_first_fragment(&mut self, new: &NewFragment) -> Result<FragmentOutcome> {
        let NewFragment { recorder, recording, fragment, file } = new;
        let state = self.claim(recording, recorder).await?;
        if state.recorder != recorder.id {
            return Ok(FragmentOutcome::NotYours);
        }
        if state.deleted {
            return Ok(FragmentOutcome::Deleted);
        }
        if state.file != *file {
            return Ok(FragmentOutcome::Mixed);
        }
        if state.closed {
            return Ok(self.compare(recording, fragment).await?.unwrap_or(FragmentOutcome::Closed));
        }
        if self.insert(recording, fragment).await? {
            self.add_bytes(recording, signed(fragment.size)).await?;
            return Ok(FragmentOutcome::New);
        }
        Ok(self.compare(recording, fragment).await?.unwrap_or(FragmentOutcome::Other))
    }

    /// False: a fragment of this name exists.
    async fn insert(&mut self, recording: &RecordingId, fragment: &StoredFragment) -> Result<bool> {
        let StoredFragment { name, size, sha256, times } = fragment;
        let done = sqlx::query(
            "INSERT INTO fragments (recording, track, part, number, size, sha256, start_ns, duration_ns, keyframe) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        )
        .bind(recording.as_str())
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

    async fn add_bytes(&mut self, recording: &RecordingId, bytes: i64) -> Result<()> {
        sqlx::query("UPDATE recordings SET bytes = bytes + $1 WHERE recording = $2")
            .bind(bytes)
            .bind(recording.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Compares a fragment with the one of its name. `None`: there is no such fragment.
    async fn compare(
        &mut self,
        recording: &RecordingId,
        fragment: &StoredFragment,
    ) -> Result<Option<FragmentOutcome>> {
        let StoredFragment { name, sha256, .. } = fragment;
        let present: Option<String> = sqlx::query_scalar(
            "SELECT sha256 FROM fragments WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
        )
        .bind(recording.as_str())
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&mut *self.tx)
        .await?;
        let outcome = |present| match present == *sha256 {
            true => FragmentOutcome::Same,
            false => FragmentOutcome::Other,
        };
        Ok(present.map(outcome))
    }

    /// True: it replaced an earlier `about`.
    pub async fn set_about(&mut self, recording: &RecordingId, about: &str) -> Result<bool> {
        let before = self.documents(recording).await?;
        sqlx::query("UPDATE recordings SET about = $1 WHERE recording = $2")
            .bind(about)
            .bind(recording.as_str())
            .execute(&mut *self.tx)
            .await?;
        Ok(before.about.is_some())
    }

    pub async fn documents(&mut self, recording: &RecordingId) -> Result<Documents> {
        let row: DocumentsRow = sqlx::query_as("SELECT manifest, about FROM recordings WHERE recording = $1")
            .bind(recording.as_str())
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(row.into())
    }

    pub async fn close_recording(
        &mut self,
        recording: &RecordingId,
        manifest: &str,
        coverage: &Coverage,
    ) -> Result<()> {
        sqlx::query("UPDATE recordings SET manifest = $1, closed = $2, coverage = $4 WHERE recording = $3")
            .bind(manifest)
            .bind(now_ms())
            .bind(recording.as_str())
            .bind(serde_json::to_string(coverage).unwrap_or_default())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Removes the fragments that the manifest does not name.
    pub async fn keep_only(&mut self, recording: &RecordingId, named: &HashSet<FragmentName>) -> Result<()> {
        let rows: Vec<NameRow> =
            sqlx::query_as("SELECT track, part, number FROM fragments WHERE recording = $1")
                .bind(recording.as_str())
                .fetch_all(&mut *self.tx)
                .await?;
        let names =
            rows.into_iter().map(|NameRow { track, part, number }| FragmentName { track, part, number });
        for name in names.filter(|name| !named.contains(name)) {
            sqlx::query(
                "DELETE FROM fragments WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
            )
            .bind(recording.as_str())
            .bind(&name.track)
            .bind(i64::from(name.part))
            .bind(i64::from(name.number))
            .execute(&mut *self.tx)
            .await?;
        }
        Ok(())
    }

    /// Stores the known ones of a recording's agent, place and times by the recorder's clock: its start, its
    /// end, and an end that counts until the other is known.
    pub async fn describe(
        &mut self,
        recording: &RecordingId,
        agent: Option<&AgentId>,
        place: Option<&Place>,
        (started, ended, over): (Option<i64>, Option<i64>, Option<i64>),
    ) -> Result<()> {
        sqlx::query(
            "UPDATE recordings SET agent = COALESCE($1, agent), place = COALESCE($2, place), \
             started = COALESCE($3 + COALESCE(clock_offset_ms, 0), started), \
             ended = COALESCE($4 + COALESCE(clock_offset_ms, 0), ended, $6 + COALESCE(clock_offset_ms, 0)) \
             WHERE recording = $5",
        )
        .bind(agent.map(AgentId::as_str))
        .bind(place.map(Place::as_str))
        .bind(started)
        .bind(ended)
        .bind(recording.as_str())
        .bind(over)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
