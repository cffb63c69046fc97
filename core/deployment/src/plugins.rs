//! Finds the plugins that a pipeline file may use. Runs none of them.

use std::collections::BTreeSet;

use deskreel_host::{AllowList, Catalog};
use deskreel_model::worker::PluginFile;
use deskreel_pipeline::{PluginSearch, RecorderGraph};

/// The plugins of this machine, for commands without a pipeline file.
pub fn installed_plugins() -> Catalog {
    Catalog::new(deskreel_host::search(&deskreel_host::default_paths(&[])), &AllowList::shipped())
}

/// All plugins in the file's and in the usual plugin folders that the allow-list admits, with notes on the
/// search.
pub(crate) fn find_plugins(search: &PluginSearch) -> (Catalog, Vec<String>) {
    let missing = search.paths.iter().filter(|path| !path.exists());
    let mut notes: Vec<String> =
        missing.map(|path| format!("{} in `paths` of [plugins] does not exist", path.display())).collect();
    let found = deskreel_host::search(&deskreel_host::default_paths(&search.paths));
    let allow = match &search.allow {
        None => AllowList::shipped(),
        Some(list) => AllowList::read(list).unwrap_or_else(|refusal| {
            notes.push(format!("only the shipped plugins are used: {refusal}"));
            AllowList::shipped()
        }),
    };
    let catalog = Catalog::new(found, &allow);
    notes.extend(refusals(&catalog));
    (catalog, notes)
}

/// A line for each file that is not used: it may be the reason why a plugin is missing.
pub fn refusals(catalog: &Catalog) -> impl Iterator<Item = String> {
    catalog.refused.iter().map(|(path, refusal)| format!("{} is not used: {refusal}", path.display()))
}

pub fn descriptors_of(catalog: &Catalog) -> deskreel_pipeline::Catalog {
    let descriptors = catalog.libraries.iter().filter_map(|found| found.descriptor.as_ref().ok());
    deskreel_pipeline::Catalog::new(descriptors.cloned())
}

/// The libraries that a worker has to load for a graph.
pub fn worker_files(graph: &RecorderGraph, catalog: &Catalog) -> Vec<PluginFile> {
    plugin_files(catalog, graph.worker_plugins().map(|plugin| plugin.plugin.as_str()))
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
