//! How things stand, for people and metrics.

use std::time::{Duration, Instant};

use deskreel_model::{RecordingId, SinkName};
use serde::Serialize;

use super::Outbox;
use super::book::{Book, End, Held};
use super::tray::{Counts, Tray};
use crate::room;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Oldest first.
    pub recordings: Vec<RecordingStatus>,
    pub sinks: Vec<SinkStatus>,
    /// Lines of the account that could not be written yet.
    pub account_waiting: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordingStatus {
    pub recording: RecordingId,
    pub stage: Stage,
    /// Of headers and fragments; 0 while it runs.
    pub bytes: u64,
    pub sinks: Vec<Debt>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Running,
    /// Waits for whoever says that it may be handed over as finished.
    Sealed,
    Released,
}

/// What a recording still owes a sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Debt {
    pub sink: SinkName,
    #[serde(flatten)]
    pub state: DebtState,
    /// Headers and fragments that wait; none for a sink that takes whole recordings.
    pub fragments: u64,
    pub bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Until it is tried again, in whole milliseconds.
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
    /// That it has not got and not refused.
    pub recordings: u64,
    pub fragments: u64,
    pub bytes: u64,
    pub refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_in_ms: Option<u64>,
    #[serde(skip)]
    pub counts: Counts,
}

impl Outbox {
    pub fn status(&self, now: Instant) -> Status {
        let recordings: Vec<RecordingStatus> =
            self.book.recordings.iter().map(|(id, held)| self.recording_status(id, held, now)).collect();
        let sinks = self.trays.iter().map(|(sink, tray)| {
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
                last_error: tray.last_error().map(str::to_owned),
                retry_in_ms: tray.waits_until(now).map(|until| millis(until - now)),
                counts: tray.counts,
            }
        });
        Status { sinks: sinks.collect(), account_waiting: self.account.waiting(), recordings }
    }

    /// What lies in the spool, as [`room`] wants to know it. A running recording's bytes are those of its
    /// `running_bytes`.
    pub fn lying(&self, running_bytes: impl Fn(&RecordingId) -> u64) -> Vec<room::Lying> {
        let Book { recordings } = &self.book;
        let lying = recordings.iter().map(|(recording, held)| {
            let (state, bytes) = match held.sealed {
                None => (room::State::Running, running_bytes(recording)),
                Some(content) if held.is_empty() => (room::State::Empty, content.bytes),
                Some(content) if self.is_done(held) || self.leaving.contains(recording) => {
                    (room::State::Delivered, content.bytes)
                }
                Some(content) => (room::State::Undelivered, content.bytes),
            };
            room::Lying { recording: recording.clone(), bytes, state }
        });
        lying.collect()
    }

    fn recording_status(&self, recording: &RecordingId, held: &Held, now: Instant) -> RecordingStatus {
        let stage = match (held.sealed, &held.released) {
            (None, _) => Stage::Running,
            (Some(_), None) => Stage::Sealed,
            (Some(_), Some(_)) => Stage::Released,
        };
        let sinks = self.trays.iter().map(|(sink, tray)| debt(sink, tray, recording, held, now)).collect();
        let bytes = held.sealed.map_or(0, |content| content.bytes);
        RecordingStatus { recording: recording.clone(), stage, bytes, sinks }
    }
}

fn debt(sink: &SinkName, tray: &Tray, recording: &RecordingId, held: &Held, now: Instant) -> Debt {
    let got = held.sinks.get(sink);
    let state = match got.and_then(|got| got.end.clone()) {
        None => DebtState::Owed,
        Some(End::Delivered { place }) => DebtState::Delivered { place },
        Some(End::Refused { reason }) => DebtState::Refused { reason },
    };
    let (fragments, bytes) = match (held.sealed, &state) {
        (_, DebtState::Delivered { .. } | DebtState::Refused { .. }) => (0, 0),
        (Some(content), _) if tray.takes_whole => (0, content.bytes),
        (Some(content), _) => {
            let (files, bytes) = got.map_or((0, 0), |got| (got.files(), got.bytes));
            (content.files.saturating_sub(files), content.bytes.saturating_sub(bytes))
        }
        (None, _) => {
            let queue = tray.queues.get(recording);
            queue.map_or((0, 0), |queue| (queue.len() as u64, queue.values().map(|facts| facts.size).sum()))
        }
    };
    let stuck = tray.stuck(recording);
    let until =
        stuck.and_then(|stuck| [Some(stuck.not_before), tray.waits_until(now)].into_iter().flatten().max());
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
