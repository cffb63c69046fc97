//! The plugins that a file may name, from their descriptors.

use std::collections::BTreeMap;

use deskreel_contract::{Descriptor, Kind};
use serde_json::Value as Json;

/// Plugins by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    plugins: BTreeMap<String, ListedPlugin>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ListedPlugin {
    pub id: String,
    pub kind: Kind,
    pub about: String,
    /// The package that ships it, and its version.
    pub package: String,
    pub version: String,
    /// JSON Schema of its settings; `None` if it has no settings.
    pub settings: Option<Json>,
}

impl Catalog {
    /// Lists the first of several plugins with the same id, since the host loads the first.
    pub fn new(descriptors: impl IntoIterator<Item = Descriptor>) -> Self {
        let mut plugins = BTreeMap::new();
        for descriptor in descriptors {
            for provides in descriptor.provides {
                let listed = ListedPlugin {
                    id: provides.id.clone(),
                    kind: provides.interface.kind,
                    about: provides.about,
                    package: descriptor.name.clone(),
                    version: descriptor.version.clone(),
                    settings: provides.settings,
                };
                plugins.entry(provides.id).or_insert(listed);
            }
        }
        Catalog { plugins }
    }

    pub fn get(&self, id: &str) -> Option<&ListedPlugin> {
        self.plugins.get(id)
    }

    /// All plugins, sorted by id.
    pub fn iter(&self) -> impl Iterator<Item = &ListedPlugin> {
        self.plugins.values()
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &ListedPlugin> {
        self.iter().filter(move |listed| listed.kind == kind)
    }
}

impl ListedPlugin {
    /// The settings by name, with their schemas.
    pub fn properties(&self) -> impl Iterator<Item = (&str, &Json)> {
        let properties = self.settings.as_ref().and_then(|schema| schema.get("properties")?.as_object());
        properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
    }

    /// Returns whether the plugin takes a setting of this name. A schema that does not forbid further
    /// properties takes all of them.
    pub fn takes(&self, name: &str) -> bool {
        let Some(schema) = &self.settings else { return false };
        let closed = schema.get("additionalProperties") == Some(&Json::Bool(false))
            && schema.get("patternProperties").is_none();
        !closed || self.properties().any(|(known, _)| known == name)
    }
}
