//! The errors of the spool, and whose fault they are.

use std::io;
use std::path::{Path, PathBuf};

use deskreel_model::{Fault, RecordingId};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `doing` completes "cannot ... <path>".
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} already exists", path.display())]
    Exists { path: PathBuf },
    #[error("{} belongs to a running recorder", path.display())]
    Busy { path: PathBuf },
    #[error("{} is not a manifest", path.display())]
    Manifest { path: PathBuf, source: serde_json::Error },
    #[error("{} has schema {found}; this program reads schema {expected}", path.display())]
    Schema { path: PathBuf, found: u32, expected: u32 },
    #[error("{} is not sealed", path.display())]
    Unsealed { path: PathBuf },
    #[error("the recording {recording} is not in the outbox")]
    Unknown { recording: RecordingId },
    #[error("{} cannot be written as a fragment", path.display())]
    Media { path: PathBuf, source: deskreel_fmp4::Error },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { doing, path: path.to_owned(), source }
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub fn fault(&self) -> Fault {
        match self {
            Error::Io { .. } | Error::Manifest { .. } | Error::Media { .. } => Fault::Disk,
            Error::Unsealed { .. } | Error::Unknown { .. } => Fault::Bug,
            Error::Exists { .. } | Error::Busy { .. } | Error::Schema { .. } => Fault::Config,
        }
    }
}
