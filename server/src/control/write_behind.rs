//! The effects of a batch of inputs. New footage is in the index before its recorder is commanded; all later
//! changes are written as fast as the index takes them, and a newer state replaces older ones that still
//! wait.
//!
//! On the measured machine a transaction costs a millisecond, a statement a tenth of that. The starts of a
//! hundred agents are one statement, and nothing waits for what follows.

use std::collections::VecDeque;
use std::future::Future;
use std::time::{Duration, Instant};

use deskreel_model::RecordingId;
use deskreel_model::link::{FromServer, RecorderStatus, RunningRecording};
use deskreel_model::segment::Footage;
use tokio::sync::{mpsc, oneshot};

use crate::account::hindrances::HindranceRow;
use crate::db::Db;
use crate::db::footage::NewFootage;
use crate::db::identities::{UnresolvedEvents, UnresolvedName};
use crate::db::recorders::Recorder;
use crate::error::Result;
use crate::names::RecorderId;
use crate::segments::{CallSummaries, Stretch};

/// Time for which a temporary failure is retried: the database restarts, or ended one of two transactions in
/// a deadlock.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Updates in one transaction. SQLite has one writer, and starts wait for it.
const CHUNK: usize = 16;

pub(super) struct BatchEffects {
    new_footage: Vec<NewFootage>,
    updates: Vec<IndexUpdate>,
    messages: Vec<(RecorderId, FromServer)>,
    behind: mpsc::UnboundedSender<IndexUpdate>,
}

/// A change of the index that is written later.
pub(super) enum IndexUpdate {
    Footage {
        id: RecordingId,
        stretches: Vec<Stretch>,
        footage: Footage,
        /// The calls of its segments.
        calls: CallSummaries,
        is_final: bool,
    },
    FootageRemoved {
        id: RecordingId,
        stretches: Vec<Stretch>,
    },
    /// A recorder reports a running recording.
    Running {
        recorder: Recorder,
        running: RunningRecording,
        offset_ms: Option<i64>,
    },
    /// A recorder's link is up, or down.
    Presence {
        recorder: RecorderId,
        presence: Option<Presence>,
    },
    /// A recorder refused to make the footage under this name.
    Refused {
        id: RecordingId,
        recording: RecordingId,
        why: String,
    },
    Status {
        recorder: RecorderId,
        status: RecorderStatus,
    },
    Hindrance(HindranceRow),
    Unresolved(UnresolvedName, UnresolvedEvents),
    /// The server runs at this time.
    Alive(i64),
    /// Answered once everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// A recorder whose link is up.
pub(crate) struct Presence {
    /// The version of its program.
    pub program: String,
    /// Another recorder that is commanded at its place.
    pub occupied_by: Option<String>,
}

impl BatchEffects {
    pub fn start(db: &Db) -> BatchEffects {
        let (behind, updates) = mpsc::unbounded_channel();
        tokio::spawn(write_behind(db.clone(), updates));
        BatchEffects { new_footage: Vec::new(), updates: Vec::new(), messages: Vec::new(), behind }
    }

    /// Loses all later updates, as a kill does before they are written.
    #[cfg(test)]
    pub fn lose_updates(&mut self) {
        self.behind = mpsc::unbounded_channel().0;
    }

    pub fn add_footage(&mut self, footage: NewFootage) {
        self.new_footage.push(footage);
    }

    /// A recorder is commanded to make footage that was added just now. False: it was added earlier.
    pub fn assign(&mut self, footage: &RecordingId) -> bool {
        let new = self.new_footage.iter_mut().find(|new| new.recording == *footage);
        new.is_some_and(|new| {
            new.missing = None;
            true
        })
    }

    pub fn send(&mut self, recorder: &RecorderId, message: FromServer) {
        self.messages.push((recorder.clone(), message));
    }

    pub fn write(&mut self, update: IndexUpdate) {
        self.updates.push(update);
    }

    /// Stores new footage and returns the messages to be sent now. Footage that cannot be stored is recorded
    /// all the same: it is worth more than its entry in the index.
    pub async fn finish(&mut self, db: &Db) -> Vec<(RecorderId, FromServer)> {
        let footage = std::mem::take(&mut self.new_footage);
        if !footage.is_empty()
            && let Err(error) = persist(|| db.add_footage(&footage)).await
        {
            tracing::error!(%error, count = footage.len(), "commanded footage is missing from the index");
        }
        // Not earlier: an update would find no footage.
        for update in self.updates.drain(..) {
            let _ = self.behind.send(update);
        }
        std::mem::take(&mut self.messages)
    }
}

/// Retries while the failure is temporary.
pub(super) async fn persist<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    let mut pause = PAUSE;
    loop {
        match attempt().await {
            Err(error) if error.is_temporary() && Instant::now() < end => {
                tracing::warn!(%error, "retrying the index");
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

async fn write_behind(db: Db, mut updates: mpsc::UnboundedReceiver<IndexUpdate>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(update) = updates.recv().await else { return };
            waiting.push_back(update);
        }
        while let Ok(update) = updates.try_recv() {
            waiting.retain(|older| !update.replaces(older));
            waiting.push_back(update);
        }
        let chunk: Vec<IndexUpdate> = waiting.drain(..waiting.len().min(CHUNK)).collect();
        match persist(|| write_all(&db, &chunk)).await {
            // The index has been unreachable for long; the only choice is to keep trying.
            Err(error) if error.is_temporary() => {
                chunk.into_iter().rev().for_each(|update| waiting.push_front(update));
            }
            // One update that the index refuses must not cost the others.
            Err(_) => write_each(&db, chunk).await,
            Ok(()) => chunk.into_iter().for_each(IndexUpdate::written),
        }
    }
}

async fn write_each(db: &Db, updates: Vec<IndexUpdate>) {
    for update in updates {
        match persist(|| write_all(db, std::slice::from_ref(&update))).await {
            Ok(()) => update.written(),
            Err(error) => tracing::error!(%error, "an update is missing from the index"),
        }
    }
}

impl IndexUpdate {
    fn replaces(&self, older: &IndexUpdate) -> bool {
        use IndexUpdate::{Alive, Footage, FootageRemoved, Status};
        match (self, older) {
            (
                Footage { id, .. } | FootageRemoved { id, .. },
                Footage { id: other, .. } | FootageRemoved { id: other, .. },
            ) => id == other,
            (Status { recorder, .. }, Status { recorder: other, .. }) => recorder == other,
            (Alive(_), Alive(_)) => true,
            _ => false,
        }
    }

    fn written(self) {
        match self {
            IndexUpdate::Footage { footage, is_final: true, .. } => {
                tracing::info!(agent = %footage.agent, from = %footage.from, "footage is final");
            }
            IndexUpdate::Flush(answer) => drop(answer.send(())),
            _ => {}
        }
    }
}

async fn write_all(db: &Db, updates: &[IndexUpdate]) -> Result<()> {
    let mut write = db.write().await?;
    for update in updates {
        match update {
            IndexUpdate::Footage { id, stretches, footage, calls, .. } => {
                write.write_footage(id, stretches, footage, calls).await?;
            }
            IndexUpdate::FootageRemoved { id, stretches } => write.remove_footage(id, stretches).await?,
            IndexUpdate::Running { recorder, running, offset_ms } => {
                write.set_running(recorder, running, *offset_ms).await?;
            }
            IndexUpdate::Presence { recorder, presence } => {
                let program = presence.as_ref().map(|presence| presence.program.as_str());
                let occupied_by = presence.as_ref().and_then(|presence| presence.occupied_by.as_deref());
                write.set_presence(recorder, program, occupied_by).await?;
            }
            IndexUpdate::Refused { id, recording, why } => write.refuse_footage(id, recording, why).await?,
            IndexUpdate::Status { recorder, status } => write.set_status(recorder, status).await?,
            IndexUpdate::Unresolved(name, events) => write.count_unresolved(name, events).await?,
            IndexUpdate::Hindrance(row) => write.set_hindrance(row).await?,
            IndexUpdate::Alive(at) => write.set_alive(*at).await?,
            IndexUpdate::Flush(_) => {}
        }
    }
    write.commit().await
}
