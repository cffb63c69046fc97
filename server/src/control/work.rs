//! What a batch of inputs has brought about. Footage that is commanded is in the index before anybody is told; how it stands from
//! then on is written behind, as fast as the index takes it, the newest state in place of those before.
//!
//! On the measured machine an entry costs a millisecond, a statement a tenth of that: the starts of a hundred agents are one
//! statement, and what follows of them nobody waits for.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::time::{Duration, Instant};

use deskreel_model::link::{FromServer, RecorderStatus, RunningRecording};
use deskreel_model::segment::Footage;
use deskreel_model::{CallId, Place, RecordingId};
use tokio::sync::{mpsc, oneshot};

use super::{Call, Stretch};
use crate::db::{Begun, Db};
use crate::error::Result;

/// A database that restarts, or that ended one of two transactions which waited for each other, is asked again for so long.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Rows of one transaction: SQLite has one writer, and starts wait for it.
const CHUNK: usize = 16;

pub(super) struct Work {
    begun: Vec<Begun>,
    rows: Vec<Row>,
    /// To which recorder.
    messages: Vec<(String, FromServer)>,
    behind: mpsc::UnboundedSender<Row>,
}

/// What is written behind.
pub(super) enum Row {
    Stands {
        own: RecordingId,
        stretches: Vec<Stretch>,
        footage: Footage,
        /// Of its segments.
        calls: HashMap<CallId, Call>,
        is_final: bool,
    },
    Gone {
        own: RecordingId,
        stretches: Vec<Stretch>,
    },
    /// A recorder says that it records.
    Runs {
        recorder: String,
        place: Place,
        said: RunningRecording,
        offset_ms: Option<i64>,
    },
    /// Its link is up, with a program of this version, or down.
    Present {
        recorder: String,
        program: Option<String>,
    },
    Doing {
        recorder: String,
        status: RecorderStatus,
    },
    /// Somebody wants to know when everything before is written.
    Asked(oneshot::Sender<()>),
}

impl Work {
    pub fn start(db: &Db) -> Work {
        let (behind, rows) = mpsc::unbounded_channel();
        tokio::spawn(write_behind(db.clone(), rows));
        Work { begun: Vec::new(), rows: Vec::new(), messages: Vec::new(), behind }
    }

    pub fn begin(&mut self, begun: Begun) {
        self.begun.push(begun);
    }

    pub fn tell(&mut self, recorder: &str, message: FromServer) {
        self.messages.push((recorder.to_owned(), message));
    }

    pub fn write(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The messages that may be sent now. What the index does not take is lost to it, and recorded all the same: footage is worth
    /// more than its entry.
    pub async fn done(&mut self, db: &Db) -> Vec<(String, FromServer)> {
        let begun = std::mem::take(&mut self.begun);
        if !begun.is_empty()
            && let Err(error) = persist(|| db.footage_begun(&begun)).await
        {
            tracing::error!(%error, count = begun.len(), "footage is commanded that is not in the index");
        }
        // Not before: how footage stands is no news of footage that is not there.
        for row in self.rows.drain(..) {
            let _ = self.behind.send(row);
        }
        std::mem::take(&mut self.messages)
    }
}

/// Again, while it fails for a reason that passes by itself.
pub(super) async fn persist<T, F: Future<Output = Result<T>>>(mut attempt: impl FnMut() -> F) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    let mut pause = PAUSE;
    loop {
        match attempt().await {
            Err(error) if error.passes() && Instant::now() < end => {
                tracing::warn!(%error, "the index is asked again");
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST_PAUSE);
            }
            result => return result,
        }
    }
}

async fn write_behind(db: Db, mut rows: mpsc::UnboundedReceiver<Row>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() {
            let Some(row) = rows.recv().await else { return };
            waiting.push_back(row);
        }
        while let Ok(row) = rows.try_recv() {
            waiting.retain(|older| !row.replaces(older));
            waiting.push_back(row);
        }
        let some: Vec<Row> = waiting.drain(..waiting.len().min(CHUNK)).collect();
        match persist(|| write_all(&db, &some)).await {
            // It could not be reached for long, and there is nothing else to do.
            Err(error) if error.passes() => some.into_iter().rev().for_each(|row| waiting.push_front(row)),
            // One that the index does not take costs no other.
            Err(_) => write_each(&db, some).await,
            Ok(()) => some.into_iter().for_each(Row::written),
        }
    }
}

async fn write_each(db: &Db, rows: Vec<Row>) {
    for row in rows {
        match persist(|| write_all(db, std::slice::from_ref(&row))).await {
            Ok(()) => row.written(),
            Err(error) => tracing::error!(%error, "what was decided is not in the index"),
        }
    }
}

impl Row {
    fn replaces(&self, older: &Row) -> bool {
        use Row::{Doing, Gone, Stands};
        match (self, older) {
            (Stands { own, .. } | Gone { own, .. }, Stands { own: other, .. } | Gone { own: other, .. }) => {
                own == other
            }
            (Doing { recorder, .. }, Doing { recorder: other, .. }) => recorder == other,
            _ => false,
        }
    }

    fn written(self) {
        match self {
            Row::Stands { footage, is_final: true, .. } => {
                tracing::info!(agent = %footage.agent, from = %footage.from, "footage is final");
            }
            Row::Asked(answer) => drop(answer.send(())),
            _ => {}
        }
    }
}

async fn write_all(db: &Db, rows: &[Row]) -> Result<()> {
    let mut write = db.write().await?;
    for row in rows {
        match row {
            Row::Stands { own, stretches, footage, calls, .. } => {
                write.footage_stands(own.as_str(), stretches, footage, calls).await?;
            }
            Row::Gone { own, stretches } => write.footage_gone(own.as_str(), stretches).await?,
            Row::Runs { recorder, place, said, offset_ms } => {
                write.runs((recorder, place.as_str()), said, *offset_ms).await?;
            }
            Row::Present { recorder, program } => write.presence(recorder, program.as_deref()).await?,
            Row::Doing { recorder, status } => write.doing(recorder, status).await?,
            Row::Asked(_) => {}
        }
    }
    write.commit().await
}
