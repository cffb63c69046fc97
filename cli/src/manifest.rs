//! The manifest of a recording that is named on the command line.

use std::path::Path;

use anyhow::{Result, bail};
use deskreel_model::{Manifest, layout};

/// Loads the manifest of a recording's folder. A folder without one is a mistake on the command line.
pub fn load(recording: &Path) -> Result<Manifest> {
    match deskreel_spool::load(recording) {
        Ok(manifest) => Ok(manifest),
        Err(error) if error.is_not_found() => {
            bail!("{} is not a recording: it has no {}", recording.display(), layout::MANIFEST)
        }
        Err(error) => Err(error.into()),
    }
}
