//! What a batch of inputs has brought about: rows of the index, all in one transaction, and messages, which nobody hears before
//! the rows are durable. A hundred calls that begin at one moment cost one sync of the disk.

use std::future::Future;
use std::time::{Duration, Instant};

use deskreel_model::link::{FromServer, Running, Status};
use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, Place, RecordingId, Utc};

use super::{Calls, Stretch};
use crate::db::Db;
use crate::error::Result;
use crate::time::to_ms;

/// A database that restarts, or that ended one of two transactions which waited for each other, is asked again for so long.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Work {
    rows: Vec<Row>,
    /// To which recorder.
    messages: Vec<(String, FromServer)>,
}

pub(super) enum Row {
    /// Footage was commanded.
    Begun {
        recording: RecordingId,
        recorder: Option<String>,
        agent: AgentId,
        place: Option<Place>,
        from: Utc,
        why: String,
        missing: Option<String>,
    },
    Stands {
        own: RecordingId,
        stretches: Vec<Stretch>,
        footage: Footage,
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
        said: Running,
        offset_ms: Option<i64>,
    },
    /// Its link is up, with a program of this version, or down.
    Present {
        recorder: String,
        program: Option<String>,
    },
    Doing {
        recorder: String,
        status: Status,
    },
}

impl Work {
    pub fn write(&mut self, row: Row) {
        // How footage stands replaces how it stood.
        if let Row::Stands { own, .. } | Row::Gone { own, .. } = &row {
            let is_older = |row: &Row| matches!(row, Row::Stands { own: of, .. } | Row::Gone { own: of, .. } if of == own);
            self.rows.retain(|row| !is_older(row));
        }
        self.rows.push(row);
    }

    pub fn tell(&mut self, recorder: &str, message: FromServer) {
        self.messages.push((recorder.to_owned(), message));
    }

    /// Writes the rows; gives the messages that may be sent now. Where the index cannot be reached it all waits for the next time;
    /// what it does not take is lost to it, and done all the same: a recording is worth more than its entry.
    pub async fn done(&mut self, db: &Db, calls: &Calls) -> Vec<(String, FromServer)> {
        if let Err(error) = persist(|| write_all(db, &self.rows, calls)).await {
            tracing::error!(%error, rows = self.rows.len(), "what was decided is not in the index");
            if error.passes() {
                return Vec::new();
            }
        }
        for row in self.rows.drain(..) {
            if let Row::Stands { footage, is_final: true, .. } = row {
                tracing::info!(agent = %footage.agent, from = %footage.from, "footage is final");
            }
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

async fn write_all(db: &Db, rows: &[Row], calls: &Calls) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut write = db.write().await?;
    for row in rows {
        match row {
            Row::Begun { recording, recorder, agent, place, from, why, missing } => {
                let told = (recording.as_str(), recorder.as_deref());
                let place = place.as_ref().map(Place::as_str);
                write
                    .footage_begun(told, agent.as_str(), place, to_ms(*from), why, missing.as_deref())
                    .await?;
            }
            Row::Stands { own, stretches, footage, .. } => {
                write.footage_stands(own.as_str(), stretches, footage, calls).await?;
            }
            Row::Gone { own, stretches } => write.footage_gone(own.as_str(), stretches).await?,
            Row::Runs { recorder, place, said, offset_ms } => {
                write.runs((recorder, place.as_str()), said, *offset_ms).await?;
            }
            Row::Present { recorder, program } => write.presence(recorder, program.as_deref()).await?,
            Row::Doing { recorder, status } => write.doing(recorder, status).await?,
        }
    }
    write.commit().await
}
