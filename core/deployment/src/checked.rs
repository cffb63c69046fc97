//! A pipeline file, read and checked.

use std::fs;
use std::io::stderr;
use std::path::Path;

use anyhow::{Context, Result};
use deskreel_pipeline::{Catalog, Diagnostic, Graph, PluginSearch, check_document, parse};

use crate::render::{SourceFile, draw, wants_color};

#[derive(Debug, Clone)]
pub struct CheckedFile {
    pub file: SourceFile,
    /// `None` if there is an error among the diagnostics.
    pub graph: Option<Graph>,
    pub diagnostics: Vec<Diagnostic>,
}

impl CheckedFile {
    /// `find` lists the plugins, given the folders that the file names.
    pub fn read(path: &Path, find: impl FnOnce(&PluginSearch) -> Catalog) -> Result<CheckedFile> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (document, syntax) = parse(&text);
        let catalog = find(&document.plugin_search());
        let (graph, diagnostics) = check_document(&text, &document, syntax, &catalog);
        Ok(CheckedFile { file: SourceFile { path: path.display().to_string(), text }, graph, diagnostics })
    }

    /// Draws the diagnostics on standard error; returns the graph if the file has no errors.
    pub fn show(self) -> Option<Graph> {
        eprint!("{}", draw(&self.file, &self.diagnostics, wants_color(&stderr())));
        self.graph
    }
}
