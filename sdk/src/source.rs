//! The trait of a source plugin.

use deskreel_contract::{Device, SourceRecipe, SourceRequest};
use serde::de::DeserializeOwned;

use crate::abi::FrameStatus;
use crate::error::{PluginError, Result};
use crate::guard::{Instance, answer};
use crate::host::Host;

/// Produces pictures on this machine: of a screen, a window, a capture card.
pub trait Source: Sized + Send + 'static {
    /// The plugin's table in the pipeline file.
    type Settings: DeserializeOwned;

    /// Must be cheap and touch no device: it runs before each part of a recording, and whenever devices are
    /// listed.
    fn open(settings: Self::Settings, host: Host) -> Result<Self>;

    /// Returns how frames are produced. Called before each part of a recording.
    fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe>;

    /// Lists what can be captured on this machine.
    fn devices(&mut self) -> Result<Vec<Device>> {
        Ok(Vec::new())
    }

    /// Paints a frame, if the recipe says `frames`. Called at the recipe's frame rate, on one thread.
    fn frame(&mut self, _frame: &mut Frame<'_>) -> Result<FrameStatus> {
        Err(PluginError::unsupported("frame"))
    }
}

/// A frame to be painted. The recipe's [`FrameFormat`](crate::prelude::FrameFormat) has the layout of the
/// pixels, whose content is arbitrary at first.
pub struct Frame<'a> {
    /// Counts from 0, without gaps.
    pub number: u64,
    /// When this frame is shown, in nanoseconds after the first.
    pub time_ns: u64,
    pub pixels: &'a mut [u8],
}

pub struct SourceInstance<P>(P);

impl<P: Source> Instance for SourceInstance<P> {
    type Settings = P::Settings;

    fn open(settings: P::Settings, host: Host) -> Result<Self> {
        P::open(settings, host).map(SourceInstance)
    }

    fn call(&mut self, method: &str, json: &str) -> Result<String> {
        match method {
            "recipe" => answer(json, |request| self.0.recipe(&request)),
            "devices" => answer(json, |()| self.0.devices()),
            other => Err(PluginError::unsupported(other)),
        }
    }

    fn frame(&mut self, number: u64, time_ns: u64, pixels: &mut [u8]) -> Result<FrameStatus> {
        self.0.frame(&mut Frame { number, time_ns, pixels })
    }
}
