//! The status of the outbox, for people and metrics.

use std::time::{Duration, Instant};

use deskreel_model::{RecordingId, SinkName};
use serde::Serialize;

use super::Outbox;
use super::journal_state::{DeliveryEnd, JournalState, SpooledRecording};
use super::sink_backlog::{DeliveryCounts, SinkBacklog};
use crate::capacity;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutboxStatus {
    /// The recordings, oldest first.
    pub recordings: Vec<RecordingStatus>,
    pub sinks: Vec<SinkStatus>,
    /// Lines of the account that could not be written yet.
    pub account_waiting: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordingStatus {
    pub recording: RecordingId,
    pub stage: Stage,
    /// Bytes of headers and fragments; 0 while it runs.
    pub bytes: u64,
    pub sinks: Vec<Debt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Running,
    /// Waits until it is released to be handed over as finished.
    Sealed,
    Released,
}

/// The deliveries that a recording still owes a sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Debt {
    pub sink: SinkName,
    #[serde(flatten)]
    pub state: DebtState,
    /// Number of headers and fragments that wait; 0 for a sink that takes whole recordings.
    pub fragments: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Time until the next try, in whole milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DebtState {
    Owed,
    Delivered { place: String },
    Refused { reason: String },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkStatus {
    pub sink: SinkName,
    /// Number of recordings that it neither has nor has refused.
    pub recordings: u64,
    pub fragments: u64,
    pub bytes: u64,
    pub refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    /// The delivery that has failed for the longest time, if any fails.
    #[serde(skip)]
    pub oldest_failure: Option<OldestFailure>,
    #[serde(skip)]
    pub counts: DeliveryCounts,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OldestFailure {
    pub since: Instant,
    /// The reason of the last try.
    pub reason: String,
}

impl Outbox {
    pub fn status(&self, now: Instant) -> OutboxStatus {
        let recordings: Vec<RecordingStatus> = self
            .state
            .recordings
            .iter()
            .map(|(id, spooled)| self.recording_status(id, spooled, now))
            .collect();
        let sinks = self.backlogs.iter().map(|(sink, backlog)| {
            let debts =
                || recordings.iter().flat_map(|status| &status.sinks).filter(|debt| debt.sink == *sink);
            let owed = || debts().filter(|debt| debt.state == DebtState::Owed);
            SinkStatus {
                sink: sink.clone(),
                recordings: owed().count() as u64,
                fragments: owed().map(|debt| debt.fragments).sum(),
                bytes: owed().map(|debt| debt.bytes).sum(),
                refused: debts().filter(|debt| matches!(debt.state, DebtState::Refused { .. })).count()
                    as u64,
                last_error: backlog.last_error().map(str::to_owned),
                retry_in_ms: backlog.waits_until(now).map(|until| millis(until - now)),
                oldest_failure: backlog
                    .oldest_failure()
                    .map(|failed| OldestFailure { since: failed.since, reason: failed.error.clone() }),
                counts: backlog.counts,
            }
        });
        OutboxStatus { sinks: sinks.collect(), account_waiting: self.account.waiting(), recordings }
    }

    /// The content of the spool, in the form that [`capacity`](crate::capacity) takes. A running recording's
    /// bytes are those of its `running_bytes`.
    pub fn stored_recordings(
        &self,
        running_bytes: impl Fn(&RecordingId) -> u64,
    ) -> Vec<capacity::StoredRecording> {
        let JournalState { recordings } = &self.state;
        let stored = recordings.iter().map(|(recording, spooled)| {
            let (state, bytes) = match spooled.sealed {
                None => (capacity::StoredState::Running, running_bytes(recording)),
                Some(content) if spooled.is_empty() => (capacity::StoredState::Empty, content.bytes),
                Some(content) if self.is_done(spooled) || self.leaving.contains(recording) => {
                    (capacity::StoredState::Delivered, content.bytes)
                }
                Some(content) => (capacity::StoredState::Undelivered, content.bytes),
            };
            capacity::StoredRecording { recording: recording.clone(), bytes, state }
        });
        stored.collect()
    }

    fn recording_status(
        &self,
        recording: &RecordingId,
        spooled: &SpooledRecording,
        now: Instant,
    ) -> RecordingStatus {
        let stage = match (spooled.sealed, &spooled.released) {
            (None, _) => Stage::Running,
            (Some(_), None) => Stage::Sealed,
            (Some(_), Some(_)) => Stage::Released,
        };
        let sinks = self
            .backlogs
            .iter()
            .map(|(sink, backlog)| debt(sink, backlog, recording, spooled, now))
            .collect();
        let bytes = spooled.sealed.map_or(0, |content| content.bytes);
        RecordingStatus { recording: recording.clone(), stage, bytes, sinks }
    }
}

fn debt(
    sink: &SinkName,
    backlog: &SinkBacklog,
    recording: &RecordingId,
    spooled: &SpooledRecording,
    now: Instant,
) -> Debt {
    let progress = spooled.sinks.get(sink);
    let state = match progress.and_then(|progress| progress.end.clone()) {
        None => DebtState::Owed,
        Some(DeliveryEnd::Delivered { place }) => DebtState::Delivered { place },
        Some(DeliveryEnd::Refused { reason }) => DebtState::Refused { reason },
    };
    let (fragments, bytes) = match (spooled.sealed, &state) {
        (_, DebtState::Delivered { .. } | DebtState::Refused { .. }) => (0, 0),
        (Some(content), _) if backlog.takes_whole => (0, content.bytes),
        (Some(content), _) => {
            let (files, bytes) = progress.map_or((0, 0), |progress| (progress.files(), progress.bytes));
            (content.files.saturating_sub(files), content.bytes.saturating_sub(bytes))
        }
        (None, _) => {
            let queue = backlog.queues.get(recording);
            queue.map_or((0, 0), |queue| (queue.len() as u64, queue.values().map(|facts| facts.size).sum()))
        }
    };
    let stuck = backlog.stuck(recording);
    let until = stuck
        .and_then(|stuck| [Some(stuck.not_before), backlog.waits_until(now)].into_iter().flatten().max());
    Debt {
        sink: sink.clone(),
        state,
        fragments,
        bytes,
        last_error: stuck.map(|stuck| stuck.error.clone()),
        retry_in_ms: until.map(|until| millis(until.saturating_duration_since(now))),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
