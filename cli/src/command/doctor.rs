//! `deskreel doctor`: what on this machine would stop a recording, one line each, with the cure.
//!
//! It does not ask whether a thing is there but whether it works: it tries the encoders, or makes a real recording of a
//! second as the pipeline file says and throws it away.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use deskreel_contract::Codec;
use deskreel_deployment::{installed_plugins, read_recorder, worker_files};
use deskreel_host::Catalog;
use deskreel_model::manifest::Outcome;
use deskreel_model::worker::{Job, PluginFile};
use deskreel_pipeline::RecorderGraph;
use deskreel_recorder::{Control, Notice, Pool, RecordingSetup, default_worker, job_of};
use serde_json::json;
use tokio::sync::mpsc;

use crate::command::{check::refused, devices, encoders};
use crate::exit;

/// Room for an hour of a busy screen.
const ROOM: u64 = 1_000_000_000;
/// Footage of a trial.
const TRIAL: Duration = Duration::from_secs(1);
/// For the trial's first frame; the first GStreamer on a machine looks at all its plugins.
const TRIAL_LIMIT: Duration = Duration::from_secs(15);

/// One line. `cure` is empty where nothing is wrong.
struct Line {
    subject: String,
    what: String,
    cure: String,
}

pub fn run(file: Option<&Path>, as_json: bool) -> Result<ExitCode> {
    let (graph, catalog) = match file {
        None => (None, installed_plugins()),
        Some(file) => match read_recorder(file)? {
            Some((graph, catalog)) => (Some(graph), catalog),
            None => return Ok(refused()),
        },
    };
    let mut lines = refused_plugins(&catalog);
    match &graph {
        Some(graph) => {
            lines.push(room(&graph.recording.directory));
            lines.push(pipeline(graph, &catalog));
        }
        None => {
            lines.push(encoders(&catalog));
            lines.extend(sources(&catalog));
        }
    }
    show(&lines, as_json);
    let well = lines.iter().all(|line| line.cure.is_empty());
    Ok(if well { ExitCode::SUCCESS } else { exit::reported() })
}

fn show(lines: &[Line], as_json: bool) {
    if as_json {
        let row = |line: &Line| json!({ "ok": line.cure.is_empty(), "subject": line.subject, "what": line.what, "cure": line.cure });
        println!("{:#}", json!({ "checks": lines.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    for Line { subject, what, cure } in lines {
        match cure.is_empty() {
            true => println!("ok    {subject}: {what}"),
            false => println!("FAIL  {subject}: {what}; {cure}"),
        }
    }
}

fn refused_plugins(catalog: &Catalog) -> Vec<Line> {
    let refused = catalog.refused.iter().map(|(path, refused)| Line {
        subject: path.display().to_string(),
        what: refused.to_string(),
        cure: "remove it from the plugin folder or fix it".to_owned(),
    });
    refused.collect()
}

fn room(directory: &Path) -> Line {
    let subject = directory.display().to_string();
    let there = directory.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(there) {
        Ok(disk) if disk.f_bavail * disk.f_frsize >= ROOM => {
            let what = format!("{} free", crate::progress::size(disk.f_bavail * disk.f_frsize));
            Line { subject, what, cure: String::new() }
        }
        Ok(disk) => Line {
            subject,
            what: format!("only {} free", crate::progress::size(disk.f_bavail * disk.f_frsize)),
            cure: "make room, or name another `directory` in [recording]".to_owned(),
        },
        Err(error) => {
            Line { subject, what: error.to_string(), cure: "name a `directory` that exists".to_owned() }
        }
    }
}

/// The file's own pipeline, for a second.
fn pipeline(graph: &RecorderGraph, catalog: &Catalog) -> Line {
    let files = worker_files(graph, catalog);
    tried(format!("pipeline `{}`", graph.name), &job_of(graph), files)
}

/// Whether there is one that works. That most machines lack most encoders is nothing to report.
fn encoders(catalog: &Catalog) -> Line {
    let subject = "encoders".to_owned();
    let cure = "`deskreel encoders` says why each one is refused".to_owned();
    let tracks = match encoders::ask(&encoders::any_job(catalog, Codec::H264), catalog, false) {
        Ok(tracks) => tracks,
        Err(error) => return Line { subject, what: format!("{error:#}"), cure },
    };
    let tried = || tracks.iter().flat_map(|track| &track.candidates);
    let works: Vec<_> =
        tried().filter(|one| one.works()).map(|one| one.candidate.candidate.as_str()).collect();
    match works.is_empty() {
        true => Line { subject, what: format!("none of {} works", tried().count()), cure },
        false => Line {
            subject,
            what: format!("{} of {}", works.join(", "), tried().count()),
            cure: String::new(),
        },
    }
}

/// Makes a recording in a temporary folder, verifies it and throws it away.
fn tried(subject: String, job: &Job, plugins: Vec<PluginFile>) -> Line {
    let mut pool = Pool::new(worker(), plugins, job, false);
    let folder = std::env::temp_dir().join(format!("deskreel-doctor-{}", std::process::id()));
    let setup = RecordingSetup {
        max_duration: Some(TRIAL_LIMIT),
        ..RecordingSetup::new("doctor", folder.clone(), job.clone())
    };
    let (stop, mut control) = mpsc::channel(1);
    let mut first = None;
    let stop_after_trial = |notice| {
        if let Notice::Progress(status) = notice
            && status.frames.encoded > 0
            && status.at - *first.get_or_insert(status.at) >= TRIAL
        {
            // Full only if it was sent before.
            let _ = stop.try_send(Control::Stop);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| error.to_string()).and_then(|runtime| {
        let recorded =
            runtime.block_on(deskreel_recorder::record(setup, &mut pool, &mut control, stop_after_trial));
        let finished = recorded.map_err(|error| error.with_causes())?;
        match finished.manifest.outcome {
            Some(Outcome::Finished) => {}
            Some(Outcome::Failed { failure }) => return Err(failure.to_string()),
            _ => return Err(format!("no frame was recorded within {} s", TRIAL_LIMIT.as_secs())),
        }
        let report = deskreel_spool::verify_bytes(&finished.folder);
        match report.findings.first() {
            None => Ok(report.frames),
            Some(finding) => Err(format!("{}: {}", finding.file, finding.sentence)),
        }
    });
    // It is ours alone; what cannot be removed is a few kilobytes in a temporary folder.
    let _ = std::fs::remove_dir_all(&folder);
    match outcome {
        Ok(frames) => Line { subject, what: format!("recorded {frames} frames"), cure: String::new() },
        Err(what) => Line {
            subject,
            what,
            cure: "DESKREEL_LOG=debug shows more; docs/errors.md has the cures".to_owned(),
        },
    }
}

fn sources(catalog: &Catalog) -> Vec<Line> {
    let found = match devices::ask(catalog) {
        Ok(found) => found,
        Err(error) => {
            let cure = "see that deskreel-worker lies beside deskreel and starts".to_owned();
            return vec![Line { subject: "worker".to_owned(), what: format!("{error:#}"), cure }];
        }
    };
    let line = |(source, devices): (String, Result<Vec<_>, String>)| match devices {
        Ok(devices) => {
            Line { subject: source, what: format!("{} to capture", devices.len()), cure: String::new() }
        }
        Err(what) => Line { subject: source, what, cure: "see the plugin's README".to_owned() },
    };
    found.into_iter().map(line).collect()
}

/// A worker that is missing is told by the trial that needs it.
fn worker() -> PathBuf {
    default_worker().unwrap_or_else(|_| PathBuf::from("deskreel-worker"))
}
