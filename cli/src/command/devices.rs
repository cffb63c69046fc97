//! `deskreel devices`: asks each source plugin, in a worker, what it can capture.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use deskreel_contract::{Device, Kind};
use deskreel_deployment::{installed_plugins, plugin_files};
use deskreel_host::Catalog;
use deskreel_model::worker::{Command, Report};
use deskreel_recorder::{Worker, default_worker};
use serde_json::json;

/// Longest wait for a display server that does not answer.
const LIMIT: Duration = Duration::from_secs(10);

/// The id of each source, and its devices or why it cannot list them.
pub type Devices = Vec<(String, std::result::Result<Vec<Device>, String>)>;

pub fn run(as_json: bool) -> Result<ExitCode> {
    let devices = find(&installed_plugins())?;
    if as_json {
        let sources = devices.iter().map(|(source, found)| match found {
            Ok(devices) => json!({ "source": source, "devices": devices }),
            Err(error) => json!({ "source": source, "error": error }),
        });
        println!("{:#}", json!({ "sources": sources.collect::<Vec<_>>() }));
        return Ok(ExitCode::SUCCESS);
    }
    for (source, found) in devices {
        match found {
            Ok(devices) if devices.is_empty() => println!("{source}  (needs settings to list devices)"),
            Ok(devices) => {
                for device in devices {
                    println!("{source}  {}  {}", device.name, device.settings);
                }
            }
            Err(error) => println!("{source}  ({error})"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub fn find(catalog: &Catalog) -> Result<Devices> {
    let sources = catalog.plugins().filter(|(_, _, plugin)| plugin.interface.kind == Kind::Source);
    let files = plugin_files(catalog, sources.map(|(_, _, plugin)| plugin.id.as_str()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let devices = runtime.block_on(async {
        let mut worker = Worker::spawn(&default_worker()?, &files, &[]).await?;
        let answer = |report| match report {
            Report::Devices { devices } => Some(devices),
            _ => None,
        };
        worker.ask(&Command::Devices, LIMIT, answer).await
    })?;
    Ok(devices)
}
