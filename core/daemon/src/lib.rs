//! `deskreel run`: the recorder as a service that an agent PC runs all day.
//!
//! [`run`] starts everything in this order and ends it in reverse: lock the recordings' folder and recover
//! what a crash left in it; sinks; policies, with the events of the day; the line to the server; the API;
//! feeds; the supervisor's loop. So no request is accepted before it can be carried out.
//!
//! [`seat`] decides, purely, what is recorded. `supervisor` is the loop around it. The other modules carry
//! out its effects.

pub mod seat;
mod supervisor;

pub mod delivery;
pub mod recording_slots;
mod spool;
mod surroundings;
mod unsettled;

mod desk_events;
mod event_log;
mod feeds;
mod listing;
mod metrics;
mod pipeline_file;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use deskreel_deployment::{DecisionClock, open_policies, wall_clock};
use deskreel_desk::Desk;
use deskreel_desk::status::{Health, HealthPart, HealthProblem, SpoolStatus, Status};
use deskreel_desk_api::{self as api, Server};
use deskreel_host::Catalog;
use deskreel_interaction::{Engine, Policy};
use deskreel_link::recorder::RecorderIdentity;
use deskreel_link::{Link, LinkHandle, TokenSource};
use deskreel_model::Place;
use deskreel_pipeline::{Node, RecorderGraph};
use deskreel_platform::service;
use deskreel_platform::signals::{ReloadRequests, StopRequests};
use tokio::sync::{mpsc, oneshot};

use event_log::EventLog;
use feeds::Feeds;
use pipeline_file::LoadedFile;
use recording_slots::{Equipment, RecordingSlots};
use spool::SeatSpool;
use supervisor::{Parts, Reload, Supervisor};
use surroundings::SurroundingsReader;

/// Why [`run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A signal asked for it, and every recording has ended.
    Stopped,
    /// Neither the pipeline file nor its last good copy can be used. The mistakes were shown.
    UnusableFile,
}

/// Runs until SIGTERM or Ctrl-C. A second signal does not wait for recordings to end; the next start recovers
/// them.
pub fn run(file: &Path) -> Result<Ended> {
    let kept = pipeline_file::kept(file)?;
    let Some(loaded) = pipeline_file::load(file, &kept)? else { return Ok(Ended::UnusableFile) };
    // One thread for everything that waits. Sinks, and code that may hang, have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(file, kept, loaded))?;
    Ok(Ended::Stopped)
}

async fn serve(file: &Path, kept: PathBuf, loaded: LoadedFile) -> Result<()> {
    let LoadedFile { graph, catalog, stale } = loaded;
    let directory = graph.recording.directory.clone();
    recover(&directory);
    let mut spool = SeatSpool::open(&graph, &catalog)?;
    let unsettled = spool.0.unsettled(graph.link.is_some());

    let engine = Engine::new(policies(&graph, &catalog)?, graph.deciders.rules.clone());
    let events = EventLog::open(&directory.join("events.jsonl"), wall_clock())
        .with_context(|| format!("cannot store events in {}", directory.display()))?;
    let clock = DecisionClock::start(events.1.iter().map(|(_, received)| *received).max());
    let status = first_status(&graph, stale);
    let place = Some(status.place.clone());
    let (link, commands) = open_link(graph.link.clone(), status.place.clone())?;
    let (desk, ends) = Desk::new(status);
    let api = bind(&graph, desk, link.clone()).await?;
    let feed_nodes = graph.deciders.feeds.clone();
    let patience = desktop(&graph)?.map(|settings| settings.session);
    let certificate = api.as_ref().and_then(Server::certificate);
    let surroundings =
        SurroundingsReader::new(place.filter(|_| patience.is_some()), certificate, wall_clock());
    let started = Started::with(&graph);
    let equipment = Equipment::new(graph, &catalog)?;
    let (feeds, feed_events) = Feeds::start(&feed_nodes, &catalog)?;
    let reloads = reloads(file.to_owned(), kept, started)?;
    let slots = RecordingSlots::new(equipment);
    let parts = Parts {
        engine,
        clock,
        events,
        slots,
        spool,
        unsettled,
        feeds: feed_events,
        reloads,
        patience,
        link,
        commands,
        surroundings,
    };
    let supervisor = Supervisor::new(parts, ends);
    let stop = asked_to_stop()?;
    let (close, closed) = oneshot::channel::<()>();
    let api = api.map(|api| tokio::task::spawn_local(api.run(async move { drop(closed.await) })));
    service::notify_ready();
    supervisor.serve(stop).await;
    service::notify_stopping();
    drop(feeds);
    drop(close);
    if let Some(api) = api {
        let _ = api.await;
    }
    Ok(())
}

/// The loopback API, if the file has `feed.desktop`. It listens from here on, and answers once the supervisor
/// runs.
async fn bind(graph: &RecorderGraph, desk: Desk, link: Option<LinkHandle>) -> Result<Option<Server>> {
    let Some(settings) = desktop(graph)? else { return Ok(None) };
    let directory = graph.recording.directory.clone();
    let metrics = {
        let desk = desk.clone();
        move || metrics::text(&desk)
    };
    let setup = api::ServerSetup {
        settings,
        limits: api::Limits::default(),
        desk,
        recordings: {
            let directory = directory.clone();
            Box::new(move |agent, after, limit| listing::page(&directory, agent, after, limit))
        },
        directory,
        metrics: Box::new(metrics),
        link,
    };
    let server = Server::bind(setup).await.context("cannot serve the API of feed.desktop")?;
    if let Some(address) = server.local_addr() {
        tracing::info!(%address, "the API listens");
    }
    Ok(Some(server))
}

/// The policies to ask here; empty if a server decides.
fn policies(graph: &RecorderGraph, catalog: &Catalog) -> Result<Vec<Policy>> {
    if graph.link.is_some() { Ok(Vec::new()) } else { Ok(open_policies(&graph.deciders, catalog)?) }
}

/// The line to the server, if the file has a `[link]`.
fn open_link(
    link: Option<deskreel_pipeline::Link>,
    place: Place,
) -> Result<(Option<LinkHandle>, mpsc::Receiver<deskreel_model::link::Command>)> {
    let Some(link) = link else { return Ok((None, mpsc::channel(1).1)) };
    let identity = RecorderIdentity {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        recorder: host_name().to_string(),
        place,
    };
    let settings = deskreel_link::LinkSettings {
        server: link.server,
        token: TokenSource::File(link.token_file),
        ca_file: link.ca_file,
        plain_http: link.plain_http,
        identity,
    };
    let (handle, commands) = Link::start(settings).context("[link]")?;
    Ok((Some(handle), commands))
}

fn desktop(graph: &RecorderGraph) -> Result<Option<api::Settings>> {
    let feed = graph.deciders.feeds.iter().find(|feed| feed.plugin.plugin == feeds::DESKTOP);
    Ok(feed.map(|feed| api::Settings::read(&feed.plugin.settings)).transpose()?)
}

fn recover(directory: &Path) {
    match deskreel_spool::recover(directory) {
        Ok(recovered) => {
            for recovered in recovered {
                let folder = recovered.folder.display();
                match recovered.result {
                    Ok(summary) => tracing::warn!(%folder, frames = summary.frames, "recovered"),
                    Err(error) => tracing::error!(%folder, %error, "could not recover the recording"),
                }
            }
        }
        Err(error) => tracing::error!(%error, "could not search for unfinished recordings"),
    }
}

fn first_status(graph: &RecorderGraph, stale: Option<String>) -> Status {
    let named = desktop(graph).ok().flatten().and_then(|settings| settings.place);
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pipeline: graph.name.clone(),
        started: wall_clock(),
        place: named.unwrap_or_else(host_name),
        health: Health {
            problems: vec![HealthProblem { part: HealthPart::Capture, text: seat::LOADING.into() }],
        },
        stale,
        counts: Default::default(),
        agent: None,
        recording: None,
        spool: SpoolStatus { quota_bytes: graph.spool.quota, ..SpoolStatus::default() },
    }
}

/// Settings that stay unchanged until the next start, whatever the file says later.
struct Started {
    directory: PathBuf,
    feeds: Vec<Node>,
    link: Option<deskreel_pipeline::Link>,
}

impl Started {
    fn with(graph: &RecorderGraph) -> Started {
        let RecorderGraph { recording, deciders, link, .. } = graph;
        let (directory, feeds) = (recording.directory.clone(), deciders.feeds.clone());
        Started { directory, feeds, link: link.clone() }
    }

    /// Puts the settings of the start back into a reloaded graph, because the outbox is in that folder and
    /// the feeds and the link are running; logs the settings that the file has changed.
    fn stay(&self, graph: &mut RecorderGraph) {
        let wait = |section: &str, is_changed: bool| {
            if is_changed {
                tracing::warn!(section, "changed in the file; the change takes effect after a restart");
            }
        };
        wait("directory of [recording]", graph.recording.directory != self.directory);
        wait("[feed]", graph.deciders.feeds != self.feeds);
        wait("[link]", graph.link != self.link);
        graph.recording.directory.clone_from(&self.directory);
        graph.deciders.feeds.clone_from(&self.feeds);
        graph.link.clone_from(&self.link);
    }
}

fn host_name() -> Place {
    deskreel_platform::system::host_name().as_str().into()
}

/// Reads the pipeline file again whenever that is requested (SIGHUP).
fn reloads(file: PathBuf, kept: PathBuf, started: Started) -> Result<mpsc::Receiver<Reload>> {
    let mut requests = ReloadRequests::new()?;
    let (tell, reloads) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        while requests.next().await {
            let read = pipeline_file::read(&file).and_then(|LoadedFile { mut graph, catalog, .. }| {
                started.stay(&mut graph);
                let policies = policies(&graph, &catalog)?;
                Ok((Equipment::new(graph, &catalog)?, policies, catalog))
            });
            if read.is_ok()
                && let Err(error) = pipeline_file::keep(&file, &kept)
            {
                tracing::warn!(%error, "could not store a copy of the pipeline file; a start with a broken file would fail");
            }
            let reload = read
                .map_err(|error| format!("{}: {error:#}; the previous file stays in use", file.display()));
            if tell.send(reload).await.is_err() {
                return;
            }
        }
    });
    Ok(reloads)
}

fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let mut requests = StopRequests::new()?;
    Ok(async move {
        requests.next().await;
        tracing::info!("ending");
        tokio::task::spawn_local(async move {
            requests.next().await;
            std::process::exit(130);
        });
    })
}
