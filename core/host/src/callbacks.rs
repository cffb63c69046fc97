//! The host as a plugin sees it: what a plugin may call.

use std::sync::{Arc, Mutex, PoisonError};

use deskreel_sdk::ErrorKind;
use deskreel_sdk::abi::{
    HostArc, RArc, RErr, ROk, RResult, RStr, RString, RawError, RawHost, RawHost_TO, TD_Opaque,
};
use serde_json::Value;
use tracing::level_filters::LevelFilter;

/// Receives everything that an instance emits. Its log lines go to `tracing`, with its id in the field
/// `plugin`.
#[derive(Clone)]
pub struct HostCallbacks {
    /// Receives a feed's event or a source's notice, on any thread of the plugin.
    pub on_emit: Arc<dyn Fn(Value) + Send + Sync>,
    /// Receives events of a feed whose sender waits until they are stored, on any thread of the plugin.
    /// Without it, plugins emit them.
    pub on_submit: Option<Arc<OnSubmit>>,
}

/// Returns for each event nothing, if it is stored, or the reason why it is not taken. An error: none may be
/// stored.
pub type OnSubmit = dyn Fn(Vec<Value>) -> Result<Vec<Option<String>>, String> + Send + Sync;

impl Default for HostCallbacks {
    /// Ignores everything.
    fn default() -> Self {
        HostCallbacks { on_emit: Arc::new(|_| {}), on_submit: None }
    }
}

/// The host as `plugin` sees it, and the guard that keeps it listening.
pub(crate) fn host_for(plugin: &str, callbacks: HostCallbacks) -> (HostArc, ListenerGuard) {
    let listener = Listener::new(Mutex::new(Some(callbacks)));
    let callbacks = Callbacks { plugin: plugin.into(), listener: listener.clone() };
    (RawHost_TO::from_ptr(RArc::new(callbacks), TD_Opaque), ListenerGuard(listener))
}

type Listener = Arc<Mutex<Option<HostCallbacks>>>;

/// Keeps the listener. A plugin's threads may keep their host for longer than their instance: after this
/// guard is dropped, anything they emit is ignored, and whatever `on_emit` holds is free.
pub(crate) struct ListenerGuard(Listener);

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        // Taken out first: the callback may do anything when it is dropped, and must not do so under the
        // lock.
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(gone);
    }
}

#[derive(Clone)]
struct Callbacks {
    plugin: Arc<str>,
    /// Never locked while foreign code runs.
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
                tracing::warn!(target: "plugin", plugin = &*self.plugin, %error, "the plugin emitted something that is not JSON");
            }
        }
    }

    fn submit(&self, json: RStr<'_>) -> RResult<RString, RawError> {
        let refuse = |kind: ErrorKind, message: String| {
            RErr(RawError { kind: kind as u32, message: RString::from(message) })
        };
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(listener) = listener else {
            return refuse(ErrorKind::Unavailable, "the plugin is closed".to_owned());
        };
        let Some(on_submit) = listener.on_submit else {
            return refuse(ErrorKind::Unsupported, "this host has no method `submit`".to_owned());
        };
        let taken = serde_json::from_str(json.as_str()).map_err(|error| error.to_string());
        let taken = taken.and_then(|events| on_submit(events));
        match taken.and_then(|taken| serde_json::to_string(&taken).map_err(|error| error.to_string())) {
            Ok(answer) => ROk(answer.into()),
            Err(message) => refuse(ErrorKind::Unavailable, message),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc::{self, TryRecvError};

    use super::*;

    /// A plugin's threads may outlive it, and would otherwise bring events into a recorder that has closed
    /// it.
    #[test]
    fn dropped_instance_is_not_listened_to() {
        let (sender, heard) = mpsc::channel();
        let on_emit = Arc::new(move |value| sender.send(value).unwrap());
        let (host, listening) = host_for("feed.test", HostCallbacks { on_emit, on_submit: None });
        let kept_by_a_thread = host.clone();
        kept_by_a_thread.emit(RStr::from_str("1"));
        drop((host, listening));
        kept_by_a_thread.emit(RStr::from_str("2"));
        assert_eq!(heard.try_recv(), Ok(Value::from(1)));
        assert_eq!(
            heard.try_recv(),
            Err(TryRecvError::Disconnected),
            "whatever `on_emit` holds is free, too"
        );
    }

    #[test]
    fn submitted_events_are_answered_one_by_one() {
        let on_submit = Arc::new(|events: Vec<Value>| {
            Ok(events.into_iter().map(|event| event.as_str().map(str::to_owned)).collect())
        });
        let callbacks = HostCallbacks { on_submit: Some(on_submit), ..HostCallbacks::default() };
        let (host, listening) = host_for("feed.test", callbacks);
        let answer = host.submit(RStr::from_str(r#"[1, "no", 2]"#)).into_result().unwrap();
        assert_eq!(answer.as_str(), r#"[null,"no",null]"#);
        drop(listening);
        let closed = host.submit(RStr::from_str("[1]")).into_result().unwrap_err();
        assert_eq!(closed.kind, ErrorKind::Unavailable as u32);
        let (host, _listening) = host_for("feed.test", HostCallbacks::default());
        let unsupported = host.submit(RStr::from_str("[1]")).into_result().unwrap_err();
        assert_eq!(unsupported.kind, ErrorKind::Unsupported as u32);
    }
}
