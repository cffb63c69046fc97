//! Files of other recorders that are under way: so many at one time, and of each recorder fewer, so that they cannot take what
//! fragments need. A file comes through two buffers of five MiB, whatever its size, and is cut in 64 MiB and what its tables take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::{Error, Result};

/// At one time: 160 MiB of memory.
const FILES: usize = 16;
/// Of one recorder: one is sent while the other is cut.
const OF_ONE: usize = 2;
/// That are cut at one time. The store and the index are what is slow then, and all share them.
const CUT: usize = 2;

pub struct Files {
    /// By recording.
    under_way: Arc<Mutex<HashMap<String, UnderWay>>>,
    cut: Semaphore,
}

struct UnderWay {
    recorder: String,
    /// Bytes.
    length: u64,
}

/// Why a file has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// For the one before it under this name.
    Name,
    /// For others of the same recorder.
    Recorder,
    All,
}

/// Of one file, as long as it is under way.
pub struct Turn {
    under_way: Arc<Mutex<HashMap<String, UnderWay>>>,
    recording: String,
    /// Bytes of all files of this recorder that are under way, with this one.
    pub of_recorder: u64,
}

impl Files {
    pub fn new() -> Files {
        Files { under_way: Arc::default(), cut: Semaphore::new(CUT) }
    }

    pub fn begin(&self, recorder: &str, recording: &str, length: u64) -> Result<Turn, Busy> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.contains_key(recording) {
            return Err(Busy::Name);
        }
        let own: Vec<u64> =
            under_way.values().filter(|one| one.recorder == recorder).map(|one| one.length).collect();
        if own.len() >= OF_ONE {
            return Err(Busy::Recorder);
        }
        if under_way.len() >= FILES {
            return Err(Busy::All);
        }
        under_way.insert(recording.to_owned(), UnderWay { recorder: recorder.to_owned(), length });
        let of_recorder = own.into_iter().fold(length, u64::saturating_add);
        Ok(Turn { under_way: self.under_way.clone(), recording: recording.to_owned(), of_recorder })
    }

    /// Waits until it may be cut.
    pub async fn cut(&self) -> Result<SemaphorePermit<'_>> {
        self.cut.acquire().await.map_err(|_| Error::GoingDown)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.recording);
    }
}
