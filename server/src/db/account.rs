//! Reads what the account of wanted footage is made of, and keeps the hindrances.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deskreel_model::{Place, RecordingId};

use crate::account::coverage::{Coverage, join, on_all_tracks};
use crate::account::hindrances::{HindranceRow, HindranceSource};
use crate::account::{AccountStretch, Hindrance, RecordingFacts, WantedStretch, account};
use crate::db::sql::{Sql, row};
use crate::db::{Db, Write};
use crate::error::Result;

/// AccountQuestion footage, and the recording that it became.
pub struct AccountQuestion<'a> {
    pub stretch: WantedStretch<'a>,
    pub recording: Option<&'a RecordingId>,
}

row! {
    struct FactsRow {
        recording: RecordingId,
        started: Option<i64>,
        closed: Option<i64>,
        deleted: Option<i64>,
        why_deleted: Option<String>,
        coverage: Option<String>,
        manifest: Option<String>,
        running: Option<i64>,
    }
}

row! {
    struct SpanRow {
        recording: RecordingId,
        track: String,
        first: i64,
        last: i64,
        total: i64,
    }
}

row! {
    struct FragmentSpanRow {
        track: String,
        start_ns: i64,
        duration_ns: i64,
    }
}

row! {
    struct StoredHindranceRow {
        id: String,
        place: Option<Place>,
        source: String,
        cause: String,
        from_ms: i64,
        to_ms: Option<i64>,
    }
}

impl Db {
    /// The account of each of these stretches.
    pub async fn accounts(&self, wanted: &[AccountQuestion<'_>]) -> Result<Vec<Vec<AccountStretch>>> {
        let recordings: BTreeSet<&RecordingId> = wanted.iter().filter_map(|one| one.recording).collect();
        let facts = self.facts(&recordings.into_iter().cloned().collect::<Vec<_>>()).await?;
        let hindrances = self.hindrances(wanted).await?;
        let account = |one: &AccountQuestion<'_>| {
            let recording = one.recording.and_then(|id| facts.get(id));
            account(one.stretch, recording, &hindrances)
        };
        Ok(wanted.iter().map(account).collect())
    }

    /// What is known of these recordings. One that a recorder was commanded to make, and that nothing was
    /// heard of, is not among them.
    async fn facts(&self, recordings: &[RecordingId]) -> Result<HashMap<RecordingId, RecordingFacts>> {
        let mut all = HashMap::new();
        if recordings.is_empty() {
            return Ok(all);
        }
        let mut sql = Sql::new(
            "SELECT r.recording, r.started, r.closed, r.deleted, r.why_deleted, r.coverage, \
             CASE WHEN r.coverage IS NULL THEN r.manifest END AS manifest, \
             r.running FROM recordings r WHERE r.recording IN ",
        );
        sql.bind_all(recordings);
        let rows: Vec<FactsRow> = sql.rows(self).await?;
        let open: Vec<RecordingId> =
            rows.iter().filter(|row| row.closed.is_none()).map(|row| row.recording.clone()).collect();
        let mut covered = self.stored_spans(&open).await?;
        for row in rows {
            let zero = row.started.unwrap_or(0);
            let mut coverage = Coverage::default();
            if row.closed.is_none() {
                coverage.covered = covered.remove(&row.recording).unwrap_or_default();
            } else if let Some(text) = &row.coverage {
                coverage = serde_json::from_str(text).unwrap_or_default();
            } else if let Some(manifest) = row.manifest.and_then(|text| serde_json::from_str(&text).ok()) {
                coverage = Coverage::of_manifest(&manifest);
            }
            let facts = RecordingFacts {
                zero,
                deleted: row.deleted.map(|_| row.why_deleted.unwrap_or_default()),
                is_closed: row.closed.is_some(),
                runs: row.running.is_some(),
                covered: coverage.covered_at(zero),
                absences: coverage.absences_at(zero),
            };
            all.insert(row.recording, facts);
        }
        Ok(all)
    }

    /// The stored footage of recordings that are not closed, in milliseconds of media time.
    async fn stored_spans(
        &self,
        recordings: &[RecordingId],
    ) -> Result<HashMap<RecordingId, Vec<(i64, i64)>>> {
        let mut spans: HashMap<RecordingId, BTreeMap<String, Vec<(i64, i64)>>> = HashMap::new();
        if recordings.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = Sql::new(
            "SELECT recording, track, MIN(start_ns) AS first, MAX(start_ns + duration_ns) AS last, \
             CAST(SUM(duration_ns) AS BIGINT) AS total FROM fragments WHERE start_ns IS NOT NULL AND recording IN ",
        );
        sql.bind_all(recordings).push(" GROUP BY recording, track, part");
        let rows: Vec<SpanRow> = sql.rows(self).await?;
        let mut torn = BTreeSet::new();
        for SpanRow { recording, track, first, last, total } in rows {
            // Fragments of a part follow each other, unless some have not arrived.
            if last - first > total + MS {
                torn.insert(recording.clone());
            }
            spans.entry(recording).or_default().entry(track).or_default().push((first / MS, last / MS));
        }
        for recording in torn {
            let tracks = self.fragment_spans(&recording).await?;
            spans.insert(recording, tracks);
        }
        let joined = |tracks: BTreeMap<String, Vec<_>>| on_all_tracks(tracks.into_values().map(join));
        Ok(spans.into_iter().map(|(recording, tracks)| (recording, joined(tracks))).collect())
    }

    async fn fragment_spans(&self, recording: &RecordingId) -> Result<BTreeMap<String, Vec<(i64, i64)>>> {
        let rows: Vec<FragmentSpanRow> = sqlx::query_as(
            "SELECT track, start_ns, duration_ns FROM fragments WHERE recording = $1 AND start_ns IS NOT NULL",
        )
        .bind(recording.as_str())
        .fetch_all(&self.pool)
        .await?;
        let mut tracks: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for FragmentSpanRow { track, start_ns, duration_ns } in rows {
            tracks.entry(track).or_default().push((start_ns / MS, (start_ns + duration_ns) / MS));
        }
        Ok(tracks)
    }

    /// The hindrances within these stretches, by their beginning: the earliest explains most.
    async fn hindrances(&self, wanted: &[AccountQuestion<'_>]) -> Result<Vec<Hindrance>> {
        let Some(from) = wanted.iter().map(|one| one.stretch.from).min() else { return Ok(Vec::new()) };
        let to = wanted.iter().map(|one| one.stretch.to).max().unwrap_or(from);
        let rows: Vec<StoredHindranceRow> = sqlx::query_as(
            "SELECT id, place, source, cause, from_ms, to_ms FROM hindrances \
             WHERE from_ms < $1 AND (to_ms IS NULL OR to_ms > $2) ORDER BY from_ms, source",
        )
        .bind(to)
        .bind(from)
        .fetch_all(&self.pool)
        .await?;
        let hindrance = |row: StoredHindranceRow| Hindrance {
            place: row.place,
            from: row.from_ms,
            to: row.to_ms,
            cause: row.cause,
        };
        Ok(rows.into_iter().map(hindrance).collect())
    }

    /// Hindrances that last.
    pub async fn open_hindrances(&self) -> Result<Vec<HindranceRow>> {
        let rows: Vec<StoredHindranceRow> = sqlx::query_as(
            "SELECT id, place, source, cause, from_ms, to_ms FROM hindrances WHERE to_ms IS NULL",
        )
        .fetch_all(&self.pool)
        .await?;
        let hindrance = |row: StoredHindranceRow| {
            let source = HindranceSource::parse(&row.source)?;
            let StoredHindranceRow { id, place, cause, from_ms: from, to_ms: to, .. } = row;
            Some(HindranceRow { id, place, source, cause, from, to })
        };
        Ok(rows.into_iter().filter_map(hindrance).collect())
    }

    /// When the server last ran, as far as the index knows.
    pub async fn last_alive(&self) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar("SELECT at FROM health WHERE name = 'control'")
            .fetch_optional(&self.pool)
            .await?)
    }
}

impl Write {
    pub async fn set_hindrance(&mut self, row: &HindranceRow) -> Result<()> {
        sqlx::query(
            "INSERT INTO hindrances (id, place, source, cause, from_ms, to_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (id) DO UPDATE SET to_ms = excluded.to_ms",
        )
        .bind(&row.id)
        .bind(row.place.as_ref().map(Place::as_str))
        .bind(row.source.as_str())
        .bind(&row.cause)
        .bind(row.from)
        .bind(row.to)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Stores that the server runs.
    pub async fn set_alive(&mut self, at: i64) -> Result<()> {
        sqlx::query(
            "INSERT INTO health (name, at) VALUES ('control', $1) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
        )
            .bind(at)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}

/// Nanoseconds.
const MS: i64 = 1_000_000;
