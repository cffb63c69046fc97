//! `deskreel run FILE`: runs the recorder as a service.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::exit;

/// Runs the daemon until it is asked to stop. The mistakes of an unusable file have been shown already.
pub fn run(file: &Path) -> Result<ExitCode> {
    Ok(match deskreel_daemon::run(file)? {
        deskreel_daemon::Ended::Stopped => ExitCode::SUCCESS,
        deskreel_daemon::Ended::UnusableFile => exit::invalid_file(),
    })
}
