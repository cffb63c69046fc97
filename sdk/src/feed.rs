//! The trait of a feed plugin.

use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Brings interaction events in from a telephony system or an agent desktop. It emits them between `start`
/// and `stop`, from any thread, through the host that `open` got. An [`Outlet`](crate::Outlet) keeps to these
/// limits.
pub trait Feed: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// Must return soon: wait for the far end on a thread of the plugin's own.
    fn start(&mut self) -> Result<()>;

    /// No event may be emitted after this has returned.
    fn stop(&mut self) -> Result<()>;
}

pub struct FeedInstance<P>(P);

impl<P: Feed> Instance for FeedInstance<P> {
    type Settings = P::Settings;

    fn open(settings: P::Settings, host: Host) -> Result<Self> {
        P::open(settings, host).map(FeedInstance)
    }

    fn call(&mut self, method: &str, json: &str) -> Result<String> {
        match method {
            "start" => answer(json, |()| self.0.start()),
            "stop" => answer(json, |()| self.0.stop()),
            other => Err(PluginError::unsupported(other)),
        }
    }
}
