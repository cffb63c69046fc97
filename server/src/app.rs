//! What every request has at hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::api::{Brake, Person, Problem};
use crate::config::Config;
use crate::control::{self, Control};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::finished::Files;
use crate::ingest::Ingest;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::time::now_ms;

/// Bytes of uploads that are in memory at one time; who comes later waits.
const UPLOADS: u64 = 256 << 20;
/// One permit is so many bytes.
const UNIT: u64 = 64 << 10;
/// Permits that one recorder may have, unless it is for one body: a quarter, so that nobody keeps the others waiting.
const SHARE: u32 = (UPLOADS / UNIT / 4) as u32;
const LOOK_MS: i64 = 10 * 60 * 1000;

/// Of one body, as long as it is in memory.
#[derive(Debug)]
pub struct Room {
    _permit: OwnedSemaphorePermit,
    _share: Share,
}

/// Permits by recorder.
#[derive(Debug, Clone, Default)]
struct Shares(Arc<Mutex<HashMap<String, u32>>>);

/// What one body takes of its recorder's.
#[derive(Debug)]
struct Share {
    shares: Shares,
    recorder: String,
    permits: u32,
}

impl Shares {
    fn take(&self, recorder: &str, permits: u32) -> Option<Share> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(recorder).copied().unwrap_or(0);
        if own > 0 && own.saturating_add(permits) > SHARE {
            return None;
        }
        taken.insert(recorder.to_owned(), own.saturating_add(permits));
        Some(Share { shares: self.clone(), recorder: recorder.to_owned(), permits })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&self.recorder).map_or(0, |own| own - self.permits);
        match own {
            0 => drop(taken.remove(&self.recorder)),
            own => drop(taken.insert(self.recorder.clone(), own)),
        }
    }
}

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
    pub files: Files,
    uploads: Arc<Semaphore>,
    shares: Shares,
    pub brake: Brake,
    /// Passwords are judged one or two at a time: each takes 19 MiB, and nobody is to run the server out of them.
    judges: Semaphore,
    /// Exports are laid out two at a time: the tables of a day of footage are tens of megabytes.
    exports: Semaphore,
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
        let db = Db::open(&config.graph.server.database).await?;
        let store = Store::open(&config.graph.server.storage).await?;
        let ingest = Ingest::start(db.clone(), store.clone());
        let control = control::start(&config, &db).await?;
        let permits =
            usize::try_from(UPLOADS.max(config.graph.server.largest_upload) / UNIT).unwrap_or(usize::MAX);
        let uploads = Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        let shared = Shared {
            config,
            db,
            store,
            ingest,
            control,
            metrics: Metrics::new(),
            files: Files::new(),
            uploads,
            shares: Shares::default(),
            brake: Brake::default(),
            judges: Semaphore::new(2),
            exports: Semaphore::new(2),
            looks: Mutex::default(),
        };
        Ok(App(Arc::new(shared)))
    }

    /// Room in memory for a recorder's body of so many bytes; given back when it is dropped.
    pub async fn room(&self, recorder: &str, length: u64) -> Result<Room, Problem> {
        let permits = length.min(self.config.graph.server.largest_upload) / UNIT;
        let permits = u32::try_from(permits).unwrap_or(u32::MAX).max(1);
        let share = self.shares.take(recorder, permits).ok_or_else(|| {
            let title = "This recorder has too many uploads under way";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, title).retry_after(1)
        })?;
        // Those before it may be slow, each as slow as it may be.
        let permit =
            timeout(self.config.graph.server.body_patience, self.uploads.clone().acquire_many_owned(permits));
        let permit = permit.await.map_err(|_| {
            let title = "Other uploads take all the room in memory";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, title).retry_after(5)
        })?;
        Ok(Room { _permit: permit.map_err(|_| Error::GoingDown)?, _share: share })
    }

    /// A turn to lay out an export, kept until it is laid out.
    pub async fn exporting(&self) -> Result<SemaphorePermit<'_>> {
        self.exports.acquire().await.map_err(|_| Error::GoingDown)
    }

    /// A turn to judge a password.
    pub async fn judging(&self) -> Result<SemaphorePermit<'_>> {
        self.judges.acquire().await.map_err(|_| Error::GoingDown)
    }

    pub async fn add_user(&self, person: &Person, password: &str) -> Result<bool> {
        let _turn = self.judging().await?;
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
