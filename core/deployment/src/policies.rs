//! The policies of a pipeline file, loaded and ready to be asked.

use anyhow::{Context, Result};
use deskreel_host::Catalog;
use deskreel_interaction::{Engine, Policy};
use deskreel_pipeline::Graph;

pub fn policy_engine(graph: &Graph, catalog: &Catalog) -> Result<Engine> {
    Ok(Engine::new(open_policies(graph, catalog)?, graph.policy_rules.clone()))
}

/// Loads the library of each policy into this process.
pub fn open_policies(graph: &Graph, catalog: &Catalog) -> Result<Vec<Policy>> {
    let one = |node: &deskreel_pipeline::Node| {
        let id = &node.plugin.plugin;
        let (found, _) = catalog.find(id).with_context(|| format!("no plugin has the id `{id}`"))?;
        let library =
            deskreel_host::load(found).with_context(|| format!("cannot load {}", found.path.display()))?;
        Ok(Policy::open(library, id, node.plugin.settings.clone())?)
    };
    graph.policies.iter().map(one).collect()
}
