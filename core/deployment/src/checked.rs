//! A pipeline file, read and checked.

use std::fs;
use std::io::stderr;
use std::path::{Path, PathBuf};

use deskreel_host::Catalog;
use deskreel_pipeline::{
    Deployment, Diagnostic, RecorderGraph, ServerGraph, Severity, check_document, parse,
};
use serde_json::Value;

use crate::error::Error;
use crate::plugins::{descriptors_of, find_plugins};
use crate::render::{SourceFile, draw, to_json, wants_color};

pub struct CheckedFile {
    path: PathBuf,
    source: SourceFile,
    /// `None` if there is an error among the diagnostics.
    pub deployment: Option<Deployment>,
    diagnostics: Vec<Diagnostic>,
    /// The plugins that the file may use.
    pub catalog: Catalog,
    /// Remarks on the search for plugins, one line each: a folder that does not exist, a file that is
    /// refused. They may be the reason for a diagnostic.
    pub notes: Vec<String>,
}

impl CheckedFile {
    pub fn read(path: &Path) -> Result<CheckedFile, Error> {
        let text =
            fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let (document, syntax) = parse(&text);
        let (catalog, notes) = find_plugins(&document.plugin_search());
        let (deployment, diagnostics) = check_document(&text, &document, syntax, &descriptors_of(&catalog));
        let source = SourceFile { path: path.display().to_string(), text };
        Ok(CheckedFile { path: path.to_owned(), source, deployment, diagnostics, catalog, notes })
    }

    /// Prints the notes on standard error.
    pub fn show_notes(&self) {
        self.notes.iter().for_each(|note| eprintln!("note: {note}"));
    }

    /// Draws the diagnostics on standard error.
    pub fn show_diagnostics(&self) {
        eprint!("{}", draw(&self.source, &self.diagnostics, wants_color(&stderr())));
    }

    /// The diagnostics for programs.
    pub fn diagnostics_json(&self) -> Value {
        to_json(&self.source, &self.diagnostics)
    }

    pub fn error_count(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    /// The recorder that the file describes, with its plugins; `None` if the file has errors.
    pub fn into_recorder(self) -> Result<Option<(RecorderGraph, Catalog)>, Error> {
        match self.deployment {
            Some(Deployment::Recorder(graph)) => Ok(Some((graph, self.catalog))),
            Some(Deployment::Server(_)) => Err(Error::NotARecorder { path: self.path }),
            None => Ok(None),
        }
    }

    /// The server that the file describes, with its plugins; `None` if the file has errors.
    pub fn into_server(self) -> Result<Option<(ServerGraph, Catalog)>, Error> {
        match self.deployment {
            Some(Deployment::Server(graph)) => Ok(Some((graph, self.catalog))),
            Some(Deployment::Recorder(_)) => Err(Error::NotAServer { path: self.path }),
            None => Ok(None),
        }
    }
}

/// Reads a recorder's file and shows its notes and diagnostics, as most commands begin; `None` if it has
/// errors.
pub fn read_recorder(path: &Path) -> Result<Option<(RecorderGraph, Catalog)>, Error> {
    let checked = CheckedFile::read(path)?;
    checked.show_notes();
    checked.show_diagnostics();
    checked.into_recorder()
}
