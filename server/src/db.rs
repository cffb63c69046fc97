//! The index: SQLite in a file, or PostgreSQL, by the same queries.
//!
//! The queries use only what both have: `$1`, `ON CONFLICT` and the types TEXT and BIGINT. SQLite has one
//! writer at a time, so transactions that write queue here instead of failing there. Files read and write
//! rows; decisions are made elsewhere.

// Recorders and their uploads.
pub mod recorders;
pub mod recordings;
pub mod uploads;

// Events, and footage decided from them.
pub mod account;
pub mod events;
pub mod footage;
pub mod redo;
mod reused_ids;
mod segments;

// Data that people see and change.
pub mod annotations;
pub mod audit;
pub mod completeness;
pub mod deletion;
pub mod directory;
pub mod identities;
pub mod interactions;
pub mod people;
pub mod retention;
pub mod scope;

mod sql;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deskreel_platform::secrets;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, ConnectOptions, Executor, SqlSafeStr, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::{Error, Result};
use crate::time::now_ms;

/// Migrations, in order. A released one never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "foundation", include_str!("../migrations/0001_foundation.sql")),
    (2, "clocks", include_str!("../migrations/0002_clocks.sql")),
    (3, "files", include_str!("../migrations/0003_files.sql")),
    (4, "account", include_str!("../migrations/0004_account.sql")),
    (5, "live", include_str!("../migrations/0005_live.sql")),
    (6, "health", include_str!("../migrations/0006_health.sql")),
    (7, "identities", include_str!("../migrations/0007_identities.sql")),
];

/// Open connections. PostgreSQL accepts 100 by default.
const CONNECTIONS: u32 = 16;

#[derive(Clone)]
pub struct Db {
    pub pool: AnyPool,
    /// The queue of SQLite's writers; `None` with PostgreSQL.
    writer: Option<Arc<Mutex<()>>>,
}

/// A transaction that writes. Rolled back when it is dropped without `commit`.
pub struct Write {
    pub tx: Transaction<'static, Any>,
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Write {
    /// Returns once the transaction is durable.
    pub async fn commit(self) -> Result<()> {
        Ok(self.tx.commit().await?)
    }
}

impl Db {
    /// Opens the database, creates it if necessary, and brings it to this version.
    pub async fn open(url: &str) -> Result<Db> {
        sqlx::any::install_default_drivers();
        let sqlite = match url.split_once("://") {
            Some(("sqlite", path)) => Some(path),
            Some(("postgres" | "postgresql", _)) => None,
            _ => {
                let why = "it must begin with `sqlite://` or `postgres://`";
                return Err(Error::DatabaseUrl { url: url.to_owned(), why });
            }
        };
        if let Some(file) = sqlite {
            create_file(Path::new(file))?;
        }
        let full = if sqlite.is_some() { format!("{url}?mode=rwc") } else { url.to_owned() };
        let options: AnyConnectOptions = full.parse()?;
        let options = options.disable_statement_logging();
        let mut pool =
            AnyPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(Duration::from_secs(10));
        if sqlite.is_some() {
            // FULL: a transaction is on disk before it counts as committed, in WAL mode too.
            pool = pool.after_connect(|connection, _| {
                Box::pin(async move {
                    connection
                        .execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000")
                        .await?;
                    Ok(())
                })
            });
        }
        let pool = pool.connect_with(options).await?;
        let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect()).run(&pool).await?;
        if let Some(file) = sqlite {
            warn_of_other_owner(Path::new(file));
        }
        Ok(Db { pool, writer: sqlite.map(|_| Arc::default()) })
    }

    pub async fn write(&self) -> Result<Write> {
        let turn = match &self.writer {
            Some(writer) => Some(writer.clone().lock_owned().await),
            None => None,
        };
        let tx = match &turn {
            // Another process may write too, and a transaction that begins with a read could not go on to
            // write.
            Some(_) => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            None => self.pool.begin().await?,
        };
        Ok(Write { tx, _turn: turn })
    }

    pub async fn check(&self) -> Result<()> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Writes a row, as proof that rows can be written.
    pub async fn write_health(&self) -> Result<()> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO health (name, at) VALUES ('server', $1) ON CONFLICT (name) DO UPDATE SET at = EXCLUDED.at",
        )
        .bind(now_ms())
        .execute(&mut *write.tx)
        .await?;
        write.commit().await
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Creates the file of SQLite if it does not exist, readable by its owner alone: it contains password hashes
/// and customers' data. SQLite gives its other files the same mode.
fn create_file(file: &Path) -> Result<()> {
    let read = |source| Error::Read { what: file.display().to_string(), source };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(read)?;
    }
    match secrets::create_private_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(read(error)),
        _ => Ok(()),
    }
}

/// A command that root runs before the first start makes files that the service cannot write.
fn warn_of_other_owner(file: &Path) {
    if let Ok(Some(cure)) = secrets::give_to_folder_owner_command(file) {
        let index = file.display();
        tracing::warn!(%index, cure, "the index belongs to another user than its folder; the service cannot write it");
    }
}
