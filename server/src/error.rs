//! What can go wrong in the server itself, with whose fault it is.

use std::error::Error as _;
use std::io;

use deskreel_model::Fault;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the index cannot be used")]
    Database(#[from] sqlx::Error),
    #[error("the index cannot be brought to this version")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("the store cannot be used")]
    Store(#[from] object_store::Error),
    #[error("`{url}` is not a place to store in: {why}")]
    StoreUrl { url: String, why: String },
    #[error("`{url}` is not a database: {why}")]
    DatabaseUrl { url: String, why: &'static str },
    #[error("{what} cannot be read")]
    Read { what: String, source: io::Error },
    #[error("the server cannot listen on {address}")]
    Listen { address: String, source: io::Error },
    #[error("the index holds what it should not: {0}")]
    Corrupt(String),
    /// Of a transaction that several waited for; whether there was no room.
    #[error("the index cannot be written: {0}")]
    Batch(String, bool),
    #[error("the plugin `{plugin}` cannot be used: {reason}")]
    Plugin { plugin: String, reason: String },
    #[error("the server is going down")]
    GoingDown,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// With its causes, on one line; a cause that is part of the text before it is not said again.
pub fn told(error: &dyn std::error::Error) -> String {
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

    /// Whether to ask the index again is worth it: it could not be reached, or ended one of two transactions that waited for each
    /// other.
    pub fn passes(&self) -> bool {
        match self {
            Error::Database(sqlx::Error::Database(error)) => {
                // PostgreSQL: serialization_failure, deadlock_detected, and what it says while it stops and starts (57P01 to 57P03).
                // SQLITE_BUSY: another process writes.
                error.code().is_some_and(|code| {
                    ["40001", "40P01", "57P01", "57P02", "57P03", "5"].contains(&code.as_ref())
                })
            }
            Error::Database(sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut) => true,
            _ => false,
        }
    }

    /// Whether there is no room, where files or the index are kept.
    pub fn is_full(&self) -> bool {
        if let Error::Batch(_, full) = self {
            return *full;
        }
        if let Error::Database(sqlx::Error::Database(error)) = self {
            // SQLITE_FULL, and PostgreSQL's disk_full.
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
