//! `deskreel doctor`: shows what on this machine would prevent a recording, with the cure.
//!
//! It checks that things work, not only that they exist: it tries the encoders, or makes a real recording of
//! one second with the pipeline file and throws it away.

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

use crate::command::{devices, encoders};
use crate::exit;

/// Least free space: an hour of a busy screen.
const FREE_BYTES: u64 = 1_000_000_000;
/// Footage of the trial recording.
const TRIAL_FOOTAGE: Duration = Duration::from_secs(1);
/// Time until the trial has its footage. The first start of GStreamer on a machine scans all its plugins.
const TRIAL_LIMIT: Duration = Duration::from_secs(15);

/// The result of one check. `cure` is empty if nothing is wrong.
struct CheckResult {
    subject: String,
    what: String,
    cure: String,
}

pub fn run(file: Option<&Path>, as_json: bool) -> Result<ExitCode> {
    let (graph, catalog) = match file {
        None => (None, installed_plugins()),
        Some(file) => match read_recorder(file)? {
            Some((graph, catalog)) => (Some(graph), catalog),
            None => return Ok(exit::invalid_file()),
        },
    };
    let mut results = refused_plugins(&catalog);
    match &graph {
        Some(graph) => {
            results.push(check_disk_space(&graph.recording.directory));
            results.push(check_pipeline(graph, &catalog));
        }
        None => {
            results.push(check_encoders(&catalog));
            results.extend(check_sources(&catalog));
        }
    }
    show(&results, as_json);
    let well = results.iter().all(|result| result.cure.is_empty());
    Ok(if well { ExitCode::SUCCESS } else { exit::something_to_report() })
}

fn show(results: &[CheckResult], as_json: bool) {
    if as_json {
        let row = |result: &CheckResult| json!({ "ok": result.cure.is_empty(), "subject": result.subject, "what": result.what, "cure": result.cure });
        println!("{:#}", json!({ "checks": results.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    for CheckResult { subject, what, cure } in results {
        match cure.is_empty() {
            true => println!("ok    {subject}: {what}"),
            false => println!("FAIL  {subject}: {what}; {cure}"),
        }
    }
}

fn refused_plugins(catalog: &Catalog) -> Vec<CheckResult> {
    let refused = catalog.refused.iter().map(|(path, refused)| CheckResult {
        subject: path.display().to_string(),
        what: refused.to_string(),
        cure: "remove it from the plugin folder or fix it".to_owned(),
    });
    refused.collect()
}

fn check_disk_space(directory: &Path) -> CheckResult {
    let subject = directory.display().to_string();
    let there = directory.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    match deskreel_platform::system::free_bytes(there) {
        Ok(free) if free >= FREE_BYTES => {
            let what = format!("{} free", crate::output::size(free));
            CheckResult { subject, what, cure: String::new() }
        }
        Ok(free) => CheckResult {
            subject,
            what: format!("only {} free", crate::output::size(free)),
            cure: "free some space, or set another `directory` in [recording]".to_owned(),
        },
        Err(error) => {
            CheckResult { subject, what: error.to_string(), cure: "set a `directory` that exists".to_owned() }
        }
    }
}

/// Records with the file's own pipeline for a second.
fn check_pipeline(graph: &RecorderGraph, catalog: &Catalog) -> CheckResult {
    let files = worker_files(graph, catalog);
    record_trial(format!("pipeline `{}`", graph.name), &job_of(graph), files)
}

/// Checks that at least one encoder works. Most machines lack most encoders, which is not worth a report.
fn check_encoders(catalog: &Catalog) -> CheckResult {
    let subject = "encoders".to_owned();
    let cure = "`deskreel encoders` says why each one is refused".to_owned();
    let tracks = match encoders::try_all(&encoders::job_of_all(catalog, Codec::H264), catalog, false) {
        Ok(tracks) => tracks,
        Err(error) => return CheckResult { subject, what: format!("{error:#}"), cure },
    };
    let tried = || tracks.iter().flat_map(|track| &track.candidates);
    let works: Vec<_> =
        tried().filter(|one| one.works()).map(|one| one.candidate.candidate.as_str()).collect();
    match works.is_empty() {
        true => CheckResult { subject, what: format!("none of {} works", tried().count()), cure },
        false => CheckResult {
            subject,
            what: format!("{} of {}", works.join(", "), tried().count()),
            cure: String::new(),
        },
    }
}

/// Makes a recording in a temporary folder, verifies it and throws it away.
fn record_trial(subject: String, job: &Job, plugins: Vec<PluginFile>) -> CheckResult {
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
            && status.at - *first.get_or_insert(status.at) >= TRIAL_FOOTAGE
        {
            // The channel is full only if it was sent before.
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
    // Nobody else uses the folder. If it cannot be removed, a few kilobytes stay in a temporary folder.
    let _ = std::fs::remove_dir_all(&folder);
    match outcome {
        Ok(frames) => CheckResult { subject, what: format!("recorded {frames} frames"), cure: String::new() },
        Err(what) => CheckResult {
            subject,
            what,
            cure: "set DESKREEL_LOG=debug to see more; docs/errors.md has the cures".to_owned(),
        },
    }
}

fn check_sources(catalog: &Catalog) -> Vec<CheckResult> {
    let found = match devices::find(catalog) {
        Ok(found) => found,
        Err(error) => {
            let cure = "make sure that deskreel-worker is beside deskreel and starts".to_owned();
            return vec![CheckResult { subject: "worker".to_owned(), what: format!("{error:#}"), cure }];
        }
    };
    let result = |(source, devices): (String, Result<Vec<_>, String>)| match devices {
        Ok(devices) => CheckResult {
            subject: source,
            what: format!("{} to capture", devices.len()),
            cure: String::new(),
        },
        Err(what) => CheckResult { subject: source, what, cure: "see the plugin's README".to_owned() },
    };
    found.into_iter().map(result).collect()
}

/// The worker program. If it is missing, the trial reports that.
fn worker() -> PathBuf {
    default_worker().unwrap_or_else(|_| PathBuf::from("deskreel-worker"))
}
