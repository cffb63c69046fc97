//! What the outbox and its account do on disk, behind a trait: tests put a file system in its place that loses what
//! was not synced and can fail at every step.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::disk::{Disk, names, sync_parent};
use crate::{Error, RecordingDir};

/// Whether a call returns only when its bytes outlive a power loss. They outlive a killed process anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// As soon as the next durable append to the same file; meanwhile the system writes when it likes.
    Later,
    Now,
}

pub(crate) trait Files: Send {
    /// None if it is not there.
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, Error>;

    /// Names in a folder, sorted; none if there is no folder.
    fn names(&self, folder: &Path) -> Result<Vec<String>, Error>;

    /// Whether a living process owns the recording in this folder.
    fn is_owned(&self, folder: &Path) -> bool;

    /// Adds to the end of a file and makes it if need be. After an error any part of the bytes may be there.
    fn append(&self, path: &Path, bytes: &[u8], durable: Durable) -> Result<(), Error>;

    /// Cuts a file to its first bytes, durably. One that is not there is short enough.
    fn cut(&self, path: &Path, length: u64) -> Result<(), Error>;

    /// Puts a file in place of another, durably: the old one or the new one is there, whenever it crashes.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error>;

    /// Durable when it returns.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), Error>;

    /// Removes a folder with all that is in it, file by file; done again, it goes on where it was stopped.
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

    fn append(&self, path: &Path, bytes: &[u8], durable: Durable) -> Result<(), Error> {
        let is_new = !path.exists();
        let open = OpenOptions::new().append(true).create(true).open(path);
        let mut file = open.map_err(Error::io("open", path))?;
        file.write_all(bytes).map_err(Error::io("write", path))?;
        if durable == Durable::Now {
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

/// Takes a folder for this process until the file is dropped, as a recording's is taken.
pub(crate) fn own(folder: &Path) -> Result<File, Error> {
    let file = File::open(folder).map_err(Error::io("open", folder))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Busy { path: folder.to_owned() }),
        Err(error) => Err(Error::io("lock", folder)(error.into())),
    }
}
