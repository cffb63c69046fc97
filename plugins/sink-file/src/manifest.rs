//! The part of a recording's `manifest.json` that an export needs (docs/recording-format.md).

use std::io;
use std::path::{Component, Path, PathBuf};

use deskreel_sdk::prelude::*;

use crate::files::{kind_of_reading, sha256_hex};

/// Follows a file's name in messages.
pub const OTHER_HASH: &str = "does not have the hash in the manifest";

#[derive(Debug, Deserialize)]
pub struct Recording {
    /// The recording's id.
    pub recording: String,
    pub pipeline: String,
    pub tracks: Vec<Track>,
}

#[derive(Debug, Deserialize)]
pub struct Track {
    pub name: String,
    pub parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
pub struct Part {
    pub init: File,
    pub fragments: Vec<File>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct File {
    pub file: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl Recording {
    pub fn load(directory: &Path) -> Result<Recording> {
        let path = directory.join("manifest.json");
        let text = std::fs::read(&path).map_err(|error| {
            PluginError::new(kind_of_reading(&error), format!("{}: {error}", path.display()))
        })?;
        serde_json::from_slice(&text)
            .map_err(|error| PluginError::failed(format!("{}: {error}", path.display())))
    }
}

impl File {
    /// The bytes, if they have the hash in the manifest.
    pub fn read(&self, directory: &Path) -> Result<Vec<u8>> {
        let bytes = std::fs::read(self.path(directory)?).map_err(|error| self.unreadable(&error))?;
        match sha256_hex(&bytes) == self.sha256 {
            true => Ok(bytes),
            false => Err(self.wrong(OTHER_HASH)),
        }
    }

    pub fn unreadable(&self, error: &io::Error) -> PluginError {
        PluginError::new(kind_of_reading(error), format!("{}: {error}", self.file))
    }

    pub fn wrong(&self, what: impl std::fmt::Display) -> PluginError {
        PluginError::failed(format!("{}: {what}", self.file))
    }

    /// The file's path. Refuses a name that leads out of the recording's folder.
    pub fn path(&self, directory: &Path) -> Result<PathBuf> {
        let relative = Path::new(&self.file);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("manifest names `{}`, which is not in the recording", self.file);
            return Err(PluginError::failed(message));
        }
        Ok(directory.join(relative))
    }
}
