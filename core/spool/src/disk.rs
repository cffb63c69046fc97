//! Everything that this crate changes on disk goes through here, one step at a time, so that a test can stop it at
//! each step as a crash would.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use deskreel_model::layout;

use crate::Error;

/// Writes a file that is either whole or not there: beside its place, synced, renamed, folder synced.
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

        self.step(&temp)?;
        let mut file = File::create(&temp).map_err(Error::io("create", &temp))?;
        let (early, late) = bytes.split_at(bytes.len() / 2);
        file.write_all(early).map_err(Error::io("write", &temp))?;
        self.step(&temp)?;
        file.write_all(late).map_err(Error::io("write", &temp))?;
        file.sync_all().map_err(Error::io("sync", &temp))?;
        self.rename(&temp, path)
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

/// A new name is safe only once the folder that holds it is.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent() else { return Ok(()) };
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", parent))
}

/// Names in a folder, sorted; those that are not UTF-8 cannot be ours and are left out. None if it is not there.
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
