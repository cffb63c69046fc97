//! Files with secrets, which only their owner may read, and files beside them, which only their owner may
//! change.

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// Returns whether other users than the owner can read this open file.
pub fn others_can_read(file: &File) -> io::Result<bool> {
    native::others_can_read(file)
}

/// The command that makes a file private, for messages.
pub fn make_private_command(path: &Path) -> String {
    native::make_private_command(path)
}

/// The command that gives a file, and those beside it whose names begin with its own, to the owner of its
/// folder; `None` if they belong to that owner.
pub fn give_to_folder_owner_command(file: &Path) -> io::Result<Option<String>> {
    native::give_to_folder_owner_command(file)
}

/// Makes a folder, and those above it, whose names only the owner can change.
pub fn create_folder(path: &Path) -> io::Result<()> {
    native::create_folder(path)
}

/// Makes a file that everybody can read and only its owner can change. Fails if it exists.
pub fn create_public_file(path: &Path) -> io::Result<File> {
    native::create_public_file(path)
}

/// Makes a file that only its owner can read. Fails if it exists.
pub fn create_private_file(path: &Path) -> io::Result<File> {
    native::create_private_file(path)
}
