//! Keeps a plugin's panics inside the plugin.
//!
//! Rationale: the host cannot do this. A panic that leaves an `extern "C"` function ends the process, even if
//! host and plugin come from the same compiler, because each library has its own standard library. So panics
//! are caught here, on the plugin's side, and become errors; the instance is not called again.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::abi::{FrameStatus, HostArc, InstanceBox, RErr, ROk, RResult, RSliceMut, RStr, RString};
use crate::abi::{RawError, RawInstance, RawInstance_TO, TD_Opaque};
use crate::error::{ErrorKind, PluginError, Result};
use crate::host::Host;
use crate::log;

/// A plugin of any kind, as the boundary sees it. Each kind implements it once, on top of the vendor's trait.
pub trait Instance: Sized + Send + 'static {
    type Settings: DeserializeOwned;

    fn open(settings: Self::Settings, host: Host) -> Result<Self>;
    fn call(&mut self, method: &str, json: &str) -> Result<String>;

    fn frame(&mut self, _number: u64, _time_ns: u64, _pixels: &mut [u8]) -> Result<FrameStatus> {
        Err(PluginError::unsupported("frame"))
    }
}

/// Reads the argument of a method, calls it, and writes its answer.
pub fn answer<'j, Q: Deserialize<'j>, A: Serialize>(
    json: &'j str,
    method: impl FnOnce(Q) -> Result<A>,
) -> Result<String> {
    let answer = method(serde_json::from_str(json)?)?;
    Ok(serde_json::to_string(&answer)?)
}

/// Opens an instance and passes it across the boundary.
pub fn open<I: Instance>(settings: &str, host: HostArc) -> Result<InstanceBox> {
    // In two steps, because the settings came from a TOML file: an error with a line and column of JSON would
    // mislead.
    let settings: Value = serde_json::from_str(settings)?;
    let settings =
        serde_json::from_value(settings).map_err(|error| PluginError::settings(error.to_string()))?;
    let host = Host { raw: host };
    let instance = log::within(&host, || I::open(settings, host.clone()))?;
    Ok(RawInstance_TO::from_value(Guarded { instance: Some(instance), host }, TD_Opaque))
}

/// Runs vendor code outside of any instance.
pub fn contained<T>(call: impl FnOnce() -> Result<T>) -> RResult<T, RawError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(answer)) => ROk(answer),
        Ok(Err(error)) => RErr(error.into()),
        Err(payload) => RErr(panicked(payload).into()),
    }
}

struct Guarded<I> {
    /// `None` after a panic: the instance's state may be broken, so not even its destructor runs.
    instance: Option<I>,
    host: Host,
}

impl<I> Guarded<I> {
    fn run<T>(&mut self, call: impl FnOnce(&mut I) -> Result<T>) -> RResult<T, RawError> {
        let Some(mut instance) = self.instance.take() else {
            let message = "the plugin panicked earlier; this instance answers no more calls";
            return RErr(PluginError::new(ErrorKind::Panicked, message).into());
        };
        let host = &self.host;
        let outcome = catch_unwind(AssertUnwindSafe(|| log::within(host, || call(&mut instance))));
        match outcome {
            Ok(answer) => {
                self.instance = Some(instance);
                answer.map_err(RawError::from).into()
            }
            Err(payload) => {
                std::mem::forget(instance);
                RErr(panicked(payload).into())
            }
        }
    }
}

impl<I: Instance> RawInstance for Guarded<I> {
    fn call(&mut self, method: RStr<'_>, json: RStr<'_>) -> RResult<RString, RawError> {
        self.run(|instance| instance.call(method.as_str(), json.as_str()).map(RString::from))
    }

    fn frame(
        &mut self,
        number: u64,
        time_ns: u64,
        mut out: RSliceMut<'_, u8>,
    ) -> RResult<FrameStatus, RawError> {
        self.run(|instance| instance.frame(number, time_ns, out.as_mut_slice()))
    }
}

impl<I> Drop for Guarded<I> {
    fn drop(&mut self) {
        if let Some(instance) = self.instance.take() {
            let host = &self.host;
            let dropped = catch_unwind(AssertUnwindSafe(|| log::within(host, || drop(instance))));
            dropped.unwrap_or_else(std::mem::forget);
        }
    }
}

fn panicked(payload: Box<dyn Any + Send>) -> PluginError {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = format!("the plugin panicked: {}", text.unwrap_or("no message"));
    // A payload of the vendor's own type may panic again when it is dropped.
    std::mem::forget(payload);
    PluginError::new(ErrorKind::Panicked, message)
}
