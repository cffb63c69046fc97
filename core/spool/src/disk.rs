//! All changes on disk that recovery and the manifest make, one step at a time, so that a test can stop them
//! at each step as a crash would.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use deskreel_model::layout;

use crate::Error;

/// Writes a file that is either whole or missing: beside its place, synced, renamed, folder synced.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Disk::new().write_atomic(path, bytes)
}

pub(crate) struct Disk {
    #[cfg(test)]
    pub steps_until_crash: std::cell::Cell<Option<u32>>,
}

impl Disk {
    pub fn new() -> Disk {
        Disk {
            #[cfg(test)]
            steps_until_crash: std::cell::Cell::new(None),
        }
    }

    pub fn write_atomic(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let temp = path.with_added_extension(layout::UNFINISHED);
        let written = self.write_synced(&temp, bytes).and_then(|()| self.rename(&temp, path));
        if written.is_err() {
            // Half a file must not take up the room that is left. The first error is the one to return.
            let _ = self.remove_file(&temp);
        }
        written
    }

    fn write_synced(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        self.step(path)?;
        let mut file = File::create(path).map_err(Error::io("create", path))?;
        let (early, late) = bytes.split_at(bytes.len() / 2);
        file.write_all(early).map_err(Error::io("write", path))?;
        self.step(path)?;
        file.write_all(late).map_err(Error::io("write", path))?;
        file.sync_all().map_err(Error::io("sync", path))
    }

    pub fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        self.step(from)?;
        fs::rename(from, to).map_err(Error::io("rename", from))?;
        sync_parent(to)
    }

    pub fn remove_file(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        fs::remove_file(path).map_err(Error::io("remove", path))
    }

    pub fn remove_dir(&self, path: &Path) -> Result<(), Error> {
        self.step(path)?;
        fs::remove_dir(path).map_err(Error::io("remove", path))
    }

    #[cfg(not(test))]
    fn step(&self, _path: &Path) -> Result<(), Error> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self, path: &Path) -> Result<(), Error> {
        match self.steps_until_crash.get() {
            Some(0) => Err(Error::io("crash at", path)(std::io::Error::other("crash"))),
            Some(left) => {
                self.steps_until_crash.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// Syncs a path's folder: a new name is safe only after that.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    deskreel_platform::files::sync_folder(parent).map_err(Error::io("sync", parent))
}

/// Names in a folder, sorted. Names that are not UTF-8 cannot be ours and are left out. `None` if the folder
/// does not exist.
pub(crate) fn names(folder: &Path) -> Result<Option<Vec<String>>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(Error::io("list", folder))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", folder))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort();
    Ok(Some(names))
}

pub(crate) fn has_suffix(name: &str, suffix: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == suffix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::{names, write_atomic};

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"{}").is_err());
        assert_eq!(names(folder.path()).unwrap().unwrap(), ["manifest.json"]);
    }
}
