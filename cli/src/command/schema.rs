//! `deskreel schema`: the JSON Schema of pipeline files, with the settings of the plugins of this machine.

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

/// Of one event.
pub fn events() -> Result<ExitCode> {
    println!("{:#}", deskreel_model::event::json_schema());
    Ok(ExitCode::SUCCESS)
}
