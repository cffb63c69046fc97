//! The policies of a pipeline file, loaded and ready to be asked.

use anyhow::{Context, Result};
use deskreel_contract::Capture;
use deskreel_host::Catalog;
use deskreel_interaction::{Engine, Pause, Policy, Rules};
use deskreel_pipeline::Graph;

pub fn engine(graph: &Graph, catalog: &Catalog) -> Result<Engine> {
    Ok(Engine::new(open(graph, catalog)?, rules(graph)))
}

/// Loads the library of each policy into this process.
pub fn open(graph: &Graph, catalog: &Catalog) -> Result<Vec<Policy>> {
    let one = |node: &deskreel_pipeline::Node| {
        let id = &node.plugin.plugin;
        let (found, _) = catalog.find(id).with_context(|| format!("no plugin has the id `{id}`"))?;
        let library =
            deskreel_host::load(found).with_context(|| format!("cannot load {}", found.path.display()))?;
        Ok(Policy::open(library, id, node.plugin.settings.clone())?)
    };
    graph.policies.iter().map(one).collect()
}

pub fn rules(graph: &Graph) -> Rules {
    let rules = &graph.policy_rules;
    Rules {
        late: rules.late,
        pause: match rules.pause {
            deskreel_pipeline::Pause::Follow => Pause::Follow,
            deskreel_pipeline::Pause::Screen => Pause::Screen,
            deskreel_pipeline::Pause::Ignore => Pause::Ignore,
        },
        pause_as: if rules.pause_masks { Capture::Masked } else { Capture::Paused },
        pause_limit: rules.pause_limit,
        pause_attached: rules.pause_attached.clone(),
        max_duration: graph.recording.max_duration,
        ..Rules::default()
    }
}
