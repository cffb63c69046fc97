//! `deskreel check FILE`: every mistake in a pipeline file, at its line and column. Runs nothing of a plugin, unless it is
//! asked with `--probe` whether this machine can do what the file says.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use deskreel_deployment::{CheckedFile, descriptors_of, find_plugins, to_json};
use deskreel_model::Fault;
use deskreel_pipeline::{Catalog, Graph, PluginSearch};
use deskreel_recorder::job_of;
use serde_json::{Value, json};

use crate::command::encoders;

/// Exit code of every command that was given a file with errors.
pub fn refused() -> ExitCode {
    ExitCode::from(Fault::Config.exit_code())
}

pub fn run(path: &Path, json: bool, find: impl FnOnce(&PluginSearch) -> Catalog) -> Result<ExitCode> {
    let checked = CheckedFile::read(path, find)?;
    let code = if checked.graph.is_some() { ExitCode::SUCCESS } else { refused() };
    if json {
        let ok = checked.graph.is_some();
        let report = json!({ "ok": ok, "diagnostics": to_json(&checked.file, &checked.diagnostics) });
        println!("{report:#}");
        return Ok(code);
    }
    if let Some(graph) = checked.show() {
        println!("{}: {}", path.display(), summary(&graph));
    }
    Ok(code)
}

/// The file, and then the machine: one line a track, or its candidates where none works.
pub fn probe(path: &Path, as_json: bool) -> Result<ExitCode> {
    let mut found = deskreel_host::Catalog::default();
    let checked = CheckedFile::read(path, |search| {
        found = find_plugins(search);
        descriptors_of(&found)
    })?;
    let diagnostics = to_json(&checked.file, &checked.diagnostics);
    let graph = if as_json { checked.graph } else { checked.show() };
    let tracks = match &graph {
        Some(graph) => Some(encoders::ask(&job_of(graph), &found, false)?),
        None => None,
    };
    let code = tracks.as_deref().map_or_else(refused, encoders::code);
    if as_json {
        let ok = code == ExitCode::SUCCESS;
        let mut report = json!({ "ok": ok, "diagnostics": diagnostics });
        if let (Some(tracks), Value::Object(report)) = (&tracks, &mut report) {
            report.extend(encoders::to_json(tracks).as_object().cloned().unwrap_or_default());
        }
        println!("{report:#}");
    } else if let (Some(graph), Some(tracks)) = (&graph, &tracks) {
        println!("{}: {}", path.display(), summary(graph));
        tracks.iter().for_each(encoders::show);
    }
    Ok(code)
}

fn summary(graph: &Graph) -> String {
    let count = |number: usize, thing: &str| match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    };
    let tracks = count(graph.recording.tracks.len(), "track");
    let sinks = count(graph.sinks.len(), "sink");
    let feeds = count(graph.feeds.len(), "feed");
    let policies = graph.policies.len();
    let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
    format!("no errors; {tracks}, {sinks}, {feeds}, {policies}")
}
