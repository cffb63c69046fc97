//! A policy plugin that can be asked for decisions.

use std::sync::{Arc, Mutex, PoisonError};

use deskreel_host::{ErrorKind, HostCallbacks, Library, Plugin, PluginFailure};
use serde_json::Value;

/// Why a policy returned no decisions.
pub type PolicyError = String;

/// Turns the JSON of a `Fact` into the JSON of a `PolicyAnswer`.
type Ask = dyn FnMut(&str) -> Result<String, PolicyError> + Send;

/// Clones share the plugin: it keeps no state between two questions. A library is never unloaded, so a host
/// that needs a policy again keeps a clone.
#[derive(Clone)]
pub struct Policy {
    id: Arc<str>,
    /// Event types that it wants to be asked about, with `*` for any ending; `None` means all.
    events: Option<Vec<String>>,
    ask: Arc<Mutex<Ask>>,
}

impl Policy {
    /// Creates a plugin of a loaded library with its settings. A plugin that panics is created again: the
    /// host holds all its state.
    pub fn open(library: Library, id: &str, settings: Value) -> Result<Policy, PluginFailure> {
        let provides = &library.descriptor().provides;
        let events = provides.iter().find(|plugin| plugin.id == id).and_then(|plugin| plugin.events.clone());
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
        Ok(Policy { id: id.into(), events, ask: Arc::new(Mutex::new(ask)) })
    }

    /// Makes a policy of a function, to test how decisions are carried out.
    pub fn from_fn(
        id: &str,
        ask: impl FnMut(&str) -> Result<String, PolicyError> + Send + 'static,
    ) -> Policy {
        Policy { id: id.into(), events: None, ask: Arc::new(Mutex::new(ask)) }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn wants_event(&self, kind: &str) -> bool {
        let Some(events) = &self.events else { return true };
        events.iter().any(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => wanted == kind,
        })
    }

    /// Returns a [`deskreel_contract::PolicyAnswer`] as JSON.
    pub(crate) fn decide(&mut self, fact: &str) -> Result<String, PolicyError> {
        self.ask.lock().unwrap_or_else(PoisonError::into_inner)(fact)
    }
}
