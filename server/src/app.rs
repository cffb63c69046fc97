//! What every request has at hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::{Brake, Person, Problem};
use crate::config::Config;
use crate::control::{self, Control};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::time::now_ms;

/// Bytes of uploads that are in memory at one time; who comes later waits.
const UPLOADS: u64 = 256 << 20;
/// One permit is so many bytes.
const UNIT: u64 = 64 << 10;
const LOOK_MS: i64 = 10 * 60 * 1000;

/// Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

pub struct Shared {
    pub config: Config,
    pub db: Db,
    pub store: Store,
    pub ingest: Ingest,
    pub control: Control,
    pub metrics: Metrics,
    uploads: Arc<Semaphore>,
    pub brake: Brake,
    /// Passwords are judged one or two at a time: each takes 19 MiB, and nobody is to run the server out of them.
    judges: Semaphore,
    /// Who looked at what, and when that was last written down.
    looks: Mutex<HashMap<(String, String), i64>>,
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
        let control = control::start(&config, &db).await?;
        let permits = usize::try_from(UPLOADS.max(config.server.largest_upload) / UNIT).unwrap_or(usize::MAX);
        let uploads = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let shared = Shared {
            config,
            db,
            store,
            ingest,
            control,
            metrics: Metrics::new(),
            uploads,
            brake: Brake::default(),
            judges: Semaphore::new(2),
            looks: Mutex::default(),
        };
        Ok(App(Arc::new(shared)))
    }

    /// Room in memory for a body of so many bytes; given back when it is dropped.
    pub async fn room(&self, length: u64) -> Result<OwnedSemaphorePermit, Problem> {
        let permits = length.min(self.config.server.largest_upload) / UNIT;
        let permits = u32::try_from(permits).unwrap_or(u32::MAX).max(1);
        let permit = self.uploads.clone().acquire_many_owned(permits).await;
        permit.map_err(|_| Error::GoingDown.into())
    }

    pub async fn log_in(&self, name: &str, password: &str) -> Result<Option<Person>> {
        let _turn = self.judges.acquire().await.map_err(|_| Error::GoingDown)?;
        self.db.log_in(name, password).await
    }

    pub async fn add_user(&self, person: &Person, password: &str) -> Result<bool> {
        let _turn = self.judges.acquire().await.map_err(|_| Error::GoingDown)?;
        self.db.add_user(person, password).await
    }

    pub async fn metrics(&self) -> Result<String> {
        let counts = self.db.counts().await?;
        self.metrics.recordings_open.set(counts.open);
        self.metrics.recordings_closed.set(counts.closed);
        self.metrics.footage_bytes.set(counts.bytes);
        self.metrics.recorders_connected.set(counts.connected);
        Ok(self.metrics.text())
    }

    /// Writes down that somebody looks, once in ten minutes of looking.
    pub async fn seen(&self, person: &Person, what: &str, subject: &str) -> Result<()> {
        let (key, now) = ((person.name.clone(), format!("{what} {subject}")), now_ms());
        {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            looks.retain(|_, last| now - *last < LOOK_MS);
            if looks.contains_key(&key) {
                return Ok(());
            }
        }
        self.db.audit(&person.name, what, subject, None).await?;
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
        Ok(())
    }

    /// The objects of a recording that the index says is deleted.
    pub async fn purge(&self, recording: &str) -> Result<()> {
        self.store.delete(recording).await?;
        self.db.forget_fragments(recording).await
    }
}
