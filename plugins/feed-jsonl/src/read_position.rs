//! The position up to which a file was read, saved for a restart.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPosition {
    /// The device: with `inode`, it identifies the file; a rotated log is a new file with the old name.
    pub device: u64,
    pub inode: u64,
    /// Bytes of the complete lines that were read.
    pub offset: u64,
    pub line: u64,
}

impl ReadPosition {
    pub fn start_of(about: &Metadata) -> ReadPosition {
        ReadPosition { device: about.dev(), inode: about.ino(), offset: 0, line: 0 }
    }

    pub fn is_of(&self, about: &Metadata) -> bool {
        (self.device, self.inode) == (about.dev(), about.ino())
    }

    /// `None` if no position was saved.
    pub fn load(file: &Path) -> io::Result<Option<ReadPosition>> {
        let text = match fs::read(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        serde_json::from_slice(&text).map(Some).map_err(io::Error::other)
    }

    /// Writes a second file and renames it, so that a crash leaves the old position or the new one.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        let beside = file.with_added_extension("tmp");
        let mut new = File::create(&beside)?;
        new.write_all(&serde_json::to_vec(self)?)?;
        new.sync_all()?;
        fs::rename(beside, file)
    }
}
