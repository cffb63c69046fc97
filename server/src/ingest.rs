//! What recorders hand over, on its way to being kept: first the bytes into the store, then the row into the index, then the
//! answer. A crash between them leaves an object without a row, which the repetition of the upload takes.
//!
//! Rows are written by one worker that takes all that wait into one transaction: a commit costs a sync of the disk, and two
//! hundred recorders that upload at once share it.

mod finished;

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use object_store::PutPayload;
use tokio::sync::{mpsc, oneshot, watch};

use crate::db::arrivals::{Arrival, Entry};
use crate::db::recorders::Recorder;
use crate::db::recordings::{Held, Name, Standing, Times};
use crate::db::{Db, Write};
use crate::error::{Error, Result};
use crate::manifest::{About, Manifest};
use crate::store::Store;

pub use finished::{Arrived, Taking, began};

/// Rows that one transaction takes, and that may wait.
const BATCH: usize = 256;

type Waiting = (Arrival, oneshot::Sender<Result<Entry, Arc<Error>>>);

#[derive(Clone)]
pub struct Ingest {
    db: Db,
    store: Store,
    arrivals: mpsc::Sender<Waiting>,
    /// Changes whenever something has arrived.
    progress: watch::Receiver<u64>,
}

/// What came of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    New,
    Same,
    Missing(Vec<Name>),
    /// Another manifest closed it, or it does not go with what is here.
    Refused(&'static str),
    Deleted,
    NotYours,
}

impl Ingest {
    pub fn start(db: Db, store: Store) -> Ingest {
        let (arrivals, waiting) = mpsc::channel(BATCH);
        let (tell, progress) = watch::channel(0);
        tokio::spawn(enter(db.clone(), waiting, tell));
        Ingest { db, store, arrivals, progress }
    }

    /// For who waits for the next fragment of something that runs.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.clone()
    }

    /// Durable once this returns `New` or `Same`.
    pub async fn fragment(&self, from: &Recorder, recording: &str, name: Name, body: Body) -> Result<Entry> {
        let times = if name.number == 0 { None } else { times(&body.chunks) };
        let held = Held { name, size: body.size, sha256: body.sha256, times };
        self.keep(from, recording, held, body.chunks.into_iter().collect(), None).await
    }

    async fn keep(
        &self,
        from: &Recorder,
        recording: &str,
        held: Held,
        bytes: PutPayload,
        file: Option<&str>,
    ) -> Result<Entry> {
        self.store.put(recording, &held.sha256, bytes).await?;
        let (Recorder { recorder, place }, file) = (from.clone(), file.map(str::to_owned));
        let arrival = Arrival { recorder, place, recording: recording.to_owned(), held, file };
        let (answer, entry) = oneshot::channel();
        self.arrivals.send((arrival, answer)).await.map_err(|_| Error::GoingDown)?;
        let entry = entry.await.map_err(|_| Error::GoingDown)?;
        entry.map_err(|error| Error::Batch(error.to_string(), error.is_full()))
    }

    /// True: something was said before.
    pub async fn about(&self, from: &Recorder, recording: &str, text: &str) -> Result<(Standing, bool)> {
        let mut write = self.db.write().await?;
        let standing = write.claim(recording, &from.recorder, &from.place).await?;
        if standing.recorder != from.recorder || standing.deleted {
            return Ok((standing, false));
        }
        let had = write.set_about(recording, text).await?;
        describe(&mut write, recording, None, Some(text)).await?;
        write.commit().await?;
        Ok((standing, had))
    }

    pub async fn manifest(&self, from: &Recorder, recording: &str, text: &str) -> Result<Closing> {
        let Ok(manifest) = serde_json::from_str::<Manifest>(text) else {
            return Ok(Closing::Refused("This is no manifest"));
        };
        if manifest.recording != recording {
            return Ok(Closing::Refused("The manifest is another recording's"));
        }
        self.close(from, recording, text, &manifest, None).await
    }

    /// `file`: the digest of the file that the recording is cut from.
    async fn close(
        &self,
        from: &Recorder,
        recording: &str,
        text: &str,
        manifest: &Manifest,
        file: Option<&str>,
    ) -> Result<Closing> {
        // Before the index says that it is closed. Written again, it is the same or was not taken.
        if let Some(early) = self.judge(from, recording, text, manifest, file).await? {
            return Ok(early);
        }
        self.store.put_manifest(recording, Bytes::from(text.to_owned())).await?;
        let mut write = self.db.write().await?;
        let standing = write.claim(recording, &from.recorder, &from.place).await?;
        if standing.closed || standing.deleted || standing.file.as_deref() != file {
            // Somebody was faster.
            drop(write);
            let now = self.judge(from, recording, text, manifest, file).await?;
            return Ok(now.unwrap_or(Closing::Refused("Another manifest closed this recording")));
        }
        write.close_recording(recording, text).await?;
        // What came and is not named is no footage; its object goes with the recording.
        let named: HashSet<Name> = manifest.named().map(|(name, _)| name).collect();
        write.keep_only(recording, &named).await?;
        let (_, about) = write.documents(recording).await?;
        describe(&mut write, recording, Some(manifest), about.as_deref()).await?;
        write.commit().await?;
        Ok(Closing::New)
    }

    /// `None`: it may be closed with this manifest.
    async fn judge(
        &self,
        from: &Recorder,
        recording: &str,
        text: &str,
        manifest: &Manifest,
        file: Option<&str>,
    ) -> Result<Option<Closing>> {
        if let Some(standing) = self.db.standing(recording).await? {
            if standing.recorder != from.recorder {
                return Ok(Some(Closing::NotYours));
            }
            if standing.deleted {
                return Ok(Some(Closing::Deleted));
            }
            if standing.file.as_deref() != file {
                return Ok(Some(Closing::Refused(
                    "This recording is cut from one file, which has no manifest",
                )));
            }
            if standing.closed {
                let (closed_by, _) = self.db.documents(recording).await?;
                return Ok(Some(match closed_by.as_deref() == Some(text) {
                    true => Closing::Same,
                    false => Closing::Refused("Another manifest closed this recording"),
                }));
            }
        }
        let there: std::collections::HashMap<Name, String> =
            self.db.fragments(recording).await?.into_iter().map(|held| (held.name, held.sha256)).collect();
        let mut missing = Vec::new();
        let mut seen = HashSet::new();
        for (name, sha256) in manifest.named() {
            match there.get(&name) {
                Some(there) if there == sha256 => {}
                Some(_) => {
                    return Ok(Some(Closing::Refused(
                        "A fragment has another digest here than in the manifest",
                    )));
                }
                None => missing.push(name.clone()),
            }
            if !seen.insert(name) {
                return Ok(Some(Closing::Refused("The manifest names a fragment twice")));
            }
        }
        Ok((!missing.is_empty()).then_some(Closing::Missing(missing)))
    }
}

/// A body that is what its digest says.
#[derive(Debug)]
pub struct Body {
    pub chunks: Vec<Bytes>,
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Of a fragment that we can read; what cannot be read is kept all the same, since the manifest may name it.
fn times(chunks: &[Bytes]) -> Option<Times> {
    let whole: Vec<u8>;
    let bytes = match chunks {
        [one] => &one[..],
        many => {
            whole = many.concat();
            &whole
        }
    };
    let info = deskreel_fmp4::read_fragment(bytes).ok()?;
    let keyframe = info.samples.first().is_some_and(|sample| sample.keyframe);
    Some(Times { start_ns: info.start_ns, duration_ns: info.duration_ns, keyframe })
}

/// The worker: all that wait, in one transaction.
async fn enter(db: Db, mut waiting: mpsc::Receiver<Waiting>, progress: watch::Sender<u64>) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        match enter_all(&db, &batch).await {
            Ok(entries) => {
                for ((_, answer), entry) in batch.drain(..).zip(entries) {
                    // Who is gone asks again.
                    let _ = answer.send(Ok(entry));
                }
                progress.send_modify(|count| *count += 1);
            }
            Err(error) => {
                let error = Arc::new(error);
                for (_, answer) in batch.drain(..) {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn enter_all(db: &Db, batch: &[Waiting]) -> Result<Vec<Entry>> {
    let mut write = db.write().await?;
    let mut entries = Vec::with_capacity(batch.len());
    for (arrival, _) in batch {
        entries.push(write.enter(arrival).await?);
    }
    write.commit().await?;
    Ok(entries)
}

/// Whose it is and when it was, for what is asked about recordings.
async fn describe(
    write: &mut Write,
    recording: &str,
    manifest: Option<&Manifest>,
    about: Option<&str>,
) -> Result<()> {
    let about: About = about.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let agent = about.agent.as_deref().or(manifest.and_then(|manifest| manifest.agent.as_deref()));
    let place = about.place.as_deref().or(manifest.and_then(|manifest| manifest.place.as_deref()));
    let zero = manifest.and_then(Manifest::zero_ms);
    let end = manifest
        .zip(zero)
        .and_then(|(manifest, zero)| Some(zero + i64::try_from(manifest.end_ns() / 1_000_000).ok()?));
    write.describe(recording, agent, place, (zero, end)).await?;
    write.tell(recording, &about).await
}
