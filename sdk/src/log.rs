//! Carries the plugin's log events to the host's log.
//!
//! A plugin has its own copy of `tracing`, without a subscriber. When the library is loaded, one is set that
//! passes events to the host: to the host handle of the instance that is being called on this thread, or else
//! (on threads of the plugin's own) to that of the library. The host's level is asked before anything is
//! formatted. Spans are not carried.

use std::cell::RefCell;
use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::abi::{HostArc, RStr};
use crate::host::Host;

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// Runs `call`. Its log events on this thread go to `host`.
pub fn within<T>(host: &Host, call: impl FnOnce() -> T) -> T {
    struct Restore(Option<Host>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(host.clone())));
    call()
}

/// Sends the library's log and its panic messages to the host. A second call changes nothing.
pub fn bridge(library: HostArc) {
    if tracing::subscriber::set_global_default(Bridge { library }).is_ok() {
        std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    }
}

struct Bridge {
    library: HostArc,
}

impl Bridge {
    fn with_host<T>(&self, ask: impl Fn(&HostArc) -> T) -> T {
        let current = CURRENT.try_with(|current| match &*current.borrow() {
            Some(host) => ask(&host.raw),
            None => ask(&self.library),
        });
        // A thread that is ending no longer has a current host.
        current.unwrap_or_else(|_| ask(&self.library))
    }
}

impl Subscriber for Bridge {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && number(metadata.level()) <= self.with_host(|host| host.max_level())
    }

    /// The host's level may change at any time, so no answer may be cached.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> tracing::subscriber::Interest {
        tracing::subscriber::Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = LogText::default();
        event.record(&mut text);
        let text = text.message + &text.fields;
        let metadata = event.metadata();
        let level = number(metadata.level());
        self.with_host(|host| host.log(level, RStr::from_str(metadata.target()), RStr::from_str(&text)));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// 1 (error) to 5 (trace).
fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// The message, and the fields that follow it as ` key=value`.
#[derive(Default)]
struct LogText {
    message: String,
    fields: String,
}

impl Visit for LogText {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail. If a vendor's `Debug` fails, only its own text is lost.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
