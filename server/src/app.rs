//! What every request has at hand.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::Problem;
use crate::config::Config;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ingest::Ingest;
use crate::store::Store;

/// Bytes of uploads that are in memory at one time; who comes later waits.
const UPLOADS: u64 = 256 << 20;
/// One permit is so many bytes.
const UNIT: u64 = 64 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

pub struct Shared {
    pub config: Config,
    pub db: Db,
    pub store: Store,
    pub ingest: Ingest,
    uploads: Arc<Semaphore>,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    pub async fn open(config: Config) -> Result<App> {
        let db = Db::open(&config.server.database).await?;
        let store = Store::open(&config.server.storage)?;
        let ingest = Ingest::start(db.clone(), store.clone());
        let permits = usize::try_from(UPLOADS.max(config.server.largest_upload) / UNIT).unwrap_or(usize::MAX);
        let uploads = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Ok(App(Arc::new(Shared { config, db, store, ingest, uploads })))
    }

    /// Room in memory for a body of so many bytes; given back when it is dropped.
    pub async fn room(&self, length: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let permits = length.min(self.config.server.largest_upload) / UNIT;
        let permits = u32::try_from(permits).unwrap_or(u32::MAX).max(1);
        let permit = self.uploads.clone().acquire_many_owned(permits).await;
        permit.map_err(|_| Error::GoingDown.into())
    }
}
