//! Reads recordings and fragments; `uploads.rs` writes them.

use deskreel_model::{AgentId, InteractionId, Place, RecordingId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::Db;
use crate::db::scope::Scope;
use crate::db::sql::{Sql, row};
use crate::error::Result;
use crate::fragments::{FragmentName, FragmentTimes, StoredFragment, shown_order};
use crate::names::RecorderId;
use crate::schema::{LiveCapture, Time};
use crate::time::{self, now_ms};

/// The state of a recording, as uploads see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingState {
    pub recorder: RecorderId,
    pub closed: bool,
    pub deleted: bool,
    /// Digest of the finished file that it is cut from; `None`: it is uploaded as fragments.
    pub file: Option<String>,
}

/// A recording as people see it.
#[derive(Debug, Clone)]
pub struct Recording {
    pub agent: Option<AgentId>,
    pub place: Option<Place>,
    pub started: Option<i64>,
    pub ended: Option<i64>,
    pub closed: bool,
    pub bytes: i64,
    pub newest: NewestFootage,
}

impl Recording {
    pub fn live(&self) -> bool {
        !self.closed && self.ended.is_none() && self.newest.is_live(now_ms())
    }
}

/// What tells whether an open recording runs.
#[derive(Debug, Clone, Copy)]
pub struct NewestFootage {
    /// Its recorder's link says that it runs.
    pub is_running: bool,
    /// Time at which its newest fragment ends, by the server's clock.
    pub end: Option<i64>,
}

/// Age of the newest footage up to which a recording counts as running without a word of its recorder: a
/// still screen yields a fragment each few seconds.
const LIVE_MS: i64 = 20_000;

impl NewestFootage {
    pub fn new(running: Option<i64>, started: Option<i64>, newest_ns: Option<i64>) -> NewestFootage {
        let end = started.zip(newest_ns).map(|(started, ns)| started + ns / 1_000_000);
        NewestFootage { is_running: running.is_some(), end }
    }

    /// Returns whether more is being captured. A backlog that arrives late is not.
    pub fn is_live(self, now: i64) -> bool {
        self.is_running || self.end.is_some_and(|end| (now - end).abs() < LIVE_MS)
    }
}

/// A recording that runs.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Live)]
pub struct LiveRecording {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    #[schema(value_type = Option<String>)]
    pub agent: Option<AgentId>,
    #[schema(value_type = Option<String>)]
    pub place: Option<Place>,
    #[schema(value_type = Option<Time>)]
    pub started: Option<String>,
    #[schema(value_type = Option<String>)]
    pub interaction: Option<InteractionId>,
    #[schema(value_type = LiveCapture)]
    pub capture: String,
}

/// Counts of all recordings, and of recorders with a link.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    pub open: i64,
    pub closed: i64,
    pub bytes: i64,
    pub connected: i64,
}

/// The texts that a recorder wrote about a recording.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// The manifest, which closed the recording.
    pub manifest: Option<String>,
    pub about: Option<String>,
}

row! {
    pub(super) struct FragmentRow {
        track: String,
        part: u32,
        number: u32,
        size: u64,
        sha256: String,
        start_ns: Option<u64>,
        duration_ns: Option<u64>,
        keyframe: Option<i64>,
    }
}

impl From<FragmentRow> for StoredFragment {
    fn from(row: FragmentRow) -> StoredFragment {
        let FragmentRow { track, part, number, size, sha256, start_ns, duration_ns, keyframe } = row;
        let keyframe = keyframe == Some(1);
        let times = start_ns.zip(duration_ns);
        StoredFragment {
            name: FragmentName { track, part, number },
            size,
            sha256,
            times: times.map(|(start_ns, duration_ns)| FragmentTimes { start_ns, duration_ns, keyframe }),
        }
    }
}

row! {
    pub(super) struct StateRow {
        recorder: RecorderId,
        closed: Option<i64>,
        deleted: Option<i64>,
        file: Option<String>,
    }
}

impl From<StateRow> for RecordingState {
    fn from(row: StateRow) -> RecordingState {
        let StateRow { recorder, closed, deleted, file } = row;
        RecordingState { recorder, closed: closed.is_some(), deleted: deleted.is_some(), file }
    }
}

row! {
    struct StateOfFragmentRow {
        recorder: RecorderId,
        closed: Option<i64>,
        deleted: Option<i64>,
        file: Option<String>,
        sha256: Option<String>,
    }
}

row! {
    struct PersonsRow {
        agent: Option<AgentId>,
        place: Option<Place>,
        started: Option<i64>,
        ended: Option<i64>,
        closed: Option<i64>,
        bytes: i64,
        running: Option<i64>,
        newest_ns: Option<i64>,
    }
}

row! {
    struct LiveRow {
        recording: RecordingId,
        agent: Option<AgentId>,
        place: Option<Place>,
        started: Option<i64>,
        interaction: Option<InteractionId>,
        capture: Option<String>,
    }
}

row! {
    struct CountsRow {
        open: i64,
        closed: i64,
        bytes: i64,
    }
}

row! {
    pub(super) struct DocumentsRow {
        manifest: Option<String>,
        about: Option<String>,
    }
}

impl From<DocumentsRow> for Documents {
    fn from(DocumentsRow { manifest, about }: DocumentsRow) -> Documents {
        Documents { manifest, about }
    }
}

impl Db {
    pub async fn state(&self, recording: &RecordingId) -> Result<Option<RecordingState>> {
        let row: Option<StateRow> =
            sqlx::query_as("SELECT recorder, closed, deleted, file FROM recordings WHERE recording = $1")
                .bind(recording.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(RecordingState::from))
    }

    /// The state of a recording, and the digest of its fragment of this name.
    pub async fn state_and_digest(
        &self,
        recording: &RecordingId,
        name: &FragmentName,
    ) -> Result<Option<(RecordingState, Option<String>)>> {
        let row: Option<StateOfFragmentRow> = sqlx::query_as(
            "SELECT r.recorder, r.closed, r.deleted, r.file, f.sha256 FROM recordings r LEFT JOIN fragments f \
             ON f.recording = r.recording AND f.track = $2 AND f.part = $3 AND f.number = $4 WHERE r.recording = $1",
        )
        .bind(recording.as_str())
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| {
            let StateOfFragmentRow { recorder, closed, deleted, file, sha256 } = row;
            (StateRow { recorder, closed, deleted, file }.into(), sha256)
        }))
    }

    pub async fn fragment(
        &self,
        recording: &RecordingId,
        name: &FragmentName,
    ) -> Result<Option<StoredFragment>> {
        let row: Option<FragmentRow> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 AND track = $2 AND part = $3 AND number = $4",
        )
        .bind(recording.as_str())
        .bind(&name.track)
        .bind(i64::from(name.part))
        .bind(i64::from(name.number))
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(StoredFragment::from))
    }

    /// All fragments and headers of a recording, in order.
    pub async fn fragments(&self, recording: &RecordingId) -> Result<Vec<StoredFragment>> {
        let rows: Vec<FragmentRow> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 ORDER BY track, part, number",
        )
        .bind(recording.as_str())
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(StoredFragment::from).collect())
    }

    /// Names of the tracks with stored footage, in the order in which they are shown.
    pub async fn tracks(&self, recording: &RecordingId) -> Result<Vec<String>> {
        let tracks = sqlx::query_scalar("SELECT DISTINCT track FROM fragments WHERE recording = $1")
            .bind(recording.as_str())
            .fetch_all(&self.pool)
            .await?;
        Ok(shown_order(tracks))
    }

    /// Fragments of one part, from `first` to the number `last`.
    pub async fn fragments_between(
        &self,
        recording: &RecordingId,
        first: &FragmentName,
        last: u32,
    ) -> Result<Vec<StoredFragment>> {
        let rows: Vec<FragmentRow> = sqlx::query_as(
            "SELECT track, part, number, size, sha256, start_ns, duration_ns, keyframe FROM fragments \
             WHERE recording = $1 AND track = $2 AND part = $3 AND number BETWEEN $4 AND $5 ORDER BY number",
        )
        .bind(recording.as_str())
        .bind(&first.track)
        .bind(i64::from(first.part))
        .bind(i64::from(first.number))
        .bind(i64::from(last))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(StoredFragment::from).collect())
    }

    /// `None`: the recording does not exist, or was deleted.
    pub async fn recording(&self, recording: &RecordingId) -> Result<Option<Recording>> {
        let row: Option<PersonsRow> = sqlx::query_as(
            "SELECT agent, place, started, ended, closed, bytes, running, newest_ns FROM recordings \
             WHERE recording = $1 AND deleted IS NULL",
        )
        .bind(recording.as_str())
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| {
            let PersonsRow { agent, place, started, ended, closed, bytes, running, newest_ns } = row;
            let newest = NewestFootage::new(running, started, newest_ns);
            Recording { agent, place, started, ended, closed: closed.is_some(), bytes, newest }
        }))
    }

    /// Recordings that run.
    pub async fn live(&self, scope: &Scope) -> Result<Vec<LiveRecording>> {
        let mut sql = Sql::new(
            "SELECT r.recording, COALESCE(r.agent, s.agent) AS agent, r.place, r.started, s.interaction, r.capture \
             FROM recordings r LEFT JOIN segments s ON s.recording = r.recording AND s.to_ms IS NULL \
             WHERE r.closed IS NULL AND r.deleted IS NULL AND r.file IS NULL AND r.ended IS NULL \
             AND (r.running IS NOT NULL OR r.started + r.newest_ns / 1000000 > ",
        );
        let now = now_ms();
        sql.bind(now - LIVE_MS).push(" AND r.started + r.newest_ns / 1000000 < ").bind(now + LIVE_MS);
        sql.push(") AND ");
        scope.restrict(&mut sql, "COALESCE(r.agent, s.agent)");
        sql.push(" ORDER BY r.started DESC, r.recording");
        let mut found: Vec<LiveRecording> = Vec::new();
        for LiveRow { recording, agent, place, started, interaction, capture } in sql.rows(self).await? {
            // One with several segments is listed once.
            if found.last().is_some_and(|last| last.recording == recording) {
                continue;
            }
            let (started, capture) = (started.map(time::rfc3339), capture.unwrap_or_else(|| "live".into()));
            found.push(LiveRecording { recording, agent, place, started, interaction, capture });
        }
        Ok(found)
    }

    pub async fn counts(&self) -> Result<Counts> {
        let CountsRow { open, closed, bytes } = sqlx::query_as(
            "SELECT COUNT(*) - COUNT(closed) AS open, COUNT(closed) AS closed, \
             CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes FROM recordings WHERE deleted IS NULL",
        )
        .fetch_one(&self.pool)
        .await?;
        let connected =
            sqlx::query_scalar("SELECT COUNT(connected) FROM recorders").fetch_one(&self.pool).await?;
        Ok(Counts { open, closed, bytes, connected })
    }

    /// Bytes of the recorder's recordings that are not closed.
    pub async fn open_bytes(&self, recorder: &RecorderId) -> Result<u64> {
        let bytes: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM recordings \
             WHERE recorder = $1 AND closed IS NULL AND deleted IS NULL",
        )
        .bind(recorder.as_str())
        .fetch_one(&self.pool)
        .await?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    pub async fn documents(&self, recording: &RecordingId) -> Result<Documents> {
        let row: Option<DocumentsRow> =
            sqlx::query_as("SELECT manifest, about FROM recordings WHERE recording = $1")
                .bind(recording.as_str())
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.map(Documents::from).unwrap_or_default())
    }
}
