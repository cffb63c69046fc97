//! The disk operations of the outbox and its account, as a trait: tests replace them by a file system that
//! loses unsynced data and can fail at every step.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::disk::{Disk, names, sync_parent};
use crate::{Error, RecordingDir};

/// Whether a call returns only when its bytes would outlive a power loss. They always outlive a killed
/// process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// They do with the next durable append to the same file; until then the system writes when it likes.
    Later,
    Now,
}

pub(crate) trait Files: Send {
    /// Reads a file. Returns `None` if it does not exist.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error>;

    /// Names in a folder, sorted; empty if the folder does not exist.
    fn names(&self, folder: &Path) -> Result<Vec<String>, Error>;

    /// Returns whether a living process owns the recording in this folder.
    fn is_owned(&self, folder: &Path) -> bool;

    /// Appends to a file, and creates it if need be. After an error any part of the bytes may be there.
    fn append(&self, path: &Path, bytes: &[u8], durable: Durability) -> Result<(), Error>;

    /// Cuts a file to its first `length` bytes, durably. A missing file is short enough.
    fn cut(&self, path: &Path, length: u64) -> Result<(), Error>;

    /// Replaces a file, durably: after a crash at any moment, the old one or the new one is there.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error>;

    /// Renames a file or folder; durable when it returns.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error>;

    /// Removes a folder and everything in it, file by file. A repeated call continues after an interruption.
    fn remove_tree(&self, folder: &Path) -> Result<(), Error>;
}

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            read => read.map(Some).map_err(Error::io("read", path)),
        }
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, Error> {
        Ok(names(folder)?.unwrap_or_default())
    }

    fn is_owned(&self, folder: &Path) -> bool {
        matches!(RecordingDir::open(folder), Err(Error::Busy { .. }))
    }

    fn append(&self, path: &Path, bytes: &[u8], durable: Durability) -> Result<(), Error> {
        let is_new = !path.exists();
        let open = OpenOptions::new().append(true).create(true).open(path);
        let mut file = open.map_err(Error::io("open", path))?;
        file.write_all(bytes).map_err(Error::io("write", path))?;
        if durable == Durability::Now {
            file.sync_data().map_err(Error::io("sync", path))?;
        }
        if is_new { sync_parent(path) } else { Ok(()) }
    }

    fn cut(&self, path: &Path, length: u64) -> Result<(), Error> {
        let file = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            file => file.map_err(Error::io("open", path))?,
        };
        file.set_len(length).and_then(|()| file.sync_all()).map_err(Error::io("cut", path))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.write_atomic(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.rename(from, to)
    }

    fn remove_tree(&self, folder: &Path) -> Result<(), Error> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(Error::io("remove", folder)),
        }
    }
}
