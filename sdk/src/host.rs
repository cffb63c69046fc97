//! The plugin's handle to the host.

use deskreel_contract::{Event, Notice};
use serde::Serialize;

use crate::abi::{HostArc, RStr};
use crate::error::Result;

/// The host's services for an instance. Cheap to clone and usable from any thread, even after the instance is
/// dropped: later events are discarded. To log, use `tracing`: its events reach the host's log without
/// this handle.
#[derive(Clone)]
pub struct Host {
    pub(crate) raw: HostArc,
}

impl Host {
    /// Emits an interaction event. For feeds; see [`Outlet`](crate::Outlet).
    pub fn emit(&self, event: &Event) -> Result<()> {
        self.emit_json(event)
    }

    /// Reports a change on which the host must act. For sources.
    pub fn notify(&self, notice: &Notice) -> Result<()> {
        self.emit_json(notice)
    }

    fn emit_json(&self, message: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(message)?;
        self.raw.emit(RStr::from_str(&json));
        Ok(())
    }
}
