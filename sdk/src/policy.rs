//! The trait of a policy plugin.

use deskreel_contract::{Decision, Fact, PolicyAnswer};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Decides what is recorded and to which interaction it belongs. Pure: the same state and fact lead to the
/// same decisions, on any machine, in any year.
pub trait Policy: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;
    /// The policy's memory of one agent from event to event; `()` for none. The host keeps it.
    type State: DeserializeOwned + Serialize + Default;

    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// The first time, `state` is its default.
    fn decide(&self, state: &mut Self::State, fact: &Fact<()>) -> Result<Vec<Decision>>;
}

pub struct PolicyInstance<P>(P);

impl<P: Policy> Instance for PolicyInstance<P> {
    type Settings = P::Settings;

    fn open(settings: P::Settings, host: Host) -> Result<Self> {
        P::open(settings, host).map(PolicyInstance)
    }

    fn call(&mut self, method: &str, json: &str) -> Result<String> {
        match method {
            "decide" => answer(json, |fact: Fact<Option<P::State>>| {
                let (state, fact) = fact.take_state();
                let mut state = state.unwrap_or_default();
                let decisions = self.0.decide(&mut state, &fact)?;
                Ok(PolicyAnswer { state, decisions })
            }),
            other => Err(PluginError::unsupported(other)),
        }
    }
}
