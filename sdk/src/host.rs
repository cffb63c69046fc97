//! The plugin's handle to the host.

use deskreel_contract::{Event, Notice};
use serde::Serialize;
use serde_json::Value;

use crate::abi::{HostArc, RStr};
use crate::error::{ErrorKind, PluginError, Result};

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

    /// Emits events, and returns once the host has stored them: for each, nothing or the reason why it is not
    /// taken. After an error they are to be sent again. For feeds; see
    /// [`Outlet::submit`](crate::Outlet::submit).
    ///
    /// An older host cannot say so. It gets the events one by one, and each counts as stored.
    pub fn submit(&self, events: &[Value]) -> Result<Vec<Option<String>>> {
        let json = serde_json::to_string(events)?;
        match self.raw.submit(RStr::from_str(&json)).into_result() {
            Ok(answer) => Ok(serde_json::from_str(answer.as_str())?),
            Err(error) if error.kind == ErrorKind::Unsupported as u32 => {
                events.iter().try_for_each(|event| self.emit_json(event))?;
                Ok(vec![None; events.len()])
            }
            Err(error) => Err(PluginError::from(error)),
        }
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
