//! `deskreel run`: the recorder as a service that an agent PC runs all day.
//!
//! Started in this order, and ended in the reverse one: the recordings' folder is taken and what a crash left in it made
//! whole; sinks; policies with the events of the day; the seat; feeds; the API. So nobody is told yes before it can be done.

mod acts;
mod config;
mod delivery;
mod feeds;
mod lanes;
mod listing;
mod lock;
mod metrics;
mod past;
mod seat;
mod settled;
mod stock;
mod waiting;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use deskreel_deployment::open_policies;
use deskreel_desk::Desk;
use deskreel_desk::status::{Health, SpoolStatus, Status};
use deskreel_desk_api::{self as api, Server};
use deskreel_host::Catalog;
use deskreel_interaction::{Engine, Policy};
use deskreel_link::recorder::RecorderIdentity;
use deskreel_link::{Link, LinkHandle, TokenSource};
use deskreel_model::{Place, Utc};
use deskreel_pipeline::{Graph, Node};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use config::Loaded;
use feeds::Feeds;
use lanes::{Lanes, Making};
use past::Past;
use seat::{Parts, Reload, Seat, Served};
use stock::Stock;

/// Why [`run`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A signal asked for it, and every recording has ended.
    Stopped,
    /// Neither the pipeline file nor its last good copy can be used. The mistakes were shown.
    UnusableFile,
}

/// Runs until SIGTERM or Ctrl-C. A second signal does not wait for recordings to end; the next start recovers them.
pub fn run(file: &Path) -> Result<Ended> {
    let kept = config::kept(file)?;
    let Some(loaded) = config::load(file, &kept)? else { return Ok(Ended::UnusableFile) };
    // One thread for everything that waits; sinks, and what may hang, have their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve(file, kept, loaded))?;
    Ok(Ended::Stopped)
}

async fn serve(file: &Path, kept: PathBuf, loaded: Loaded) -> Result<()> {
    let Loaded { graph, catalog, stale } = loaded;
    let directory = graph.recording.directory.clone();
    recover(&directory);
    let mut stock = Stock::open(&graph, &catalog)?;
    let unsettled = stock.0.unsettled(graph.policy_rules.late, graph.link.is_some());

    let engine = Engine::new(asked(&graph, &catalog)?, graph.policy_rules.clone());
    let past = Past::open(&directory.join("events.jsonl"), now());
    let past = past.with_context(|| format!("cannot keep events in {}", directory.display()))?;
    let status = first_status(&graph, stale);
    let place = status.place.clone();
    let (desk, ends) = Desk::new(status);
    let (link, commands) = linked(graph.link.clone(), place)?;
    let api = bind(&graph, desk, link.clone()).await?;
    let feed_nodes = graph.feeds.clone();
    let patience = desktop(&graph)?.map(|settings| settings.session);
    let started = Started::with(&graph);
    let making = Making::new(graph, &catalog)?;
    let served = link.map(Served::new);
    let (feeds, events) = Feeds::start(&feed_nodes, &catalog)?;
    let reloads = reloads(file.to_owned(), kept, started)?;
    let lanes = Lanes::new(making);
    let seat = Seat::new(
        Parts { engine, past, lanes, stock, unsettled, events, reloads, patience, served, commands },
        ends,
    );
    let stop = asked_to_stop()?;
    let (close, closed) = oneshot::channel::<()>();
    let api = api.map(|api| tokio::task::spawn_local(api.run(async move { drop(closed.await) })));
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    seat.serve(stop).await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    drop(feeds);
    drop(close);
    if let Some(api) = api {
        let _ = api.await;
    }
    Ok(())
}

/// The loopback API, where the file has `feed.desktop`. It listens from here on, and answers once the seat is there.
async fn bind(graph: &Graph, desk: Desk, link: Option<LinkHandle>) -> Result<Option<Server>> {
    let Some(settings) = desktop(graph)? else { return Ok(None) };
    let directory = graph.recording.directory.clone();
    let metrics = {
        let desk = desk.clone();
        move || metrics::text(&desk)
    };
    let setup = api::Setup {
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
    let server = Server::bind(setup).await.context("the API of feed.desktop cannot be served")?;
    if let Some(address) = server.local_addr() {
        tracing::info!(%address, "the API listens");
    }
    Ok(Some(server))
}

/// The policies that are asked here: none where a server decides.
fn asked(graph: &Graph, catalog: &Catalog) -> Result<Vec<Policy>> {
    if graph.link.is_some() { Ok(Vec::new()) } else { open_policies(graph, catalog) }
}

/// The line to the server, where the file has one.
fn linked(
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

fn desktop(graph: &Graph) -> Result<Option<api::Settings>> {
    let feed = graph.feeds.iter().find(|feed| feed.plugin.plugin == feeds::DESKTOP);
    Ok(feed.map(|feed| api::Settings::read(&feed.plugin.settings)).transpose()?)
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

fn first_status(graph: &Graph, stale: Option<String>) -> Status {
    let named = desktop(graph).ok().flatten().and_then(|settings| settings.place);
    Status {
        version: env!("CARGO_PKG_VERSION"),
        pipeline: graph.name.clone(),
        started: now(),
        place: named.unwrap_or_else(host_name),
        health: Health { problems: vec!["the first worker is loading".to_owned()] },
        stale,
        counts: Default::default(),
        agent: None,
        recording: None,
        spool: SpoolStatus { quota_bytes: graph.spool.quota, ..SpoolStatus::default() },
    }
}

/// What stays as it was at the start, whatever the file says later.
struct Started {
    directory: PathBuf,
    feeds: Vec<Node>,
    link: Option<deskreel_pipeline::Link>,
}

impl Started {
    fn with(graph: &Graph) -> Started {
        let Graph { recording, feeds, link, .. } = graph;
        Started { directory: recording.directory.clone(), feeds: feeds.clone(), link: link.clone() }
    }

    /// Says what else the file wants, and has the graph keep to it: the outbox is in that folder, and feeds run.
    fn stay(&self, graph: &mut Graph) {
        let wait = |section: &str, is_changed: bool| {
            if is_changed {
                tracing::warn!(section, "changed in the file: it holds after a restart, not before");
            }
        };
        wait("directory of [recording]", graph.recording.directory != self.directory);
        wait("[feed]", graph.feeds != self.feeds);
        wait("[link]", graph.link != self.link);
        graph.recording.directory.clone_from(&self.directory);
        graph.feeds.clone_from(&self.feeds);
        graph.link.clone_from(&self.link);
    }
}

fn host_name() -> Place {
    rustix::system::uname().nodename().to_string_lossy().as_ref().into()
}

/// The pipeline file, each time that SIGHUP asks for it to be read again.
fn reloads(file: PathBuf, kept: PathBuf, started: Started) -> Result<mpsc::Receiver<Reload>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (tell, reloads) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        while hangup.recv().await.is_some() {
            let read = config::read(&file).and_then(|Loaded { mut graph, catalog, .. }| {
                started.stay(&mut graph);
                let policies = asked(&graph, &catalog)?;
                Ok((Making::new(graph, &catalog)?, policies, catalog))
            });
            if read.is_ok()
                && let Err(error) = config::keep(&file, &kept)
            {
                tracing::warn!(%error, "the pipeline file is not kept for a start with a broken one");
            }
            let reload =
                read.map_err(|error| format!("{}: {error:#}; the file before it stays", file.display()));
            if tell.send(reload).await.is_err() {
                return;
            }
        }
    });
    Ok(reloads)
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
