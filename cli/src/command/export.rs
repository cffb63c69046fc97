//! `deskreel export RECORDING OUT.mp4`: writes the recording with `sink.file`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use deskreel_contract::FinishedRecording;
use deskreel_deployment::installed_plugins;

use crate::manifest;
use crate::sinks;

pub fn run(recording: &Path, output: &Path, overwrite: bool) -> Result<ExitCode> {
    let manifest = manifest::load(recording)?;
    if manifest.outcome.is_none() {
        bail!(
            "the recording is not finished: wait until its recorder ends, or start `deskreel record` to recover it"
        );
    }
    let catalog = installed_plugins();
    let finished = FinishedRecording {
        id: manifest.recording.to_string(),
        directory: recording.canonicalize()?,
        ..Default::default()
    };
    let place = sinks::deliver(&catalog, &sinks::file_sink(output, overwrite), &finished)?;
    println!("{place}");
    Ok(ExitCode::SUCCESS)
}
