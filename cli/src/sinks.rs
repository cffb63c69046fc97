//! Delivers finished recordings to sinks, in this process.

use std::path::Path;

use anyhow::{Context, Result, bail};
use deskreel_contract::{Answer, FinishedRecording};
use deskreel_host::{Catalog, HostCallbacks};
use deskreel_model::worker::PluginSettings;

/// Delivers a recording to a sink; returns the place to which it went. A sink that asks for more time counts
/// as failed here: the recording stays where it is, and can be delivered later.
pub fn deliver(catalog: &Catalog, sink: &PluginSettings, recording: &FinishedRecording) -> Result<String> {
    let id = &sink.plugin;
    let (found, _) = catalog.find(id).with_context(|| format!("there is no plugin `{id}`"))?;
    let library = deskreel_host::load_with_deadline(found, deskreel_host::LOAD_LIMIT)
        .with_context(|| format!("{} cannot be used", found.path.display()))?;
    let mut plugin = library.create(id, &sink.settings, HostCallbacks::default())?;
    match plugin.finish(recording)? {
        Answer::Acknowledged { place } => Ok(place),
        Answer::RetryAfter { reason, .. } => bail!("{id} cannot take the recording now: {reason}"),
        Answer::Refused { reason } => bail!("{id} refuses the recording: {reason}"),
    }
}

/// A `sink.file` that writes `output`.
pub fn file_sink(output: &Path, overwrite: bool) -> PluginSettings {
    let settings = serde_json::json!({ "path": output, "overwrite": overwrite });
    PluginSettings { plugin: "sink.file".to_owned(), settings }
}
