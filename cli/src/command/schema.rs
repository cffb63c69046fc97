//! `deskreel schema`: prints the JSON Schema of pipeline files with the settings of the installed plugins, or
//! of events.

use std::process::ExitCode;

use anyhow::Result;
use deskreel_deployment::{descriptors_of, installed_plugins, refusals};
use deskreel_pipeline::json_schema;

pub fn run() -> Result<ExitCode> {
    let catalog = installed_plugins();
    refusals(&catalog).for_each(|note| eprintln!("note: {note}"));
    println!("{:#}", json_schema(&descriptors_of(&catalog)));
    Ok(ExitCode::SUCCESS)
}

/// Prints the schema of one event.
pub fn events() -> Result<ExitCode> {
    println!("{:#}", deskreel_model::event::json_schema());
    Ok(ExitCode::SUCCESS)
}
