//! The trait of a sink plugin.

use deskreel_contract::{Answer, FinishedRecording, FragmentDelivery};
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Delivers finished media to a far end. The host may delete anything that the sink acknowledges, so
/// acknowledge only what the far end holds, with its hash compared. The same delivery may come again, after a
/// crash or when in doubt.
pub trait Sink: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// A fragment is on disk. Leave this out in a sink that takes only whole recordings; the host then calls
    /// only `finish`.
    fn fragment(&mut self, _delivery: &FragmentDelivery) -> Result<Answer> {
        Err(PluginError::unsupported("fragment"))
    }

    /// Tells whether deliveries could succeed as far as this PC is concerned: the file of a secret can be
    /// read, a folder can be written to. Delivers nothing and asks no server. The host calls it now and then,
    /// and an error becomes a problem in the recorder's health report.
    fn check(&mut self) -> Result<()> {
        Ok(())
    }

    /// A recording is sealed. If this sink takes fragments, all of this recording's were delivered before.
    fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer>;
}

pub struct SinkInstance<P>(P);

impl<P: Sink> Instance for SinkInstance<P> {
    type Settings = P::Settings;

    fn open(settings: P::Settings, host: Host) -> Result<Self> {
        P::open(settings, host).map(SinkInstance)
    }

    fn call(&mut self, method: &str, json: &str) -> Result<String> {
        match method {
            "fragment" => answer(json, |delivery| self.0.fragment(&delivery)),
            "check" => answer(json, |()| self.0.check()),
            "finish" => answer(json, |recording| self.0.finish(&recording)),
            other => Err(PluginError::unsupported(other)),
        }
    }
}
