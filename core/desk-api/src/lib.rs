//! The loopback API: what desktops and programs on this PC ask of the recorder, over HTTP. For its users there is
//! docs/desktop-api.md.
//!
//! Loopback is hostile ground: any web page that the agent opens can send requests here. [`gate`] lets through what comes
//! from a known page or no page at all, [`caller`] finds out who it is, and one file below `routes/` does what was asked,
//! by the [`Desk`]. [`connections`] keeps the number of connections within bounds.

mod agents;
mod agents_file;
mod brake;
mod caller;
mod connections;
mod error;
mod gate;
mod operation;
mod origin;
mod problem;
mod routes;
mod secret;
mod session;
mod settings;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use deskreel_link::LinkHandle;
use deskreel_model::manifest::Outcome;
use deskreel_model::{AgentId, MediaTime, RecordingId, Utc};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

pub use agents_file::{LineError, agents_file_line};
pub use error::Error;
pub use settings::{Limits, Scheme, Settings};

use agents::Agents;
use connections::{Connections, Serving};
use deskreel_desk::{Act, Desk};
use origin::Hosts;
use secret::Digest;
use session::Sessions;

/// What the API needs of its surroundings.
pub struct Setup {
    pub settings: Settings,
    pub limits: Limits,
    pub desk: Desk,
    /// Of the recordings; a certificate that is made goes to `api/` in it.
    pub directory: PathBuf,
    /// The text of `/metrics`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    pub recordings: ListRecordings,
    /// Who is asked about passwords, where no file says.
    pub link: Option<LinkHandle>,
}

/// Lists the recordings on this PC: those of one agent, newest first, from the one after the given id on, at most the given
/// number. May read the disk.
pub type ListRecordings =
    Box<dyn Fn(&AgentId, Option<&RecordingId>, usize) -> Result<Page, String> + Send + Sync>;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Page {
    pub recordings: Vec<Listed>,
    /// Whether there are more behind the last.
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    pub recording: RecordingId,
    pub started: Utc,
    pub duration: MediaTime,
    pub bytes: u64,
    pub gaps: usize,
    /// None while it runs.
    pub outcome: Option<Outcome>,
    /// Sinks that have not acknowledged it.
    pub pending: Vec<String>,
}

/// What all requests share.
struct Api {
    settings: Settings,
    limits: Limits,
    hosts: Hosts,
    desk: Desk,
    sessions: Sessions,
    agents: Agents,
    /// Of programs.
    token: Option<Digest>,
    /// New at each start, so that nothing that is kept in memory is a password's plain hash.
    salt: String,
    /// Event streams of programs.
    streams: Arc<Semaphore>,
    /// Held by whoever logs in or out, so that an agent whose session expires is not logged out behind a new log-in.
    turn: Mutex<()>,
    closing: watch::Receiver<bool>,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    recordings: ListRecordings,
}

impl Api {
    /// `__Host-` keeps other servers on this PC from setting it; browsers know it on https only.
    fn cookie_name(&self) -> &'static str {
        match self.settings.scheme {
            Scheme::Https => "__Host-deskreel",
            Scheme::Http => "deskreel",
        }
    }
}

pub struct Server {
    api: Arc<Api>,
    listeners: Vec<TcpListener>,
    serving: Serving,
    close: watch::Sender<bool>,
}

impl Server {
    /// Listens, and finds out everything that could be wrong with the settings.
    pub async fn bind(setup: Setup) -> Result<Server, Error> {
        let Setup { settings, limits, desk, directory, metrics, recordings, link } = setup;
        let tls = match settings.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(tls::acceptor(settings.certificate.as_ref(), &directory.join("api"))?),
        };
        let agents = Agents::new(settings.agents_file.clone(), link, &limits)?;
        let token = settings.token_file.as_deref().map(secret::token).transpose()?;
        let listeners = listen(&settings.listen).await?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let (close, closing) = watch::channel(false);
        let api = Arc::new(Api {
            hosts: Hosts::new(&addresses, settings.scheme),
            sessions: Sessions::new(settings.session, limits.clone()),
            streams: Arc::new(Semaphore::new(limits.streams)),
            turn: Mutex::new(()),
            salt: secret::fresh()?,
            closing: closing.clone(),
            limits: limits.clone(),
            settings,
            desk,
            agents,
            token,
            metrics,
            recordings,
        });
        let router = routes::router(api.clone());
        Ok(Server { api, listeners, serving: Serving { router, tls, limits, closing }, close })
    }

    /// Where it listens: with port 0 in the settings the port that it got.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listeners.first()?.local_addr().ok()
    }

    /// Serves until `shutdown`; then ends streams, finishes what is asked for, and takes nothing new.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Server { api, listeners, serving, close } = self;
        let connections = Connections::new(api.limits.connections);
        for listener in listeners {
            tokio::spawn(connections.clone().accept(listener, serving.clone()));
        }
        // It holds a receiver of `closing`, which must not outlive the connections that it is told by.
        drop(serving);
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = shutdown.as_mut() => {}
            () = expire(&api) => {}
        }
        close.send_replace(true);
        connections.farewell(api.limits.farewell).await;
    }
}

/// Waits until the API goes down.
async fn closes(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// The first address must be had; others are there for `localhost`, which need not be both.
async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for &address in addresses {
        let port = listeners.first().and_then(|first| first.local_addr().ok()).map(|first| first.port());
        let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if listeners.is_empty() => return Err(Error::Listen { address, error }),
            Err(error) => {
                tracing::warn!(%address, %error, "the desktop API does not listen on all of localhost")
            }
        }
    }
    Ok(listeners)
}

/// Logs out agents whose desktops have fallen silent. Sleeps until the next one may have.
async fn expire(api: &Api) {
    let mut next = None;
    loop {
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = api.sessions.more.notified() => {}
        }
        let _turn = api.turn.lock().await;
        let (gone, later) = api.sessions.expire(Instant::now());
        next = later;
        for agent in gone {
            tracing::info!(%agent, "logged out: the desktop has fallen silent");
            if let Err(error) = api.desk.ask(Act::LogOut { agent: agent.clone() }, api.limits.act).await {
                tracing::warn!(%agent, %error, "not logged out");
            }
        }
    }
}
