//! What a plugin may ask of us.

use std::sync::Arc;

use deskreel_sdk::abi::{HostArc, RArc, RStr, RawHost, RawHost_TO, TD_Opaque};
use serde_json::Value;
use tracing::level_filters::LevelFilter;

/// Who listens to an instance. What it logs goes to `tracing`, with its id in the field `plugin`.
#[derive(Clone)]
pub struct HostCallbacks {
    /// A feed's event or a source's notice. Called on any thread of the plugin's.
    pub on_emit: Arc<dyn Fn(Value) + Send + Sync>,
}

impl Default for HostCallbacks {
    /// Listens to nothing.
    fn default() -> Self {
        HostCallbacks { on_emit: Arc::new(|_| {}) }
    }
}

pub(crate) fn host_for(plugin: &str, callbacks: HostCallbacks) -> HostArc {
    RawHost_TO::from_ptr(RArc::new(Callbacks { plugin: plugin.into(), callbacks }), TD_Opaque)
}

#[derive(Clone)]
struct Callbacks {
    plugin: Arc<str>,
    callbacks: HostCallbacks,
}

impl RawHost for Callbacks {
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>) {
        let (plugin, module, message) = (&*self.plugin, target.as_str(), message.as_str());
        // The level of a tracing event is part of its code, so there is one for each.
        match level {
            1 => tracing::error!(target: "plugin", plugin, module, "{message}"),
            2 => tracing::warn!(target: "plugin", plugin, module, "{message}"),
            3 => tracing::info!(target: "plugin", plugin, module, "{message}"),
            4 => tracing::debug!(target: "plugin", plugin, module, "{message}"),
            _ => tracing::trace!(target: "plugin", plugin, module, "{message}"),
        }
    }

    fn max_level(&self) -> u8 {
        match LevelFilter::current() {
            LevelFilter::OFF => 0,
            LevelFilter::ERROR => 1,
            LevelFilter::WARN => 2,
            LevelFilter::INFO => 3,
            LevelFilter::DEBUG => 4,
            _ => 5,
        }
    }

    fn emit(&self, json: RStr<'_>) {
        match serde_json::from_str(json.as_str()) {
            Ok(value) => (self.callbacks.on_emit)(value),
            Err(error) => {
                tracing::warn!(target: "plugin", plugin = &*self.plugin, %error, "emitted something that is not JSON");
            }
        }
    }
}
