//! Locks on folders. A lock ends with its process, however that ends, and leaves no file.

use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// A locked folder, until this is dropped or the process ends.
#[derive(Debug)]
pub struct FolderLock {
    _native: native::Lock,
}

/// Locks a folder, or fails with `WouldBlock` if another owner has it.
pub fn try_lock_folder(folder: &Path) -> io::Result<FolderLock> {
    native::try_lock(folder).map(|lock| FolderLock { _native: lock })
}

/// Waits until the folder can be locked.
pub fn lock_folder(folder: &Path) -> io::Result<FolderLock> {
    native::lock(folder).map(|lock| FolderLock { _native: lock })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = try_lock_folder(folder.path()).unwrap();
        let busy = try_lock_folder(folder.path()).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::WouldBlock);
        drop(lock);
        assert!(try_lock_folder(folder.path()).is_ok());
    }
}
