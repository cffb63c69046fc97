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

    pub fn emit(&self, event: &Event) {
        let is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_open && let Err(error) = self.host.emit(event) {
            tracing::error!(%error, "an event is lost");
        }
    }
}
