use deskreel_contract::{Answer, FinishedRecording, FragmentDelivery};
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Takes finished media somewhere. What it acknowledges, the host may delete here: acknowledge only what the far
/// end holds, hash compared. The same delivery may come again, after a crash or a doubt.
pub trait Sink: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// A fragment is on disk. A sink that takes whole recordings only leaves this out; the host then asks it for
    /// `finish` alone.
    fn fragment(&mut self, _delivery: &FragmentDelivery) -> Result<Answer> {
        Err(PluginError::unsupported("fragment"))
    }

    /// A recording is sealed. Every fragment in it was delivered before, if this sink takes fragments.
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
            "finish" => answer(json, |recording| self.0.finish(&recording)),
            other => Err(PluginError::unsupported(other)),
        }
    }
}
