//! `deskreel run`: the recorder as a service that an agent PC runs all day.
//!
//! Started in this order, and ended in the reverse one: the recordings' folder is taken and what a crash left in it made
//! whole; sinks; policies with the events of the day; the seat; feeds; the API. So nobody is told yes before it can be done.

mod acts;
mod config;
pub mod desk;
mod feeds;
mod lanes;
pub mod news;
mod past;
mod seat;
mod settled;
pub mod status;
mod stock;
mod waiting;

use std::fs::{self, File};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use deskreel_interaction::Engine;
use deskreel_model::manifest::Manifest;
use deskreel_model::{Failure, Fault, Place, Utc, layout};
use deskreel_pipeline::Graph;
use rustix::fs::FlockOperation;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::check::refused;
use crate::policies;

use config::Loaded;
use desk::Desk;
use feeds::Feeds;
use lanes::{Lanes, Making};
use past::Past;
use seat::{Parts, Seat};
use settled::Unsettled;
use status::{Health, SpoolStatus, Status};
use stock::Stock;

/// Runs until SIGTERM or Ctrl-C. A second one does not wait for recordings to end; the next start recovers them.
pub fn run(file: &Path) -> Result<ExitCode> {
    let kept = config::kept(file)?;
    let Some(loaded) = config::load(file, &kept)? else { return Ok(refused()) };
    // One thread for everything that waits; sinks, and what may hang, have their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(file, loaded))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(_file: &Path, loaded: Loaded) -> Result<()> {
    let Loaded { graph, catalog, stale } = loaded;
    let directory = graph.recording.directory.clone();
    let _owned = own(&directory)?;
    recover(&directory);

    let engine = Engine::new(policies::open(&graph, &catalog)?, graph.policy_rules.clone());
    let past = Past::open(&directory.join("events.jsonl"), now());
    let past = past.with_context(|| format!("cannot keep events in {}", directory.display()))?;
    let unsettled = unsettled(&graph)?;
    let status = first_status(&graph, stale);
    let (_desk, ends) = Desk::new(status);
    let feed_nodes = graph.feeds.clone();
    let making = Making::new(graph, &catalog)?;
    let parts = Parts { engine, past, lanes: Lanes::new(making), stock: Stock {}, unsettled };
    let (feeds, events) = Feeds::start(&feed_nodes, &catalog)?;
    let seat = Seat::new(parts, events, ends);
    seat.serve(asked_to_stop()?).await;
    drop(feeds);
    Ok(())
}

/// Two daemons on one folder would each delete what the other still owes.
fn own(directory: &Path) -> Result<File> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let path = directory.join("daemon.lock");
    let file = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        let text = format!("another `deskreel run` has {}; end it, or set another `directory`", directory.display());
        Failure::new(Fault::Config, text)
    })?;
    Ok(file)
}

fn recover(directory: &Path) {
    match deskreel_spool::recover(directory) {
        Ok(recovered) => {
            for recovered in recovered {
                let folder = recovered.folder.display();
                match recovered.result {
                    Ok(summary) => tracing::warn!(%folder, frames = summary.frames, "recovered"),
                    Err(error) => tracing::error!(%folder, %error, "could not be recovered"),
                }
            }
        }
        Err(error) => tracing::error!(%error, "could not look for unfinished recordings"),
    }
}

/// Recordings of before this start whose segments never became final.
fn unsettled(graph: &Graph) -> Result<Unsettled> {
    let mut unsettled = Unsettled::new(graph.policy_rules.late);
    let folders = fs::read_dir(&graph.recording.directory)?;
    for folder in folders.filter_map(|entry| Some(entry.ok()?.path())) {
        if !folder.join(layout::MANIFEST).is_file() || folder.join(layout::FOOTAGE).is_file() {
            continue;
        }
        let Ok(Manifest { recording, agent: Some(agent), anchors, .. }) = deskreel_spool::load(&folder) else {
            continue;
        };
        let since = anchors.first().map_or(now(), |anchor| anchor.utc);
        unsettled.began(recording.clone(), agent, since, folder);
        unsettled.ended(&recording, now());
    }
    Ok(unsettled)
}

fn first_status(graph: &Graph, stale: Option<String>) -> Status {
    let desktop = graph.feeds.iter().find(|feed| feed.plugin.plugin == feeds::DESKTOP);
    let named = desktop.and_then(|feed| feed.plugin.settings.get("place")?.as_str().map(Place::from));
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pipeline: graph.name.clone(),
        started: now(),
        place: named.unwrap_or_else(host_name),
        health: Health { problems: stale.into_iter().chain(["the first worker is loading".to_owned()]).collect() },
        agent: None,
        recording: None,
        spool: SpoolStatus { quota_bytes: graph.spool.quota, ..SpoolStatus::default() },
    }
}

fn host_name() -> Place {
    rustix::system::uname().nodename().to_string_lossy().as_ref().into()
}

fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("ending");
        tokio::task::spawn_local(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}

/// The wall clock.
fn now() -> Utc {
    Utc(jiff::Timestamp::now())
}
