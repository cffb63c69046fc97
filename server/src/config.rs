//! The server's file, read and checked.

use std::path::Path;
use std::{fmt, fs};

use deskreel_host::Allow;
use deskreel_pipeline::{Diagnostic, Graph, PluginSearch, Server, check_document, parse};

use crate::error::{Error, Result};

/// A file without mistakes.
#[derive(Debug)]
pub struct Config {
    pub server: Server,
    /// Feeds and policies, with their settings.
    pub graph: Graph,
    /// All plugins that were found.
    pub plugins: deskreel_host::Catalog,
}

/// All mistakes of a file that cannot be used, as `FILE:LINE:COLUMN: ...`.
#[derive(Debug, thiserror::Error)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Config {
    /// The outer error: the file cannot be read. The inner one: it has mistakes. Warnings come with both.
    pub fn read(file: &Path) -> Result<(Result<Config, Mistakes>, Vec<String>)> {
        let unreadable = |source| Error::Read { what: file.display().to_string(), source };
        let text = fs::read_to_string(file).map_err(unreadable)?;
        let (document, syntax) = parse(&text);
        let plugins = find(&document.plugin_search());
        let descriptors = plugins.libraries.iter().filter_map(|found| found.what.as_ref().ok());
        let catalog = deskreel_pipeline::Catalog::new(descriptors.cloned());
        let (graph, diagnostics) = check_document(&text, &document, syntax, &catalog);
        let lines: Vec<String> =
            diagnostics.iter().map(|diagnostic| format(file, &text, diagnostic)).collect();
        let Some(graph) = graph else { return Ok((Err(Mistakes(lines)), Vec::new())) };
        let Some(server) = graph.server.clone() else {
            let missing =
                format!("{}: the section `[server]` is missing: this is a recorder's file", file.display());
            return Ok((Err(Mistakes(vec![missing])), lines));
        };
        Ok((Ok(Config { server, graph, plugins }), lines))
    }
}

fn find(search: &PluginSearch) -> deskreel_host::Catalog {
    let found = deskreel_host::search(&deskreel_host::default_paths(&search.paths));
    let allow = match &search.allow {
        None => Allow::shipped(),
        Some(list) => Allow::listed(list).unwrap_or_else(|refused| {
            tracing::warn!(%refused, "cannot read the allow-list; using only the shipped plugins");
            Allow::shipped()
        }),
    };
    deskreel_host::Catalog::new(found, &allow)
}

/// Formats a diagnostic: `server.toml:7:1: error[P032]: a server has no `spool``, with the help below.
fn format(file: &Path, text: &str, diagnostic: &Diagnostic) -> String {
    let before = text.get(..diagnostic.span().start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let Diagnostic { severity, code, message, help, .. } = diagnostic;
    let help = help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    format!("{}:{line}:{column}: {}[{code}]: {message}{help}", file.display(), severity.name())
}
