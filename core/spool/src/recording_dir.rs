//! The folder of a recording, its owner, and the manifest in it.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use deskreel_model::layout;
use deskreel_model::manifest::MANIFEST_SCHEMA;
use deskreel_model::{Manifest, RecordingId, manifest::FileRef};
use deskreel_platform::locks::{self, FolderLock};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::disk::{Disk, sync_parent};

/// A recording that this process owns until this value is dropped or the process ends.
#[derive(Debug)]
pub struct RecordingDir {
    path: PathBuf,
    _lock: FolderLock,
}

impl RecordingDir {
    /// Creates the folder of a new recording in `directory`, and owns it. The recording is safe on disk once
    /// [`publish`](Self::publish) has returned. After an earlier crash, recovery makes a recording of the
    /// fragments.
    pub fn create(directory: &Path, recording: &RecordingId) -> Result<RecordingDir, Error> {
        let path = directory.join(recording.as_str());
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        fs::create_dir(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Exists { path: path.clone() },
            _ => Error::io("create", &path)(source),
        })?;
        // A recovery that runs right now may have locked the empty folder; it leaves it alone and unlocks it
        // at once.
        let lock = locks::lock_folder(&path).map_err(Error::io("lock", &path))?;
        Ok(RecordingDir { path, _lock: lock })
    }

    /// Saves the first manifest.
    pub fn publish(&self, manifest: &Manifest) -> Result<(), Error> {
        sync_parent(&self.path)?;
        self.save(manifest)
    }

    /// Takes ownership of a recording that has no owner.
    pub fn open(path: &Path) -> Result<RecordingDir, Error> {
        Ok(RecordingDir { path: path.to_owned(), _lock: own(path)? })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn load(&self) -> Result<Manifest, Error> {
        load(&self.path)
    }

    /// Replaces the manifest, atomically and synced.
    pub fn save(&self, manifest: &Manifest) -> Result<(), Error> {
        self.save_with(&Disk::new(), manifest)
    }

    pub(crate) fn save_with(&self, disk: &Disk, manifest: &Manifest) -> Result<(), Error> {
        let path = self.path.join(layout::MANIFEST);
        let bytes = serde_json::to_vec_pretty(manifest)
            .map_err(|source| Error::Manifest { path: path.clone(), source })?;
        disk.write_atomic(&path, &bytes)
    }
}

/// Locks a folder for this process until the lock is dropped.
pub(crate) fn own(folder: &Path) -> Result<FolderLock, Error> {
    locks::try_lock_folder(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Busy { path: folder.to_owned() },
        _ => Error::io("lock", folder)(error),
    })
}

/// Reads a recording's manifest, without owning the recording.
pub fn load(recording_dir: &Path) -> Result<Manifest, Error> {
    let path = recording_dir.join(layout::MANIFEST);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    parse(&path, &bytes)
}

pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Manifest, Error> {
    let path = path.to_owned();
    let wrong = |source| Error::Manifest { path: path.clone(), source };
    // The schema is read first: in a later one, everything else may have another shape.
    let Schema { schema } = serde_json::from_slice(bytes).map_err(wrong)?;
    match schema {
        MANIFEST_SCHEMA => serde_json::from_slice(bytes).map_err(wrong),
        found => Err(Error::Schema { path, found, expected: MANIFEST_SCHEMA }),
    }
}

#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

/// The SHA-256 as in the manifest: lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

pub(crate) fn file_ref(file: String, bytes: &[u8]) -> FileRef {
    FileRef { file, size: bytes.len() as u64, sha256: sha256_hex(bytes) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::load;

    #[test]
    fn a_manifest_of_a_later_schema_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = r#"{ "schema": 2, "tracks": "told elsewhere" }"#;
        fs::write(folder.path().join("manifest.json"), manifest).unwrap();
        let sentence = load(folder.path()).unwrap_err().to_string();
        assert!(sentence.ends_with("has schema 2; this program reads schema 1"), "{sentence}");
    }
}
