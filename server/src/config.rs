//! The server's file, read and checked.

use std::path::Path;

use deskreel_deployment::CheckedFile;
use deskreel_host::Catalog;
use deskreel_pipeline::ServerGraph;

/// A file without mistakes.
#[derive(Debug)]
pub struct Config {
    pub graph: ServerGraph,
    /// The plugins that the file may use.
    pub plugins: Catalog,
}

impl Config {
    /// Shows the file's mistakes on standard error; `None` if it has errors.
    pub fn read(file: &Path) -> Result<Option<Config>, deskreel_deployment::Error> {
        let checked = CheckedFile::read(file)?;
        checked.notes.iter().for_each(|note| tracing::warn!("{note}"));
        checked.show_diagnostics();
        Ok(checked.into_server()?.map(|(graph, plugins)| Config { graph, plugins }))
    }
}
