//! The policies of a pipeline file, loaded and ready to be asked.

use deskreel_host::Catalog;
use deskreel_interaction::{Engine, Policy};
use deskreel_pipeline::{Deciders, Node};

use crate::error::Error;

pub fn policy_engine(deciders: &Deciders, catalog: &Catalog) -> Result<Engine, Error> {
    Ok(Engine::new(open_policies(deciders, catalog)?, deciders.rules.clone()))
}

/// Loads the library of each policy into this process.
pub fn open_policies(deciders: &Deciders, catalog: &Catalog) -> Result<Vec<Policy>, Error> {
    let open = |node: &Node| {
        let id = &node.plugin.plugin;
        let (found, _) = catalog.find(id).ok_or_else(|| Error::UnknownPlugin { id: id.clone() })?;
        let library =
            deskreel_host::load(found).map_err(|source| Error::Load { path: found.path.clone(), source })?;
        Ok(Policy::open(library, id, node.plugin.settings.clone())?)
    };
    deciders.policies.iter().map(open).collect()
}
