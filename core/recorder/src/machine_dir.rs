//! The cache folder of this machine, whose content can be found out again, and the environment that points
//! worker processes to it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Start and end of the names of GStreamer's plugin indexes.
const INDEX: (&str, &str) = ("registry-", ".bin");

/// Returns and creates the cache folder: `DESKREEL_CACHE`, else `deskreel` in the user's cache folder. `None`
/// if neither exists: a folder that others can write to will not do, since GStreamer loads the files that its
/// index names.
pub fn folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DESKREEL_CACHE").or_else(deskreel_platform::folders::disposable)?;
    match fs::create_dir_all(&folder) {
        Ok(()) => Some(folder),
        Err(error) => {
            tracing::debug!(folder = %folder.display(), %error, "could not create the cache folder");
            None
        }
    }
}

/// Environment variables for every worker of this process.
///
/// GStreamer's index records which encoders a driver had when the index was made, and GStreamer does not
/// remake it for another driver or GPU. So each state of the machine has an index of its own. CUDA is set to
/// number GPUs by PCI address, as everything else does, and not by speed.
pub(crate) fn worker_environment() -> Vec<(&'static str, OsString)> {
    let folder = folder().filter(|_| std::env::var_os("GST_REGISTRY").is_none());
    let index = folder.map(|folder| element_index(&folder, &machine()));
    let order = Some(("CUDA_DEVICE_ORDER", OsString::from("PCI_BUS_ID")));
    order.into_iter().chain(index.map(|file| ("GST_REGISTRY", file.into_os_string()))).collect()
}

/// Fingerprint of the machine in its present state.
pub(crate) fn machine() -> String {
    deskreel_machine::fingerprint().id
}

/// Returns the index file for this state of the machine. If it does not exist yet, removes those of earlier
/// states.
fn element_index(folder: &Path, machine: &str) -> PathBuf {
    let file = folder.join(format!("{}{machine}{}", INDEX.0, INDEX.1));
    if !file.exists() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let is_index = |name: &str| name.starts_with(INDEX.0) && name.ends_with(INDEX.1);
        for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(is_index)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    file
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_index_of_an_earlier_driver_is_removed_when_another_is_needed() {
        let cache = tempfile::tempdir().unwrap();
        let old = element_index(cache.path(), "old");
        fs::write(&old, b"").unwrap();
        fs::write(cache.path().join("encoders.json"), b"{}").unwrap();
        assert_eq!(element_index(cache.path(), "old"), old);
        assert!(old.exists());
        assert_ne!(element_index(cache.path(), "new"), old);
        assert!(!old.exists());
        assert!(cache.path().join("encoders.json").exists());
    }
}
