//! Finds the plugins that a pipeline file may use. Runs none of them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};
use deskreel_host::{Allow, Catalog};
use deskreel_model::worker::PluginFile;
use deskreel_pipeline::{Graph, PluginSearch};

use crate::checked::CheckedFile;

/// For commands that need no more than the names.
pub fn catalog_for(search: &PluginSearch) -> deskreel_pipeline::Catalog {
    let catalog = find_plugins(search);
    tell_refused(&catalog);
    descriptors_of(&catalog)
}

/// Everything in the file's plugin folders and in the usual ones that the allow-list admits.
pub fn find_plugins(search: &PluginSearch) -> Catalog {
    for path in search.paths.iter().filter(|path| !path.exists()) {
        eprintln!("note: {} in `paths` of [plugins] does not exist", path.display());
    }
    let paths = deskreel_host::default_paths(&search.paths);
    let found = deskreel_host::search(&paths);
    let allow = match &search.allow {
        None => Allow::shipped(),
        Some(list) => Allow::listed(list).unwrap_or_else(|refused| {
            eprintln!("note: only the shipped plugins are used: {refused}");
            Allow::shipped()
        }),
    };
    Catalog::new(found, &allow)
}

/// A library that is not used may be why a plugin is missed.
fn tell_refused(catalog: &Catalog) {
    for (path, refused) in &catalog.refused {
        eprintln!("note: {} is not used: {refused}", path.display());
    }
}

pub fn descriptors_of(catalog: &Catalog) -> deskreel_pipeline::Catalog {
    let descriptors = catalog.libraries.iter().filter_map(|found| found.what.as_ref().ok());
    deskreel_pipeline::Catalog::new(descriptors.cloned())
}

/// A pipeline file without mistakes, and the plugins that there are for it. `None`: they were shown.
pub fn read_pipeline(file: &Path) -> Result<Option<(Graph, Catalog)>> {
    let mut catalog = Catalog::default();
    let checked = CheckedFile::read(file, |search| {
        catalog = find_plugins(search);
        tell_refused(&catalog);
        descriptors_of(&catalog)
    })?;
    let graph = checked.show();
    graph.as_ref().map_or(Ok(()), |graph| must_record(graph, file))?;
    Ok(graph.map(|graph| (graph, catalog)))
}

/// A server's file records nothing.
pub fn must_record(graph: &Graph, file: &Path) -> Result<()> {
    if graph.server.is_some() {
        bail!("{} describes a server: deskreel-server serves it", file.display());
    }
    Ok(())
}

/// The libraries that a worker has to load for a graph.
pub fn worker_files(graph: &Graph, catalog: &Catalog) -> Vec<PluginFile> {
    let tracks = graph.recording.tracks.iter();
    let used = tracks.flat_map(|track| std::iter::once(&track.source.plugin).chain(&track.encoder.plugins));
    plugin_files(catalog, used.map(|plugin| plugin.plugin.as_str()))
}

/// The libraries that have these plugins, each once.
pub fn plugin_files<'a>(catalog: &Catalog, ids: impl Iterator<Item = &'a str>) -> Vec<PluginFile> {
    let mut seen = BTreeSet::new();
    let found = ids.filter_map(|id| catalog.find(id)).map(|(found, _)| found);
    let files = found.filter(|found| seen.insert(found.path.clone()));
    files
        .map(|found| PluginFile { path: found.path.clone(), sha256: found.sha256.clone(), unusable: None })
        .collect()
}
