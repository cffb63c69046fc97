//! The state that every request shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use deskreel_model::RecordingId;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Config;
use crate::control::{self, Control};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::health::HealthReport;
use crate::ingest::Ingest;
use crate::limits::disks::Disks;
use crate::limits::files::FileUploads;
use crate::limits::logins::LoginAttempts;
use crate::limits::upload_memory::UploadMemory;
use crate::metrics::Metrics;
use crate::names::PersonName;
use crate::people::Person;
use crate::store::Store;
use crate::time::now_ms;

/// Time after which a repeated look at the same thing is written to the audit log again.
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
    pub health: HealthReport,
    pub disks: Disks,
    pub file_uploads: FileUploads,
    pub upload_memory: UploadMemory,
    pub login_attempts: LoginAttempts,
    /// Two passwords are checked at once: each check takes 19 MiB of memory.
    password_checks: Semaphore,
    /// Two exports are laid out at once: the tables of a day of footage are tens of megabytes.
    exports: Semaphore,
    /// The mapping is redone once at a time.
    redo_turn: Semaphore,
    /// Looks by person and subject, with the time of the last entry in the audit log.
    looks: Mutex<HashMap<(PersonName, String), i64>>,
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
        let shared = Shared {
            upload_memory: UploadMemory::new(&config.graph.server),
            disks: Disks::of(&config.graph.server),
            health: HealthReport::new(),
            config,
            db,
            store,
            ingest,
            control,
            metrics: Metrics::new(),
            file_uploads: FileUploads::new(),
            login_attempts: LoginAttempts::default(),
            password_checks: Semaphore::new(2),
            exports: Semaphore::new(2),
            redo_turn: Semaphore::new(1),
            looks: Mutex::default(),
        };
        Ok(App(Arc::new(shared)))
    }

    /// Waits for the turn to lay out an export, which lasts until the permit is dropped.
    pub async fn export_turn(&self) -> Result<SemaphorePermit<'_>> {
        self.exports.acquire().await.map_err(|_| Error::GoingDown)
    }

    /// Waits for the turn to redo the mapping.
    pub async fn redo_turn(&self) -> Result<SemaphorePermit<'_>> {
        self.redo_turn.acquire().await.map_err(|_| Error::GoingDown)
    }

    /// Waits for the turn to check a password.
    pub async fn password_turn(&self) -> Result<SemaphorePermit<'_>> {
        self.password_checks.acquire().await.map_err(|_| Error::GoingDown)
    }

    pub async fn add_user(&self, person: &Person, password: &str) -> Result<bool> {
        let _turn = self.password_turn().await?;
        self.db.add_user(person, password).await
    }

    pub async fn metrics(&self) -> Result<String> {
        self.metrics.set_problems(&self.health.problems(Instant::now()));
        let counts = self.db.counts().await?;
        self.metrics.recordings_open.set(counts.open);
        self.metrics.recordings_closed.set(counts.closed);
        self.metrics.footage_bytes.set(counts.bytes);
        self.metrics.recorders_connected.set(counts.connected);
        let (names, events) = self.db.unresolved_counts().await?;
        self.metrics.unresolved_names.set(names);
        self.metrics.unresolved_events.set(events);
        Ok(self.metrics.text())
    }

    /// Writes to the audit log that a person looks at something, once in ten minutes of looking.
    pub async fn audit_look(&self, person: &Person, what: &str, subject: &str) -> Result<()> {
        let (key, now) = ((person.name.clone(), format!("{what} {subject}")), now_ms());
        {
            let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
            looks.retain(|_, last| now - *last < LOOK_MS);
            if looks.contains_key(&key) {
                return Ok(());
            }
        }
        self.db.audit(person.name.as_str(), what, subject, None).await?;
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
        Ok(())
    }

    /// Deletes the objects of a recording that is deleted in the index.
    pub async fn purge(&self, recording: &RecordingId) -> Result<()> {
        self.store.delete(recording).await?;
        self.db.forget_fragments(recording).await
    }
}
