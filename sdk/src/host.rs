//! The plugin's handle to the host.

use deskreel_contract::{Event, Notice};
use serde::Serialize;

use crate::abi::{HostArc, RStr};
use crate::error::Result;

/// What an instance may ask of the host. Cheap to clone, usable from any thread, also after the instance is gone:
/// what is emitted then goes nowhere. To log, use `tracing`: its events reach the host's log by themselves.
#[derive(Clone)]
pub struct Host {
    pub(crate) raw: HostArc,
}

impl Host {
    /// Brings an interaction event in. For feeds.
    pub fn emit(&self, event: &Event) -> Result<()> {
        self.emit_json(event)
    }

    /// Says that something changed which the host must act on. For sources.
    pub fn notify(&self, notice: &Notice) -> Result<()> {
        self.emit_json(notice)
    }

    fn emit_json(&self, message: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(message)?;
        self.raw.emit(RStr::from_str(&json));
        Ok(())
    }
}
