//! A policy plugin that answers, and what it answers.

use std::sync::Arc;

use deskreel_host::{ErrorKind, HostCallbacks, Library, Plugin, PluginFailure};
use serde_json::Value;

/// Why a policy gave no decisions.
pub type PolicyError = String;

/// Anything that gives the JSON of a `Decided` for that of a `Fact`.
type Ask = Box<dyn FnMut(&str) -> Result<String, PolicyError> + Send>;

pub struct Policy {
    id: Arc<str>,
    /// Types of events; `None`: all.
    hears: Option<Vec<String>>,
    ask: Ask,
}

impl Policy {
    /// A plugin of a loaded library, with its settings. One that panics is made anew: all that it knows is with us.
    pub fn open(library: Library, id: &str, settings: Value) -> Result<Policy, PluginFailure> {
        let provides = &library.descriptor().provides;
        let hears = provides.iter().find(|plugin| plugin.id == id).and_then(|plugin| plugin.events.clone());
        let name = id.to_owned();
        let mut plugin: Option<Plugin> = Some(library.create(id, &settings, HostCallbacks::default())?);
        let ask = move |fact: &str| {
            let mut asked = match plugin.take() {
                Some(plugin) => plugin,
                None => {
                    library.create(&name, &settings, HostCallbacks::default()).map_err(|e| e.to_string())?
                }
            };
            let answer = asked.ask("decide", fact);
            if !matches!(&answer, Err(failure) if failure.kind == ErrorKind::Panicked) {
                plugin = Some(asked);
            }
            answer.map_err(|failure| failure.message)
        };
        Ok(Policy { id: id.into(), hears, ask: Box::new(ask) })
    }

    /// One that is no plugin: for tests of what is done with decisions.
    pub fn from_fn(
        id: &str,
        ask: impl FnMut(&str) -> Result<String, PolicyError> + Send + 'static,
    ) -> Policy {
        Policy { id: id.into(), hears: None, ask: Box::new(ask) }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn hears(&self, kind: &str) -> bool {
        let Some(hears) = &self.hears else { return true };
        hears.iter().any(|heard| match heard.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => heard == kind,
        })
    }

    /// Gives a [`deskreel_contract::Decided`] as JSON.
    pub(crate) fn decide(&mut self, fact: &str) -> Result<String, PolicyError> {
        (self.ask)(fact)
    }
}
