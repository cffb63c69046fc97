//! Hands finished recordings to sinks, in this process.

use std::path::Path;

use anyhow::{Context, Result, bail};
use deskreel_contract::{Answer, FinishedRecording};
use deskreel_host::{Catalog, HostCallbacks};
use deskreel_model::worker::PluginSettings;

/// Gives a recording to a sink; says where it went. Sinks that ask for more time are asked again by whoever keeps
/// the recording: it stays where it is.
pub fn finish(catalog: &Catalog, sink: &PluginSettings, recording: &FinishedRecording) -> Result<String> {
    let id = &sink.plugin;
    let (found, _) = catalog.find(id).with_context(|| format!("there is no plugin `{id}`"))?;
    let library = deskreel_host::load_with_deadline(found, deskreel_host::LOAD_LIMIT)
        .with_context(|| format!("{} cannot be used", found.path.display()))?;
    let mut plugin = library.create(id, &sink.settings, HostCallbacks::default())?;
    match plugin.finish(recording)? {
        Answer::Acknowledged { place } => Ok(place),
        Answer::RetryAfter { reason, .. } => bail!("{id} cannot take the recording now: {reason}"),
        Answer::Refused { reason } => bail!("{id} does not take the recording: {reason}"),
    }
}

/// The settings of `sink.file` for one file.
pub fn file(output: &Path, overwrite: bool) -> PluginSettings {
    let settings = serde_json::json!({ "path": output, "overwrite": overwrite });
    PluginSettings { plugin: "sink.file".to_owned(), settings }
}
