//! Limits of finished files: a number at once, fewer per recorder, so that they cannot use up the resources
//! of fragments. A file is received through two buffers of 5 MiB, whatever its size. Cutting it takes 64 MiB
//! and the memory of its tables.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use deskreel_model::RecordingId;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};
use crate::names::RecorderId;

/// Files at once: 160 MiB of memory.
const FILES: usize = 16;
/// Files at once of one recorder: one is sent while the other is cut.
const PER_RECORDER: usize = 2;
/// Files that are cut at once. The store and the index, which all share, are the slow part.
const CUT: usize = 2;

type PendingFiles = Arc<Mutex<HashMap<RecordingId, PendingFile>>>;

pub struct FileUploads {
    pending: PendingFiles,
    cut: Semaphore,
}

struct PendingFile {
    recorder: RecorderId,
    /// Bytes.
    length: u64,
}

/// Why a file has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Another file of the same recording is pending.
    Recording,
    /// The recorder has its number of pending files.
    Recorder,
    /// The server has its number of pending files.
    Server,
}

/// The place of one pending file; freed when this is dropped.
pub struct FileSlot {
    pending: PendingFiles,
    recording: RecordingId,
    /// Bytes of all pending files of this recorder, this one included.
    pub recorder_bytes: u64,
}

impl FileUploads {
    pub fn new() -> FileUploads {
        FileUploads { pending: Arc::default(), cut: Semaphore::new(CUT) }
    }

    pub fn begin(
        &self,
        recorder: &RecorderId,
        recording: &RecordingId,
        length: u64,
    ) -> Result<FileSlot, Busy> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if pending.contains_key(recording) {
            return Err(Busy::Recording);
        }
        let own: Vec<u64> =
            pending.values().filter(|one| one.recorder == *recorder).map(|one| one.length).collect();
        if own.len() >= PER_RECORDER {
            return Err(Busy::Recorder);
        }
        if pending.len() >= FILES {
            return Err(Busy::Server);
        }
        pending.insert(recording.clone(), PendingFile { recorder: recorder.clone(), length });
        let recorder_bytes = own.into_iter().fold(length, u64::saturating_add);
        Ok(FileSlot { pending: self.pending.clone(), recording: recording.clone(), recorder_bytes })
    }

    /// Waits for the turn to cut a file.
    pub async fn cut_turn(&self) -> Result<SemaphorePermit<'_>> {
        self.cut.acquire().await.map_err(|_| Error::GoingDown)
    }
}

impl Drop for FileSlot {
    fn drop(&mut self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.recording);
    }
}
