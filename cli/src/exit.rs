//! The exit code of an error, which says whose fault it is.

use std::process::ExitCode;

use deskreel_host::{PluginFailure, Refusal};
use deskreel_model::{Failure, Fault};

/// Nothing went wrong, but there is something to report: nothing was recorded, or a check found something.
pub fn something_to_report() -> ExitCode {
    ExitCode::from(1)
}

/// A pipeline file has errors, which have been shown.
pub fn invalid_file() -> ExitCode {
    ExitCode::from(Fault::Config.exit_code())
}

pub fn code_of(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(fault_of(error).exit_code())
}

/// An error of unknown origin counts as a mistake on the command line: mostly a path that does not exist.
fn fault_of(error: &anyhow::Error) -> Fault {
    error
        .chain()
        .find_map(|cause| {
            if let Some(failure) = cause.downcast_ref::<Failure>() {
                return Some(failure.fault);
            }
            if let Some(error) = cause.downcast_ref::<deskreel_recorder::Error>() {
                return Some(error.fault());
            }
            if let Some(error) = cause.downcast_ref::<deskreel_spool::Error>() {
                return Some(error.fault());
            }
            if let Some(error) = cause.downcast_ref::<deskreel_deployment::Error>() {
                return Some(error.fault());
            }
            if let Some(error) = cause.downcast_ref::<PluginFailure>() {
                return Some(error.fault());
            }
            cause.downcast_ref::<Refusal>().map(|_| Fault::Plugin)
        })
        .unwrap_or(Fault::Config)
}
