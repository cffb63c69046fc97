//! The plugins that can be used now, by id.

use std::path::PathBuf;

use deskreel_contract::{Descriptor, Provides};

use crate::allow::AllowList;
use crate::error::Refusal;
use crate::search::FoundFile;

/// The result of a search, after the allow-list. Nothing is loaded for it.
#[derive(Debug, Default)]
pub struct Catalog {
    /// The libraries, in the order of the search.
    pub libraries: Vec<FoundFile>,
    pub refused: Vec<(PathBuf, Refusal)>,
    pub duplicates: Vec<Duplicate>,
}

/// The same id in two libraries: the first one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duplicate {
    pub id: String,
    pub used: PathBuf,
    pub ignored: PathBuf,
}

impl Catalog {
    pub fn new(found: Vec<FoundFile>, allow: &AllowList) -> Self {
        let mut catalog = Catalog::default();
        for found in found {
            match found.descriptor.clone().and_then(|descriptor| allow.check(&found).map(|()| descriptor)) {
                Ok(descriptor) => catalog.add(found, &descriptor),
                Err(refused) => catalog.refused.push((found.path, refused)),
            }
        }
        catalog
    }

    /// Every plugin with its library; a duplicate only once.
    pub fn plugins(&self) -> impl Iterator<Item = (&FoundFile, &Descriptor, &Provides)> {
        let described =
            self.libraries.iter().filter_map(|found| Some((found, found.descriptor.as_ref().ok()?)));
        described.flat_map(move |(found, descriptor)| {
            let used = descriptor.provides.iter().filter(move |plugin| !self.is_ignored(&plugin.id, found));
            used.map(move |plugin| (found, descriptor, plugin))
        })
    }

    /// The library that has the plugin `id`, and its description of it.
    pub fn find(&self, id: &str) -> Option<(&FoundFile, &Provides)> {
        self.plugins().find(|(_, _, plugin)| plugin.id == id).map(|(found, _, plugin)| (found, plugin))
    }

    fn add(&mut self, found: FoundFile, descriptor: &Descriptor) {
        for plugin in &descriptor.provides {
            if let Some((used, _)) = self.find(&plugin.id) {
                let (id, used, ignored) = (plugin.id.clone(), used.path.clone(), found.path.clone());
                self.duplicates.push(Duplicate { id, used, ignored });
            }
        }
        self.libraries.push(found);
    }

    fn is_ignored(&self, id: &str, found: &FoundFile) -> bool {
        self.duplicates.iter().any(|duplicate| duplicate.id == id && duplicate.ignored == found.path)
    }
}
