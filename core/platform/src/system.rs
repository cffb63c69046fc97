//! Facts and limits of this machine: its name, its disks, its open files.

use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// The machine's name in the network.
pub fn host_name() -> String {
    native::host_name()
}

/// Bytes that this user may still write to the disk of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    native::free_bytes(folder)
}

/// Raises the number of files that this process may open as far as the system allows, at most to `wanted` if
/// the system sets no limit. Returns the number, or `None` if the system states none.
pub fn raise_open_files(wanted: u64) -> Option<u64> {
    native::raise_open_files(wanted)
}
