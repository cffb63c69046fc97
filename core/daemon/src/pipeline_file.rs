//! Reads the daemon's pipeline file, at its start and on a reload. A file with mistakes costs no recording:
//! the last good one stays in use.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use deskreel_deployment::CheckedFile;
use deskreel_host::Catalog;
use deskreel_pipeline::RecorderGraph;
use deskreel_platform::folders;

/// A pipeline file without mistakes, with the plugins that were found for it.
pub struct LoadedFile {
    pub graph: RecorderGraph,
    pub catalog: Catalog,
    /// Why this is not the requested file but its last good copy.
    pub stale: Option<String>,
}

/// Reads `file`, or its last good copy if it has mistakes. Returns `None` if neither can be used; the
/// mistakes were shown.
pub fn load(file: &Path, kept: &Path) -> Result<Option<LoadedFile>> {
    match read(file) {
        Ok(loaded) => {
            if let Err(error) = keep(file, kept) {
                tracing::warn!(%error, "could not store a copy of the pipeline file; a start with a broken file would fail");
            }
            Ok(Some(loaded))
        }
        Err(error) => match read(kept) {
            Ok(loaded) => {
                let stale = format!("{}: {error:#}; the last good file is used instead", file.display());
                tracing::error!("{stale}");
                Ok(Some(LoadedFile { stale: Some(stale), ..loaded }))
            }
            Err(_) if error.is::<Mistakes>() => Ok(None),
            Err(_) => Err(error),
        },
    }
}

/// Reads the present `file`, and shows its mistakes.
pub fn read(file: &Path) -> Result<LoadedFile> {
    let checked = CheckedFile::read(file)?;
    checked.show_notes();
    checked.show_diagnostics();
    let errors = checked.error_count();
    match checked.into_recorder()? {
        Some((graph, catalog)) => Ok(LoadedFile { graph, catalog, stale: None }),
        None => Err(Mistakes(errors).into()),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} mistake{s}; `deskreel check` shows them", s = if *.0 == 1 { "" } else { "s" })]
struct Mistakes(usize);

/// Stores a copy for starts at which `file` has mistakes.
pub fn keep(file: &Path, kept: &Path) -> Result<()> {
    let text = fs::read(file)?;
    if fs::read(kept).is_ok_and(|known| known == text) {
        return Ok(());
    }
    if let Some(folder) = kept.parent() {
        fs::create_dir_all(folder)?;
    }
    deskreel_spool::write_atomic(kept, &text).with_context(|| format!("cannot write {}", kept.display()))
}

/// The path of the last good copy of `file`: in the service's state folder, or else the user's.
pub fn kept(file: &Path) -> Result<PathBuf> {
    let Some(folder) = folders::state() else {
        bail!("there is no folder for state: set {}", folders::STATE_VARIABLES)
    };
    let file = std::path::absolute(file)?;
    Ok(folder.join(format!("last-good{}", folders::path_as_name(&file))))
}
