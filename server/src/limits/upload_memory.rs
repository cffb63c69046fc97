//! Memory for the bodies of uploads. Requests wait for their part; no recorder can keep the others waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deskreel_pipeline::Server;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::names::RecorderId;

/// Bytes of uploads that may be in memory at once.
const UPLOADS: u64 = 256 << 20;
/// Bytes of one permit.
const UNIT: u64 = 64 << 10;
/// Permits that one recorder may have: a quarter. A single body may have more.
const RECORDER_SHARE: u32 = (UPLOADS / UNIT / 4) as u32;

pub struct UploadMemory {
    permits: Arc<Semaphore>,
    shares: RecorderShares,
    largest_upload: u64,
    patience: Duration,
}

/// Memory of one body; returned when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    _permit: OwnedSemaphorePermit,
    _share: RecorderShare,
}

/// Why a body gets no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMemory {
    /// The recorder has its share.
    RecorderShare,
    /// Other uploads did not end in time.
    AllTaken,
    GoingDown,
}

impl UploadMemory {
    pub fn new(server: &Server) -> UploadMemory {
        let permits = usize::try_from(UPLOADS.max(server.largest_upload) / UNIT).unwrap_or(usize::MAX);
        UploadMemory {
            permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            shares: RecorderShares::default(),
            largest_upload: server.largest_upload,
            patience: server.body_patience,
        }
    }

    /// Waits for memory for a recorder's body of `length` bytes.
    pub async fn reserve(&self, recorder: &RecorderId, length: u64) -> Result<Reservation, NoMemory> {
        let permits = length.min(self.largest_upload) / UNIT;
        let permits = u32::try_from(permits).unwrap_or(u32::MAX).max(1);
        let share = self.shares.take(recorder, permits).ok_or(NoMemory::RecorderShare)?;
        // Each of the earlier bodies may be as slow as the limit allows.
        let permit = timeout(self.patience, self.permits.clone().acquire_many_owned(permits));
        let permit = permit.await.map_err(|_| NoMemory::AllTaken)?;
        Ok(Reservation { _permit: permit.map_err(|_| NoMemory::GoingDown)?, _share: share })
    }
}

/// Permits taken, by recorder.
#[derive(Debug, Clone, Default)]
struct RecorderShares(Arc<Mutex<HashMap<RecorderId, u32>>>);

/// The part of a recorder's share that one body has.
#[derive(Debug)]
struct RecorderShare {
    shares: RecorderShares,
    recorder: RecorderId,
    permits: u32,
}

impl RecorderShares {
    fn take(&self, recorder: &RecorderId, permits: u32) -> Option<RecorderShare> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(recorder).copied().unwrap_or(0);
        if own > 0 && own.saturating_add(permits) > RECORDER_SHARE {
            return None;
        }
        taken.insert(recorder.clone(), own.saturating_add(permits));
        Some(RecorderShare { shares: self.clone(), recorder: recorder.clone(), permits })
    }
}

impl Drop for RecorderShare {
    fn drop(&mut self) {
        let mut taken = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&self.recorder).map_or(0, |own| own - self.permits);
        match own {
            0 => drop(taken.remove(&self.recorder)),
            own => drop(taken.insert(self.recorder.clone(), own)),
        }
    }
}
