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
use deskreel_recorder::{Control, Pool, RecordingResult, RecordingSetup, default_worker, job_of};
use deskreel_spool::RecoveredFolder;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::check::refused;
use crate::args::RecordOptions;
use crate::progress::{Progress, Style, say, size, tell};
use crate::{exit, sinks};

/// How long recovery may hold up the end of the command.
const RECOVERY_LIMIT: Duration = Duration::from_secs(1);

pub fn run(options: &RecordOptions) -> Result<ExitCode> {
    let Some((graph, catalog)) = read_recorder(&options.file)? else { return Ok(refused()) };
    tell_ignored(&graph);
    let recovered = recover(graph.recording.directory.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let style = Style::choose(options.json);
    let finished = runtime.block_on(record(&graph, &catalog, options.duration, style))?;
    let delivered = deliver(&graph, &catalog, options, &finished);
    report(options.json, &finished, &delivered);
    // It has had the whole recording's time. What it has not done by now, the next start does.
    let _ = recovered.recv_timeout(RECOVERY_LIMIT);
    if let Some(error) = finished.unsealed {
        return Err(
            anyhow::Error::from(error).context("the recording is not sealed; the next start will do it")
        );
    }
    match &finished.manifest.outcome {
        Some(Outcome::Failed { failure }) => Err(failure.clone().into()),
        Some(Outcome::Abandoned) => Ok(exit::reported()),
        _ => match delivered.into_iter().find_map(|(_, result)| result.err()) {
            Some(error) => Err(error.context("the recording is kept, but was not delivered")),
            None => Ok(ExitCode::SUCCESS),
        },
    }
}

/// What a daemon would obey and this command does not. Nobody may believe that a policy holds where it does not.
fn tell_ignored(graph: &RecorderGraph) {
    if graph.recording.preroll.is_some() {
        eprintln!("note: `preroll` has no effect here: `record` begins when it is started");
    }
    if !graph.deciders.policies.is_empty() || !graph.deciders.feeds.is_empty() {
        eprintln!(
            "note: `[policy]` and `[feed]` have no effect here: `record` records from its start to its stop"
        );
    }
}

async fn record(
    graph: &RecorderGraph,
    catalog: &Catalog,
    duration: Option<Duration>,
    style: Style,
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

/// Ctrl-C, SIGTERM and a terminal that goes away ask for a clean end. A second one does not wait for it; the next start recovers what there is.
/// On a thread of its own, so that it is heard even where the disk hangs.
fn stop_on_signal(stop: mpsc::Sender<Control>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    let wait = async move {
        for asked in 0.. {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if asked > 0 {
                std::process::exit(130);
            }
            let _ = stop.send(Control::Stop).await;
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}

/// Seals what an earlier run left, beside the new recording and without holding it up. Says when it is done.
fn recover(directory: PathBuf) -> Receiver<()> {
    let (done, recovered) = channel();
    std::thread::spawn(move || {
        match deskreel_spool::recover(&directory) {
            Ok(recovered) => recovered.iter().for_each(tell_recovered),
            // Nothing was recorded there yet.
            Err(error) if error.is_not_found() => {}
            Err(error) => tell(&format!("could not look for unfinished recordings: {error}")),
        }
        let _ = done.send(());
    });
    recovered
}

fn tell_recovered(recovered: &RecoveredFolder) {
    let folder = recovered.folder.display();
    match &recovered.result {
        Ok(summary) => tell(&format!("recovered {folder}: {} frames", summary.frames)),
        Err(error) => tell(&format!("could not recover {folder}: {error}")),
    }
}

/// Each sink's name, and where the recording went or why it did not.
type Delivered = Vec<(String, Result<String>)>;

fn deliver(
    graph: &RecorderGraph,
    catalog: &Catalog,
    options: &RecordOptions,
    finished: &RecordingResult,
) -> Delivered {
    let empty = finished.manifest.tracks.iter().all(|track| track.end().is_none());
    if empty || finished.unsealed.is_some() {
        return Vec::new();
    }
    let id = finished.manifest.recording.to_string();
    let directory = finished.folder.canonicalize().unwrap_or_else(|_| finished.folder.clone());
    let recording = FinishedRecording { id, directory, about: Default::default() };
    let output =
        options.output.as_deref().map(|path| ("--output".to_owned(), sinks::file(&absolute(path), true)));
    let configured = graph.sinks.iter().map(|sink| (sink.name.clone(), sink.plugin.clone()));
    let sinks = configured.chain(output);
    sinks
        .map(|(name, sink)| {
            let result = sinks::finish(catalog, &sink, &recording);
            let result = result.with_context(|| format!("sink `{name}`"));
            (name, result)
        })
        .collect()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn report(as_json: bool, finished: &RecordingResult, delivered: &Delivered) {
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
        say(&ended.to_string());
        return;
    }
    say(&format!("{}  {}", finished.folder.display(), summary(&finished.manifest)));
    for (sink, place) in delivered.iter().filter_map(|(sink, result)| Some((sink, result.as_ref().ok()?))) {
        say(&format!("{sink}: {place}"));
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
