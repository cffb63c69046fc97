//! Loaded libraries and the instances that they make, which the rest of Deskreel calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use deskreel_contract::{
    Answer, Candidate, Descriptor, Device, EncodeRequest, Fact, FinishedRecording, FragmentDelivery,
    PolicyAnswer, SourceRecipe, SourceRequest,
};
use deskreel_sdk::abi::{
    FrameStatus, InstanceBox, PluginRoot_Ref, RSliceMut, RStr, RawInstance_TO, TD_Opaque,
};
use deskreel_sdk::{ErrorKind, PluginError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::c_adapter::CLibrary;
use crate::callbacks::{HostCallbacks, ListenerGuard, host_for};
use crate::error::PluginFailure;
use crate::recipe_only::RecipeOnly;

/// A library in this process. Cheap to clone; its code stays loaded as long as the process lives.
#[derive(Clone)]
pub struct Library {
    pub(crate) path: PathBuf,
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) code: Code,
}

#[derive(Clone, Copy)]
pub(crate) enum Code {
    Rust(PluginRoot_Ref),
    C(CLibrary),
    /// None: the descriptor answers by itself.
    None,
}

impl Library {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// Makes an instance of the plugin `id`, with the settings of its table in the pipeline file.
    pub fn create(&self, id: &str, settings: &Value, host: HostCallbacks) -> Result<Plugin, PluginFailure> {
        let failure = |error: PluginError| PluginFailure::new(id, error);
        let Some(described) = self.descriptor.provides.iter().find(|plugin| plugin.id == id) else {
            return Err(failure(PluginError::failed("not in this library")));
        };
        let json = settings.to_string();
        let (host, listening) = host_for(id, host);
        let instance = match &self.code {
            Code::Rust(root) => {
                let made = root.create()(RStr::from_str(id), RStr::from_str(&json), host);
                made.into_result().map_err(PluginError::from)
            }
            Code::C(library) => library.create(id, &json, host),
            Code::None => Ok(RawInstance_TO::from_value(RecipeOnly::new(described, settings), TD_Opaque)),
        };
        let instance = instance.map_err(failure)?;
        Ok(Plugin { id: id.to_owned(), instance, _listening: listening })
    }
}

/// An instance of a plugin with its settings. After a panic, every call returns the panic.
pub struct Plugin {
    id: String,
    instance: InstanceBox,
    /// Declared after the instance, so that it is dropped after it.
    _listening: ListenerGuard,
}

impl Plugin {
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe, PluginFailure> {
        self.call("recipe", request)
    }

    pub fn devices(&mut self) -> Result<Vec<Device>, PluginFailure> {
        self.call("devices", &())
    }

    pub fn candidates(&mut self, request: &EncodeRequest) -> Result<Vec<Candidate>, PluginFailure> {
        self.call("candidates", request)
    }

    /// `None` from a sink that takes only whole recordings.
    pub fn fragment(&mut self, delivery: &FragmentDelivery) -> Result<Option<Answer>, PluginFailure> {
        match self.call("fragment", delivery) {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.kind == ErrorKind::Unsupported => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Asks a sink whether its deliveries could succeed. One that predates the question has no objection.
    pub fn check(&mut self) -> Result<(), PluginFailure> {
        match self.call("check", &()) {
            Err(failure) if failure.kind == ErrorKind::Unsupported => Ok(()),
            answer => answer,
        }
    }

    pub fn finish(&mut self, recording: &FinishedRecording) -> Result<Answer, PluginFailure> {
        self.call("finish", recording)
    }

    pub fn decide(&mut self, fact: &Fact) -> Result<PolicyAnswer, PluginFailure> {
        self.call("decide", fact)
    }

    pub fn start_feed(&mut self) -> Result<(), PluginFailure> {
        self.call("start", &())
    }

    pub fn stop_feed(&mut self) -> Result<(), PluginFailure> {
        self.call("stop", &())
    }

    /// Paints one frame of a source whose recipe is `frames`; `pixels` has the size of the recipe's format.
    pub fn frame(
        &mut self,
        number: u64,
        time_ns: u64,
        pixels: &mut [u8],
    ) -> Result<FrameStatus, PluginFailure> {
        let painted = self.instance.frame(number, time_ns, RSliceMut::from_mut_slice(pixels));
        painted.into_result().map_err(|error| PluginFailure::new(&self.id, error.into()))
    }

    /// Calls any method of the plugin's kind.
    pub fn call<Q, A>(&mut self, method: &str, request: &Q) -> Result<A, PluginFailure>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let json =
            serde_json::to_string(request).map_err(|error| PluginFailure::new(&self.id, error.into()))?;
        let answer = self.ask(method, &json)?;
        serde_json::from_str(&answer).map_err(|error| {
            let message = format!("its answer to `{method}` does not fit the contract: {error}");
            PluginFailure::new(&self.id, PluginError::failed(message))
        })
    }

    /// The same with JSON that the caller writes and reads.
    pub fn ask(&mut self, method: &str, json: &str) -> Result<String, PluginFailure> {
        let answer = self.instance.call(RStr::from_str(method), RStr::from_str(json)).into_result();
        answer.map(Into::into).map_err(|error| PluginFailure::new(&self.id, error.into()))
    }
}
