//! Durability of names: a new or renamed file outlives a power loss only once its folder is on disk.

use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// Brings the names in a folder to disk. The contents of its files are synced by their own `File::sync_all`.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    native::sync_folder(folder)
}
