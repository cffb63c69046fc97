//! What a plugin may ask of us.

use std::sync::{Arc, Mutex, PoisonError};

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

/// The host as `plugin` sees it, and what keeps it listening.
pub(crate) fn host_for(plugin: &str, callbacks: HostCallbacks) -> (HostArc, Listening) {
    let listener = Listener::new(Mutex::new(Some(callbacks)));
    let callbacks = Callbacks { plugin: plugin.into(), listener: listener.clone() };
    (RawHost_TO::from_ptr(RArc::new(callbacks), TD_Opaque), Listening(listener))
}

type Listener = Arc<Mutex<Option<HostCallbacks>>>;

/// While it lives, somebody listens. A plugin's threads may keep their host for longer than their instance: what
/// they emit then goes nowhere, and what `on_emit` holds is free.
pub(crate) struct Listening(Listener);

impl Drop for Listening {
    fn drop(&mut self) {
        // Taken out first: what it holds may do anything when it is dropped, and must not do it under the lock.
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(gone);
    }
}

#[derive(Clone)]
struct Callbacks {
    plugin: Arc<str>,
    /// Never locked while somebody else's code runs.
    listener: Listener,
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
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(listener) = listener else { return };
        match serde_json::from_str(json.as_str()) {
            Ok(value) => (listener.on_emit)(value),
            Err(error) => {
                tracing::warn!(target: "plugin", plugin = &*self.plugin, %error, "emitted something that is not JSON");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::{self, TryRecvError};

    use super::*;

    /// Threads of a plugin may live on, and would otherwise bring events into a recorder that has done with it.
    #[test]
    fn nobody_listens_to_an_instance_that_is_gone() {
        let (sender, heard) = mpsc::channel();
        let on_emit = Arc::new(move |value| sender.send(value).unwrap());
        let (host, listening) = host_for("feed.test", HostCallbacks { on_emit });
        let kept_by_a_thread = host.clone();
        kept_by_a_thread.emit(RStr::from_str("1"));
        drop((host, listening));
        kept_by_a_thread.emit(RStr::from_str("2"));
        assert_eq!(heard.try_recv(), Ok(Value::from(1)));
        assert_eq!(heard.try_recv(), Err(TryRecvError::Disconnected), "what `on_emit` holds is free, too");
    }
}
