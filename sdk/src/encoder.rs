use deskreel_contract::{Candidate, EncodeRequest};
use serde::de::DeserializeOwned;

use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Knows ways to turn raw video into a codec's.
pub trait Encoder: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    /// Must be cheap and touch no device: it runs before each part of a recording.
    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// Every way to do what is asked, best first. The host tries them out; a candidate need not work on this
    /// machine. None means: not with this plugin.
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
