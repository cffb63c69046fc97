use deskreel_contract::{Decided, Fact};
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Decides what is recorded and which interaction it belongs to. Pure: the same fact gives the same decision, on
/// any machine, in any year. What must be remembered goes into the state that is returned.
pub trait Policy: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    fn decide(&self, fact: &Fact) -> Result<Decided>;
}

pub struct PolicyInstance<P>(P);

impl<P: Policy> Instance for PolicyInstance<P> {
    type Settings = P::Settings;

    fn open(settings: P::Settings, host: Host) -> Result<Self> {
        P::open(settings, host).map(PolicyInstance)
    }

    fn call(&mut self, method: &str, json: &str) -> Result<String> {
        match method {
            "decide" => answer(json, |fact| self.0.decide(&fact)),
            other => Err(PluginError::unsupported(other)),
        }
    }
}
