//! The plugins of this worker: loads those that the supervisor admitted, and calls them.

use std::path::PathBuf;
use std::sync::Arc;

use deskreel_contract::{Candidate, Device, EncodeRequest, Kind, Notice, SourceRecipe, SourceRequest};
use deskreel_host::{FoundFile, FrameStatus, HostCallbacks, Library, Plugin, PluginFailure, Refusal};
use deskreel_model::Fault;
use deskreel_model::manifest::PluginUse;
use deskreel_model::worker::{PluginFile, PluginSettings};
use serde_json::{Value, json};

use crate::error::Error;

#[derive(Default)]
pub struct Plugins {
    libraries: Vec<Library>,
    unusable: Vec<UnusableLibrary>,
}

/// A library that could not be loaded.
struct UnusableLibrary {
    path: PathBuf,
    /// The ids of its plugins, if they are known.
    ids: Vec<String>,
    reason: String,
}

impl Plugins {
    /// Loads what can be loaded. An error names a library that hangs.
    pub fn load(files: &[PluginFile]) -> Result<Plugins, (PathBuf, Refusal)> {
        let mut plugins = Plugins::default();
        for file in files {
            let found = deskreel_host::examine(&file.path);
            let loaded = match &file.unusable {
                Some(reason) => Err(reason.clone()),
                None => match load(&found, &file.sha256) {
                    Err(hangs @ Refusal::NeverReturned { .. }) => return Err((found.path, hangs)),
                    loaded => loaded.map_err(|refused| refused.to_string()),
                },
            };
            match loaded {
                Ok(library) => plugins.libraries.push(library),
                Err(reason) => {
                    let provides = found.descriptor.iter().flat_map(|descriptor| &descriptor.provides);
                    let ids = provides.map(|plugin| plugin.id.clone()).collect();
                    plugins.unusable.push(UnusableLibrary { path: found.path, ids, reason });
                }
            }
        }
        Ok(plugins)
    }

    /// The libraries that could not be loaded, and why.
    pub fn refused(&self) -> Vec<(PathBuf, String)> {
        self.unusable.iter().map(|library| (library.path.clone(), library.reason.clone())).collect()
    }

    /// Opens a source. `noticed` is called with each of its notices.
    pub fn source(
        &self,
        wanted: &PluginSettings,
        noticed: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<SourcePlugin, Error> {
        let on_emit = move |notice: Value| match serde_json::from_value(notice) {
            Ok(notice) => noticed(notice),
            Err(error) => tracing::warn!(%error, "a source has sent a notice that is unknown here"),
        };
        let (plugin, used) =
            self.create(wanted, HostCallbacks { on_emit: Arc::new(on_emit), on_submit: None })?;
        Ok(SourcePlugin { plugin, used })
    }

    /// The candidates of an encoder plugin, best first.
    pub fn candidates(
        &self,
        wanted: &PluginSettings,
        request: &EncodeRequest,
    ) -> Result<(PluginUse, Vec<Candidate>), Error> {
        let (mut plugin, used) = self.create(wanted, HostCallbacks::default())?;
        let candidates = plugin.candidates(request).map_err(|failure| failed(&wanted.plugin, &failure))?;
        Ok((used, candidates))
    }

    /// The devices that each source plugin could capture here, or why it cannot say.
    pub fn devices(&self) -> Vec<(String, Result<Vec<Device>, String>)> {
        let mut devices = Vec::new();
        for library in &self.libraries {
            let sources = library.descriptor().provides.iter().filter(|p| p.interface.kind == Kind::Source);
            for source in sources {
                let plugin = library.create(&source.id, &json!({}), HostCallbacks::default());
                let found = match plugin {
                    Ok(mut plugin) => plugin.devices().map_err(|failure| failure.message),
                    Err(failure) => Err(failure.message),
                };
                devices.push((source.id.clone(), found));
            }
        }
        devices
    }

    fn create(&self, wanted: &PluginSettings, host: HostCallbacks) -> Result<(Plugin, PluginUse), Error> {
        let has = |library: &&Library| library.descriptor().provides.iter().any(|p| p.id == wanted.plugin);
        let library = self.libraries.iter().find(has);
        let library = library.ok_or_else(|| self.missing(&wanted.plugin))?;
        let plugin = library
            .create(&wanted.plugin, &wanted.settings, host)
            .map_err(|failure| failed(&wanted.plugin, &failure))?;
        let version = library.descriptor().version.clone();
        Ok((plugin, PluginUse { plugin: wanted.plugin.clone(), version }))
    }

    fn missing(&self, id: &str) -> Error {
        match self.unusable.iter().find(|library| library.ids.iter().any(|had| had == id)) {
            Some(UnusableLibrary { path, reason, .. }) => Error::Plugin {
                plugin: id.to_owned(),
                message: format!("{}: {reason}", path.display()),
                fault: Fault::Plugin,
            },
            None => Error::NoPlugin(id.to_owned()),
        }
    }
}

fn load(found: &FoundFile, admitted: &str) -> Result<Library, Refusal> {
    if found.sha256 != admitted {
        return Err(Refusal::Changed { expected: admitted.to_owned(), found: found.sha256.clone() });
    }
    deskreel_host::load_with_deadline(found, deskreel_host::LOAD_LIMIT)
}

/// A source, opened with its settings.
pub struct SourcePlugin {
    plugin: Plugin,
    used: PluginUse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaintStatus {
    Painted,
    /// The source has nothing more to show.
    End,
}

impl SourcePlugin {
    pub fn used(&self) -> PluginUse {
        self.used.clone()
    }

    pub fn recipe(&mut self, request: &SourceRequest) -> Result<SourceRecipe, Error> {
        self.plugin.recipe(request).map_err(|failure| failed(&self.used.plugin, &failure))
    }

    pub fn frame(&mut self, number: u64, time_ns: u64, pixels: &mut [u8]) -> Result<PaintStatus, Error> {
        let status = self.plugin.frame(number, time_ns, pixels);
        match status.map_err(|failure| failed(&self.used.plugin, &failure))? {
            FrameStatus::Painted => Ok(PaintStatus::Painted),
            _ => Ok(PaintStatus::End),
        }
    }
}

fn failed(plugin: &str, failure: &PluginFailure) -> Error {
    Error::Plugin { plugin: plugin.to_owned(), message: failure.message.clone(), fault: failure.fault() }
}
