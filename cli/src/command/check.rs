//! `deskreel check FILE`: shows every mistake in a pipeline file, with its line and column. No code of a
//! plugin runs, except with `--probe`, which checks whether this machine can do what the file says.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use deskreel_deployment::{CheckedFile, Deployment};
use deskreel_recorder::job_of;
use serde_json::{Value, json};

use crate::command::encoders;
use crate::exit;

pub fn run(path: &Path, json: bool) -> Result<ExitCode> {
    let checked = CheckedFile::read(path)?;
    checked.show_notes();
    let code = if checked.deployment.is_some() { ExitCode::SUCCESS } else { exit::invalid_file() };
    if json {
        let ok = checked.deployment.is_some();
        let report = json!({ "ok": ok, "diagnostics": checked.diagnostics_json() });
        println!("{report:#}");
        return Ok(code);
    }
    checked.show_diagnostics();
    if let Some(deployment) = &checked.deployment {
        println!("{}: {}", path.display(), summary(deployment));
    }
    Ok(code)
}

/// Checks the file, and then the machine: shows the encoder candidates of each track.
pub fn probe(path: &Path, as_json: bool) -> Result<ExitCode> {
    let checked = CheckedFile::read(path)?;
    checked.show_notes();
    if !as_json {
        checked.show_diagnostics();
    }
    let tracks = match &checked.deployment {
        Some(Deployment::Recorder(graph)) => {
            Some(encoders::try_all(&job_of(graph), &checked.catalog, false)?)
        }
        // A server encodes nothing.
        Some(Deployment::Server(_)) => Some(Vec::new()),
        None => None,
    };
    let code = tracks.as_deref().map_or_else(exit::invalid_file, encoders::exit_code);
    if as_json {
        let ok = code == ExitCode::SUCCESS;
        let mut report = json!({ "ok": ok, "diagnostics": checked.diagnostics_json() });
        if let (Some(tracks), Value::Object(report)) = (&tracks, &mut report) {
            report.extend(encoders::to_json(tracks).as_object().cloned().unwrap_or_default());
        }
        println!("{report:#}");
    } else if let (Some(deployment), Some(tracks)) = (&checked.deployment, &tracks) {
        println!("{}: {}", path.display(), summary(deployment));
        tracks.iter().for_each(encoders::show);
    }
    Ok(code)
}

fn summary(deployment: &Deployment) -> String {
    let count = |number: usize, one: &str, several: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {several}"),
    };
    let (tracks, sinks, deciders) = match deployment {
        Deployment::Recorder(graph) => (graph.recording.tracks.len(), graph.sinks.len(), &graph.deciders),
        Deployment::Server(graph) => (0, 0, &graph.deciders),
    };
    let tracks = count(tracks, "track", "tracks");
    let sinks = count(sinks, "sink", "sinks");
    let feeds = count(deciders.feeds.len(), "feed", "feeds");
    let policies = count(deciders.policies.len(), "policy", "policies");
    format!("no errors; {tracks}, {sinks}, {feeds}, {policies}")
}
