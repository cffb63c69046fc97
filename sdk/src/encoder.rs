//! The trait of an encoder plugin.

use deskreel_contract::{Candidate, EncodeRequest};
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Offers ways to encode raw video in a codec.
pub trait Encoder: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    /// Must be cheap and touch no device: it runs before each part of a recording.
    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// Every way to fulfill the request, best first. A candidate need not work on this machine: the host
    /// tries it out first. An empty list means that this plugin cannot do it.
    fn candidates(&mut self, request: &EncodeRequest) -> Result<Vec<Candidate>>;
}

pub struct EncoderInstance<P>(P);

impl<P: Encoder> Instance for EncoderInstance<P> {
    type Settings = P::Settings;

    fn open(settings: P::Settings, host: Host) -> Result<Self> {
        P::open(settings, host).map(EncoderInstance)
    }

    fn call(&mut self, method: &str, json: &str) -> Result<String> {
        match method {
            "candidates" => answer(json, |request| self.0.candidates(&request)),
            other => Err(PluginError::unsupported(other)),
        }
    }
}
