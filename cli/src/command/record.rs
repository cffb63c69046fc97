//! `deskreel record FILE`: supervises one recording, and delivers it to the file's sinks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use deskreel_contract::FinishedRecording;
use deskreel_deployment::{read_recorder, worker_files};
use deskreel_host::Catalog;
use deskreel_model::manifest::{Outcome, Track};
use deskreel_model::{Manifest, MediaTime};
use deskreel_pipeline::RecorderGraph;
use deskreel_platform::signals::StopRequests;
use deskreel_recorder::{Control, Pool, RecordingResult, RecordingSetup, default_worker, job_of};
use deskreel_spool::RecoveredFolder;
use serde_json::json;
use tokio::sync::mpsc;

use crate::args::RecordOptions;
use crate::output::{eprint_line, print_line, size};
use crate::progress::{Progress, ProgressStyle};
use crate::{exit, sinks};

/// How long recovery may delay the end of the command.
const RECOVERY_LIMIT: Duration = Duration::from_secs(1);

pub fn run(options: &RecordOptions) -> Result<ExitCode> {
    let Some((graph, catalog)) = read_recorder(&options.file)? else { return Ok(exit::invalid_file()) };
    note_ignored(&graph);
    let recovered = recover(graph.recording.directory.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let style = ProgressStyle::choose(options.json);
    let finished = runtime.block_on(record(&graph, &catalog, options.duration, style))?;
    let delivered = deliver(&graph, &catalog, options, &finished);
    print_result(options.json, &finished, &delivered);
    // Recovery ran during the whole recording. The next start does the rest.
    let _ = recovered.recv_timeout(RECOVERY_LIMIT);
    if let Some(error) = finished.unsealed {
        return Err(
            anyhow::Error::from(error).context("the recording is not sealed; the next start will seal it")
        );
    }
    match &finished.manifest.outcome {
        Some(Outcome::Failed { failure }) => Err(failure.clone().into()),
        Some(Outcome::Abandoned) => Ok(exit::something_to_report()),
        _ => match delivered.into_iter().find_map(|(_, result)| result.err()) {
            Some(error) => Err(error.context("the recording is kept, but was not delivered")),
            None => Ok(ExitCode::SUCCESS),
        },
    }
}

/// Names the settings that only the service follows, so that nobody believes that a policy applies here.
fn note_ignored(graph: &RecorderGraph) {
    if graph.recording.preroll.is_some() {
        eprintln!("note: `preroll` has no effect here: `record` begins when it starts");
    }
    if !graph.deciders.policies.is_empty() || !graph.deciders.feeds.is_empty() {
        eprintln!("note: `[policy]` and `[feed]` have no effect here: `record` records from start to stop");
    }
}

async fn record(
    graph: &RecorderGraph,
    catalog: &Catalog,
    duration: Option<Duration>,
    style: ProgressStyle,
) -> Result<RecordingResult> {
    let job = job_of(graph);
    let mut pool = Pool::new(default_worker()?, worker_files(graph, catalog), &job, true);
    let limit = graph.recording.max_duration;
    let setup = RecordingSetup {
        max_duration: duration.into_iter().chain(limit).min(),
        ..RecordingSetup::new(&graph.name, &graph.recording.directory, job)
    };
    let (stop, mut control) = mpsc::channel(1);
    stop_on_signal(stop)?;
    let mut progress = Progress::new(style);
    let finished =
        deskreel_recorder::record(setup, &mut pool, &mut control, |notice| progress.show(&notice)).await;
    progress.end();
    Ok(finished?)
}

/// Ends the recording cleanly on Ctrl-C, SIGTERM or a closed terminal. A second signal exits at once; the
/// next start then recovers the recording. Runs on a thread of its own, so that signals work even if the disk
/// hangs.
fn stop_on_signal(stop: mpsc::Sender<Control>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut requests = StopRequests::with_terminal()?;
    drop(entered);
    let wait = async move {
        for asked in 0.. {
            requests.next().await;
            if asked > 0 {
                std::process::exit(130);
            }
            let _ = stop.send(Control::Stop).await;
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}

/// Seals the recordings that an earlier run left, beside the new recording and without delaying it. The
/// receiver gets a message when it is done.
fn recover(directory: PathBuf) -> Receiver<()> {
    let (done, recovered) = channel();
    std::thread::spawn(move || {
        match deskreel_spool::recover(&directory) {
            Ok(recovered) => recovered.iter().for_each(show_recovered),
            // Nothing has been recorded there yet.
            Err(error) if error.is_not_found() => {}
            Err(error) => eprint_line(&format!("could not look for unfinished recordings: {error}")),
        }
        let _ = done.send(());
    });
    recovered
}

fn show_recovered(recovered: &RecoveredFolder) {
    let folder = recovered.folder.display();
    match &recovered.result {
        Ok(summary) => eprint_line(&format!("recovered {folder}: {} frames", summary.frames)),
        Err(error) => eprint_line(&format!("could not recover {folder}: {error}")),
    }
}

/// Each sink's name, and the place of the recording or why it was not delivered.
type Deliveries = Vec<(String, Result<String>)>;

fn deliver(
    graph: &RecorderGraph,
    catalog: &Catalog,
    options: &RecordOptions,
    finished: &RecordingResult,
) -> Deliveries {
    let empty = finished.manifest.tracks.iter().all(|track| track.end().is_none());
    if empty || finished.unsealed.is_some() {
        return Vec::new();
    }
    let id = finished.manifest.recording.to_string();
    let directory = finished.folder.canonicalize().unwrap_or_else(|_| finished.folder.clone());
    let recording = FinishedRecording { id, directory, about: Default::default() };
    let output = options
        .output
        .as_deref()
        .map(|path| ("--output".to_owned(), sinks::file_sink(&absolute(path), true)));
    let configured = graph.sinks.iter().map(|sink| (sink.name.clone(), sink.plugin.clone()));
    let sinks = configured.chain(output);
    sinks
        .map(|(name, sink)| {
            let result = sinks::deliver(catalog, &sink, &recording);
            let result = result.with_context(|| format!("sink `{name}`"));
            (name, result)
        })
        .collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn print_result(as_json: bool, finished: &RecordingResult, delivered: &Deliveries) {
    if as_json {
        let places = delivered.iter().map(|(sink, result)| match result {
            Ok(place) => json!({ "sink": sink, "place": place }),
            Err(error) => json!({ "sink": sink, "error": format!("{error:#}") }),
        });
        let ended = json!({
            "event": "ended",
            "recording": finished.manifest.recording,
            "folder": finished.folder,
            "outcome": finished.manifest.outcome,
            "delivered": places.collect::<Vec<_>>(),
        });
        print_line(&ended.to_string());
        return;
    }
    print_line(&format!("{}  {}", finished.folder.display(), summary(&finished.manifest)));
    for (sink, place) in delivered.iter().filter_map(|(sink, result)| Some((sink, result.as_ref().ok()?))) {
        print_line(&format!("{sink}: {place}"));
    }
}

fn summary(manifest: &Manifest) -> String {
    let end = manifest.tracks.iter().filter_map(Track::end).max().unwrap_or(MediaTime::ZERO);
    let fragments = manifest.tracks.iter().flat_map(|track| &track.parts).flat_map(|part| &part.fragments);
    let bytes = fragments.map(|fragment| fragment.file.size).sum();
    let tracks = manifest.tracks.iter().map(|track| {
        let frames = track.frames();
        let gaps = track.gaps.len();
        format!(
            "{}: {} frames, {} skipped, {} lost, {} gap{}",
            track.name,
            frames.encoded,
            frames.skipped,
            frames.lost,
            gaps,
            if gaps == 1 { "" } else { "s" }
        )
    });
    format!("{end}  {}  {}", size(bytes), tracks.collect::<Vec<_>>().join("; "))
}
