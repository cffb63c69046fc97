//! The part of a recording's `manifest.json` that an export needs (docs/recording-format.md).

use std::path::{Component, Path, PathBuf};

use deskreel_sdk::prelude::*;

#[derive(Debug, Deserialize)]
pub struct Recording {
    /// The recording's id.
    pub recording: String,
    pub pipeline: String,
    pub tracks: Vec<Track>,
}

#[derive(Debug, Deserialize)]
pub struct Track {
    pub parts: Vec<Part>,
}

#[derive(Debug, Deserialize)]
pub struct Part {
    pub init: File,
    pub fragments: Vec<File>,
}

#[derive(Debug, Deserialize)]
pub struct File {
    pub file: String,
}

impl Recording {
    pub fn load(directory: &Path) -> Result<Recording> {
        let path = directory.join("manifest.json");
        let explain =
            |error: &dyn std::fmt::Display| PluginError::failed(format!("{}: {error}", path.display()));
        let text = std::fs::read(&path).map_err(|error| explain(&error))?;
        serde_json::from_slice(&text).map_err(|error| explain(&error))
    }
}

impl File {
    /// Where the file lies. A name that leads out of the recording's folder is refused.
    pub fn path(&self, directory: &Path) -> Result<PathBuf> {
        let relative = Path::new(&self.file);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            let message = format!("manifest names `{}`, which is not in the recording", self.file);
            return Err(PluginError::failed(message));
        }
        Ok(directory.join(relative))
    }
}
