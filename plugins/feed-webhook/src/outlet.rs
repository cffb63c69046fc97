//! Where events leave.

use std::sync::{Mutex, PoisonError};

use deskreel_sdk::prelude::*;

/// Emits while the feed runs, and never after `stop` has returned.
pub struct Outlet {
    host: Host,
    is_open: Mutex<bool>,
}

impl Outlet {
    pub fn new(host: Host) -> Outlet {
        Outlet { host, is_open: Mutex::new(false) }
    }

    pub fn open(&self) {
        *self.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Waits for an event that is being emitted.
    pub fn close(&self) {
        *self.is_open.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// Whether the host has it. May wait for the host.
    pub fn emit(&self, event: &Event) -> bool {
        let is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        *is_open && self.host.emit(event).is_ok()
    }

    /// What the feed can tell from here on: `live`, `catching_up` or `lost`.
    pub fn state(&self, state: &str, reason: Option<&str>) {
        let event = Event::new("feed.state", now()).with("state", state);
        self.emit(&match reason {
            Some(reason) => event.with("reason", reason),
            None => event,
        });
    }
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
