//! Stores uploads of recorders (`api/uploads.rs` receives them): first the bytes go into the store, then the
//! row into the index (`db/uploads.rs`), then the answer is sent. A crash in between leaves an object without
//! a row, which the repeated upload uses.
//!
//! One worker writes all waiting rows in one transaction: a commit costs a disk sync, and two hundred
//! recorders that upload at once share it.

mod finished_file;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::body::Bytes;
use deskreel_model::RecordingId;
use object_store::PutPayload;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::account::coverage::Coverage;
use crate::db::recorders::Recorder;
use crate::db::uploads::{FragmentOutcome, NewFragment};
use crate::db::{Db, Write};
use crate::error::{Error, Result};
use crate::fragments::{FragmentName, FragmentTimes, StoredFragment};
use crate::manifest::{About, Manifest};
use crate::store::Store;
use crate::time;

pub use finished_file::{FileOutcome, ReceivedFile, start_time};

/// Batches that a request which waits for a fragment may not have looked at yet.
const PROGRESS: usize = 256;
/// Rows that one transaction takes, and that may wait.
const BATCH: usize = 256;

struct PendingFragment {
    fragment: NewFragment,
    answer: oneshot::Sender<Result<FragmentOutcome, Arc<Error>>>,
}

#[derive(Clone)]
pub struct Ingest {
    db: Db,
    store: Store,
    pending: mpsc::Sender<PendingFragment>,
    /// Recordings of which something has arrived.
    progress: broadcast::Sender<Arc<HashSet<RecordingId>>>,
}

/// What has arrived since it was made.
pub struct Progress(broadcast::Receiver<Arc<HashSet<RecordingId>>>);

impl Progress {
    /// Waits until something of the recording arrives.
    pub async fn of(&mut self, recording: &RecordingId) {
        loop {
            match self.0.recv().await {
                Ok(arrived) if !arrived.contains(recording) => {}
                // Lagged: it may have arrived.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// A body that agrees with its digest.
#[derive(Debug)]
pub struct Body {
    pub chunks: Vec<Bytes>,
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// The result of putting an `about`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AboutOutcome {
    New,
    Replaced,
    Deleted,
    NotYours,
}

/// The result of putting a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestOutcome {
    New,
    Same,
    Missing(Vec<FragmentName>),
    /// Another manifest closed the recording, or this one does not agree with the stored fragments.
    Refused(&'static str),
    Deleted,
    NotYours,
}

impl Ingest {
    pub fn start(db: Db, store: Store) -> Ingest {
        let (pending, waiting) = mpsc::channel(BATCH);
        let (progress, _) = broadcast::channel(PROGRESS);
        tokio::spawn(write_rows(db.clone(), waiting, progress.clone()));
        Ingest { db, store, pending, progress }
    }

    /// Returns whether the worker has ended: no row is written any more.
    pub fn has_ended(&self) -> bool {
        self.pending.is_closed()
    }

    /// Lets requests wait for the next fragment of a running recording, or for its end.
    pub fn progress(&self) -> Progress {
        Progress(self.progress.subscribe())
    }

    /// Durable once this returns `New` or `Same`.
    pub async fn fragment(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        name: FragmentName,
        body: Body,
    ) -> Result<FragmentOutcome> {
        let times = if name.number == 0 { None } else { times(&body.chunks) };
        let fragment = StoredFragment { name, size: body.size, sha256: body.sha256, times };
        self.keep(from, recording, fragment, body.chunks.into_iter().collect(), None).await
    }

    /// `file` is the digest of the finished file that the fragment is cut from.
    async fn keep(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        fragment: StoredFragment,
        bytes: PutPayload,
        file: Option<&str>,
    ) -> Result<FragmentOutcome> {
        self.store.put(recording, &fragment.sha256, bytes).await?;
        let (recorder, recording) = (from.clone(), recording.clone());
        let fragment = NewFragment { recorder, recording, fragment, file: file.map(str::to_owned) };
        let (answer, outcome) = oneshot::channel();
        self.pending.send(PendingFragment { fragment, answer }).await.map_err(|_| Error::GoingDown)?;
        let outcome = outcome.await.map_err(|_| Error::GoingDown)?;
        outcome.map_err(|error| Error::Batch(error.to_string(), error.is_full()))
    }

    pub async fn about(&self, from: &Recorder, recording: &RecordingId, text: &str) -> Result<AboutOutcome> {
        let mut write = self.db.write().await?;
        let state = write.claim(recording, from).await?;
        if state.recorder != from.id {
            return Ok(AboutOutcome::NotYours);
        }
        if state.deleted {
            return Ok(AboutOutcome::Deleted);
        }
        let replaced = write.set_about(recording, text).await?;
        describe(&mut write, recording, None, Some(text)).await?;
        write.commit().await?;
        Ok(if replaced { AboutOutcome::Replaced } else { AboutOutcome::New })
    }

    pub async fn manifest(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        text: &str,
    ) -> Result<ManifestOutcome> {
        let Ok(manifest) = serde_json::from_str::<Manifest>(text) else {
            return Ok(ManifestOutcome::Refused("This is not a manifest"));
        };
        if manifest.recording != *recording {
            return Ok(ManifestOutcome::Refused("The manifest belongs to another recording"));
        }
        self.close(from, recording, text, &manifest, None).await
    }

    /// `file` is the digest of the finished file that the recording is cut from.
    async fn close(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        text: &str,
        manifest: &Manifest,
        file: Option<&str>,
    ) -> Result<ManifestOutcome> {
        if let Some(outcome) = self.objection(from, recording, text, manifest, file).await? {
            return Ok(outcome);
        }
        // Written before the index says that the recording is closed. A repetition writes the same, or does
        // not get here.
        self.store.put_manifest(recording, Bytes::from(text.to_owned())).await?;
        let mut write = self.db.write().await?;
        let state = write.claim(recording, from).await?;
        if state.closed || state.deleted || state.file.as_deref() != file {
            // Another request was faster.
            drop(write);
            let objection = self.objection(from, recording, text, manifest, file).await?;
            return Ok(objection.unwrap_or(ManifestOutcome::Refused(OTHER_MANIFEST)));
        }
        write.close_recording(recording, text, &Coverage::of_manifest(manifest)).await?;
        // Fragments that the manifest does not name are not footage. Their objects are deleted with the
        // recording.
        let named: HashSet<FragmentName> = manifest.named().map(|(name, _)| name).collect();
        write.keep_only(recording, &named).await?;
        let about = write.documents(recording).await?.about;
        describe(&mut write, recording, Some(manifest), about.as_deref()).await?;
        write.commit().await?;
        let _ = self.progress.send(Arc::new(HashSet::from([recording.clone()])));
        Ok(ManifestOutcome::New)
    }

    /// Why this manifest cannot close the recording. `None`: it can.
    async fn objection(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        text: &str,
        manifest: &Manifest,
        file: Option<&str>,
    ) -> Result<Option<ManifestOutcome>> {
        if let Some(state) = self.db.state(recording).await? {
            if state.recorder != from.id {
                return Ok(Some(ManifestOutcome::NotYours));
            }
            if state.deleted {
                return Ok(Some(ManifestOutcome::Deleted));
            }
            if state.file.as_deref() != file {
                let why = "This recording is cut from a finished file, and takes no manifest";
                return Ok(Some(ManifestOutcome::Refused(why)));
            }
            if state.closed {
                let closed_by = self.db.documents(recording).await?.manifest;
                return Ok(Some(match closed_by.as_deref() == Some(text) {
                    true => ManifestOutcome::Same,
                    false => ManifestOutcome::Refused(OTHER_MANIFEST),
                }));
            }
        }
        let stored = self.db.fragments(recording).await?;
        Ok(compare(manifest, stored))
    }
}

const OTHER_MANIFEST: &str = "Another manifest closed this recording";

/// Compares what a manifest names with the stored fragments. `None`: all of it is stored.
fn compare(manifest: &Manifest, stored: Vec<StoredFragment>) -> Option<ManifestOutcome> {
    let stored: HashMap<FragmentName, String> =
        stored.into_iter().map(|fragment| (fragment.name, fragment.sha256)).collect();
    let mut missing = Vec::new();
    let mut seen = HashSet::new();
    for (name, sha256) in manifest.named() {
        match stored.get(&name) {
            Some(stored) if stored == sha256 => {}
            Some(_) => {
                let why = "A fragment has another digest here than in the manifest";
                return Some(ManifestOutcome::Refused(why));
            }
            None => missing.push(name.clone()),
        }
        if !seen.insert(name) {
            return Some(ManifestOutcome::Refused("The manifest names a fragment twice"));
        }
    }
    (!missing.is_empty()).then_some(ManifestOutcome::Missing(missing))
}

/// `None`: the bytes cannot be read as a fragment. They are kept all the same, since the manifest may name
/// them.
fn times(chunks: &[Bytes]) -> Option<FragmentTimes> {
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
    Some(FragmentTimes { start_ns: info.start_ns, duration_ns: info.duration_ns, keyframe })
}

/// The worker: writes all waiting rows in one transaction.
async fn write_rows(
    db: Db,
    mut waiting: mpsc::Receiver<PendingFragment>,
    arrived: broadcast::Sender<Arc<HashSet<RecordingId>>>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        match write_batch(&db, &batch).await {
            Ok(outcomes) => {
                let recordings = batch.iter().map(|pending| pending.fragment.recording.clone());
                let recordings = Arc::new(recordings.collect());
                for (PendingFragment { answer, .. }, outcome) in batch.drain(..).zip(outcomes) {
                    // A recorder that is gone will ask again.
                    let _ = answer.send(Ok(outcome));
                }
                let _ = arrived.send(recordings);
            }
            Err(error) => {
                let error = Arc::new(error);
                for PendingFragment { answer, .. } in batch.drain(..) {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}

async fn write_batch(db: &Db, batch: &[PendingFragment]) -> Result<Vec<FragmentOutcome>> {
    let mut write = db.write().await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for PendingFragment { fragment, .. } in batch {
        outcomes.push(write.add_fragment(fragment).await?);
    }
    write.commit().await?;
    Ok(outcomes)
}

/// Stores a recording's agent, place, times and interactions, from its manifest and its `about`.
async fn describe(
    write: &mut Write,
    recording: &RecordingId,
    manifest: Option<&Manifest>,
    about: Option<&str>,
) -> Result<()> {
    let about: About = about.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let agent = about.agent.as_ref().or(manifest.and_then(|manifest| manifest.agent.as_ref()));
    let place = about.place.as_ref().or(manifest.and_then(|manifest| manifest.place.as_ref()));
    let zero = manifest.and_then(Manifest::zero_ms);
    let end = manifest
        .zip(zero)
        .and_then(|(manifest, zero)| Some(zero + i64::try_from(manifest.end_ns() / 1_000_000).ok()?));
    // An `about` with an end says that nothing more is captured.
    let over = about.to.as_deref().and_then(time::parse);
    write.describe(recording, agent, place, (zero, end, over)).await?;
    write.apply_about(recording, &about).await
}
