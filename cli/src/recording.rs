//! A recording that a command was given the folder of.

use std::path::Path;

use anyhow::{Result, bail};
use deskreel_model::{Manifest, layout};

/// Its manifest. A folder without one is no recording, and whose mistake that is, is known.
pub fn manifest(recording: &Path) -> Result<Manifest> {
    match deskreel_spool::load(recording) {
        Ok(manifest) => Ok(manifest),
        Err(error) if error.is_not_found() => {
            bail!("{} is not a recording: there is no {} in it", recording.display(), layout::MANIFEST)
        }
        Err(error) => Err(error.into()),
    }
}
