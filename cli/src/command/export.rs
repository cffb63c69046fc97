//! `deskreel export RECORDING out.mp4`: the recording through `sink.file`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use deskreel_contract::FinishedRecording;
use deskreel_deployment::installed_plugins;

use crate::recording::manifest;
use crate::sinks;

pub fn run(recording: &Path, output: &Path, overwrite: bool) -> Result<ExitCode> {
    let manifest = manifest(recording)?;
    if manifest.outcome.is_none() {
        bail!(
            "the recording is not finished: wait for its recorder, or let `deskreel record` recover it at its next start"
        );
    }
    let catalog = installed_plugins();
    let finished = FinishedRecording {
        id: manifest.recording.to_string(),
        directory: recording.canonicalize()?,
        ..Default::default()
    };
    let place = sinks::finish(&catalog, &sinks::file(output, overwrite), &finished)?;
    println!("{place}");
    Ok(ExitCode::SUCCESS)
}
