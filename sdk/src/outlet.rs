//! The outlet for the events of a feed: open between `start` and `stop`, closed otherwise.

use std::sync::{Mutex, MutexGuard, PoisonError};

use deskreel_contract::Event;

use crate::host::Host;

/// Emits a feed's events, and none after [`close`](Self::close) has returned (rule FED-02). Share it with the
/// feed's threads in an `Arc`; call `open` in `start` and `close` in `stop`.
pub struct Outlet {
    host: Host,
    is_open: Mutex<bool>,
}

impl Outlet {
    /// Closed at first.
    pub fn new(host: Host) -> Outlet {
        Outlet { host, is_open: Mutex::new(false) }
    }

    pub fn open(&self) {
        *self.lock() = true;
    }

    /// Waits for an `emit` in progress. The host may let that one wait until it has room for the event.
    pub fn close(&self) {
        *self.lock() = false;
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

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert!(!outlet.emit(&event), "closed again");
        assert_eq!(slow.taken.load(Ordering::SeqCst), 1);
    }
}
