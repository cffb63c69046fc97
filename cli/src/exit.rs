//! From an error to the exit code that tells whose fault it is.

use std::process::ExitCode;

use deskreel_host::{PluginFailure, Refusal};
use deskreel_model::{Failure, Fault};

/// Nothing went wrong, but there is something to report: nothing was recorded, or a check found something.
pub fn reported() -> ExitCode {
    ExitCode::from(1)
}

pub fn code_of(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(fault_of(error).exit_code())
}

/// What is not known to be anybody else's fault came from the command line: a path that is not there, mostly.
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
