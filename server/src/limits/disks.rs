//! The room that uploads leave on the disks of storage and index. Rows still fit when footage is refused: on
//! a full disk people can log in, delete and change retention rules.

use std::path::{Path, PathBuf};

use deskreel_pipeline::Server;
use deskreel_platform::system;

/// The folders on this machine; a bucket and PostgreSQL take care of themselves.
#[derive(Debug, Clone)]
pub struct Disks {
    folders: Vec<(&'static str, PathBuf)>,
    min_free: u64,
}

/// A disk with too little room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the disk of the {disk} has {} MB left, and `[server] min_free` keeps {} MB", .free / 1_000_000, .min_free / 1_000_000)]
pub struct Full {
    disk: &'static str,
    free: u64,
    min_free: u64,
}

impl Disks {
    pub fn of(server: &Server) -> Disks {
        let storage = server.storage.strip_prefix("file://").map(PathBuf::from);
        let index = server.database.strip_prefix("sqlite://");
        let index = index.and_then(|file| Path::new(file).parent()).map(Path::to_owned);
        let folders = [("storage", storage), ("index", index)];
        let folders = folders.into_iter().filter_map(|(disk, folder)| Some((disk, folder?))).collect();
        Disks { folders, min_free: server.min_free }
    }

    /// Fails if footage must not take more of a disk. If the free space cannot be read, uploads run into a
    /// full disk themselves.
    pub fn check(&self) -> Result<(), Full> {
        let min_free = self.min_free;
        for (disk, folder) in &self.folders {
            let free = system::free_bytes(folder).unwrap_or(u64::MAX);
            if free < min_free {
                return Err(Full { disk, free, min_free });
            }
        }
        Ok(())
    }
}
