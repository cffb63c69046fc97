//! Errors of the server itself, each with its fault.

use std::error::Error as _;
use std::io;

use deskreel_model::Fault;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot use the index of `[server] database`")]
    Database(#[from] sqlx::Error),
    #[error("cannot migrate the index of `[server] database` to this version")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("cannot use the store of `[server] storage`")]
    Store(#[from] object_store::Error),
    #[error("`{url}` is not a storage URL: {why}")]
    StoreUrl { url: String, why: String },
    #[error("`{url}` is not a database URL: {why}")]
    DatabaseUrl { url: String, why: &'static str },
    #[error("cannot read {what}")]
    Read { what: String, source: io::Error },
    #[error("cannot listen on {address}, the address of `[server] listen`")]
    Listen { address: String, source: io::Error },
    #[error("unexpected state: {0}")]
    Corrupt(String),
    /// The failure of a transaction that several uploads shared, and whether the disk was full.
    #[error("cannot write to the index: {0}")]
    Batch(String, bool),
    #[error("cannot use the plugin `{plugin}`: {reason}")]
    Plugin { plugin: String, reason: String },
    #[error("the server is shutting down")]
    GoingDown,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error and its causes on one line. A cause that the text already contains is left out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    for cause in causes.map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.replace('\n', " ")
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Error::StoreUrl { .. } | Error::DatabaseUrl { .. } | Error::Read { .. } => Fault::Config,
            Error::Listen { .. } => Fault::Network,
            Error::Store(_) => Fault::Disk,
            Error::Plugin { .. } => Fault::Plugin,
            Error::Database(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut) => {
                Fault::Network
            }
            Error::Database(_) | Error::Migration(_) | Error::Batch(..) => Fault::Disk,
            Error::Corrupt(_) | Error::GoingDown => Fault::Bug,
        }
    }

    /// Returns whether a retry is worth it: the index could not be reached, or ended one of two transactions
    /// in a deadlock.
    pub fn is_temporary(&self) -> bool {
        match self {
            Error::Database(sqlx::Error::Database(error)) => {
                // PostgreSQL: serialization_failure, deadlock_detected, and 57P01 to 57P03 while it stops and
                // starts. SQLite: 5 is SQLITE_BUSY, another process writes.
                error.code().is_some_and(|code| {
                    ["40001", "40P01", "57P01", "57P02", "57P03", "5"].contains(&code.as_ref())
                })
            }
            Error::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
            _ => false,
        }
    }

    /// Returns whether an object that the index names is not in the store.
    pub fn is_lost(&self) -> bool {
        matches!(self, Error::Store(object_store::Error::NotFound { .. }))
    }

    /// Returns whether the disk of the store or of the index is full.
    pub fn is_full(&self) -> bool {
        if let Error::Batch(_, full) = self {
            return *full;
        }
        if let Error::Database(sqlx::Error::Database(error)) = self {
            // SQLITE_FULL, and disk_full of PostgreSQL.
            return error.code().is_some_and(|code| code == "13" || code == "53100");
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}
