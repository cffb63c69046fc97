//! The outlet for the events of a feed: open between `start` and `stop`, closed otherwise.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use deskreel_contract::Event;
use serde_json::Value;

use crate::error::{PluginError, Result};
use crate::host::Host;

/// Emits a feed's events, and none after [`close`](Self::close) has returned (rule FED-02). Share it with the
/// feed's threads in an `Arc`; call `open` in `start` and `close` in `stop`.
pub struct Outlet {
    host: Host,
    is_open: RwLock<bool>,
}

impl Outlet {
    /// Closed at first.
    pub fn new(host: Host) -> Outlet {
        Outlet { host, is_open: RwLock::new(false) }
    }

    pub fn open(&self) {
        self.set(true);
    }

    /// Waits for each `emit` and `submit` in progress. The host may let them wait until it has room.
    pub fn close(&self) {
        self.set(false);
    }

    /// Returns whether the host has the event. It does not if the outlet is closed, or if the event cannot be
    /// written as JSON, which is logged.
    pub fn emit(&self, event: &Event) -> bool {
        let is_open = self.lock();
        *is_open
            && match self.host.emit(event) {
                Ok(()) => true,
                Err(error) => {
                    tracing::error!(%error, kind = event.kind, "event lost");
                    false
                }
            }
    }

    /// Emits events, each a JSON object, and returns once the host has stored them: for each, nothing or the
    /// reason why it is not taken. After an error they are to be sent again; the outlet may be closed.
    pub fn submit(&self, events: &[Value]) -> Result<Vec<Option<String>>> {
        let is_open = self.lock();
        match *is_open {
            true => self.host.submit(events),
            false => Err(PluginError::unavailable("the feed is stopping")),
        }
    }

    fn set(&self, is_open: bool) {
        *self.is_open.write().unwrap_or_else(PoisonError::into_inner) = is_open;
    }

    /// Held while events are emitted, by several threads at once.
    fn lock(&self) -> RwLockReadGuard<'_, bool> {
        self.is_open.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};
    use std::thread;

    use super::*;
    use crate::abi::{HostArc, RArc, RStr, RawHost, RawHost_TO, TD_Opaque};

    /// Counts events, and takes each one only when the test says so.
    #[derive(Clone)]
    struct SlowHost {
        entered: Arc<Barrier>,
        taken: Arc<AtomicUsize>,
    }

    impl RawHost for SlowHost {
        fn log(&self, _: u8, _: RStr<'_>, _: RStr<'_>) {}

        fn max_level(&self) -> u8 {
            0
        }

        fn emit(&self, _: RStr<'_>) {
            self.entered.wait();
            thread::yield_now();
            self.taken.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn close_waits_for_the_event_under_way_and_lets_no_other_out() {
        let slow = SlowHost { entered: Arc::new(Barrier::new(2)), taken: Arc::default() };
        let raw: HostArc = RawHost_TO::from_ptr(RArc::new(slow.clone()), TD_Opaque);
        let outlet = Arc::new(Outlet::new(Host { raw }));
        let event = Event::new("agent.state", "2026-01-05T09:00:00.000Z");
        assert!(!outlet.emit(&event), "closed at first");

        outlet.open();
        let emitting = thread::spawn({
            let (outlet, event) = (outlet.clone(), event.clone());
            move || outlet.emit(&event)
        });
        slow.entered.wait();
        outlet.close();
        assert_eq!(slow.taken.load(Ordering::SeqCst), 1);
        assert!(emitting.join().is_ok_and(|taken| taken));
        assert!(!outlet.emit(&event) && outlet.submit(&[Value::Null]).is_err(), "closed again");
        assert_eq!(slow.taken.load(Ordering::SeqCst), 1);
    }

    /// It only counts, as hosts did before they had `submit`.
    #[derive(Clone, Default)]
    struct OldHost(Arc<AtomicUsize>);

    impl RawHost for OldHost {
        fn log(&self, _: u8, _: RStr<'_>, _: RStr<'_>) {}

        fn max_level(&self) -> u8 {
            0
        }

        fn emit(&self, _: RStr<'_>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn an_older_host_gets_submitted_events_one_by_one() {
        let old = OldHost::default();
        let raw: HostArc = RawHost_TO::from_ptr(RArc::new(old.clone()), TD_Opaque);
        let outlet = Outlet::new(Host { raw });
        outlet.open();
        assert_eq!(outlet.submit(&[Value::Null, Value::Null]), Ok(vec![None, None]));
        assert_eq!(old.0.load(Ordering::SeqCst), 2);
    }
}
