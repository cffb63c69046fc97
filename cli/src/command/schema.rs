//! `deskreel schema`: the JSON Schema of pipeline files, with the settings of the plugins of this machine.

use std::process::ExitCode;

use anyhow::Result;
use deskreel_pipeline::{Catalog, json_schema};

pub fn run(catalog: &Catalog) -> Result<ExitCode> {
    println!("{:#}", json_schema(catalog));
    Ok(ExitCode::SUCCESS)
}

/// Of one event.
pub fn events() -> Result<ExitCode> {
    println!("{:#}", deskreel_model::event::json_schema());
    Ok(ExitCode::SUCCESS)
}
