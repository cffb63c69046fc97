//! The loopback API: desktops and programs on this PC talk to its recorder over HTTP. docs/desktop-api.md is
//! for its users.
//!
//! Loopback is hostile ground: any web page that the agent opens can send requests here. The way of a
//! request:
//!
//! 1. [`connections`] accepts it, over [`tls`], and keeps the number of connections within bounds.
//! 2. [`request_checks`] lets it pass if it comes from a known page or from no page at all ([`origin`]), and
//!    reads its body.
//! 3. [`routes`] finds the handler for its path: one file below `routes/` for each topic.
//! 4. [`caller`] identifies who sent it: a [`session`], or a program with the token. [`passwords`] checks
//!    log-ins.
//! 5. The handler asks the [`Desk`]. A command is one of the session's [`operations`], so that a repeated one
//!    is done once.
//! 6. A refusal is answered with a [`problem`].

mod settings;

// The way of a request.
mod connections;
mod tls;

mod origin;
mod request_checks;

mod routes;

// Who sent it.
mod agents_file;
mod caller;
mod passwords;
mod session;

// Commands that are under way, and limits.
mod operations;
mod token_bucket;

mod error;
mod openapi;
mod problem;
mod secret;

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
use utoipa::ToSchema;

pub use agents_file::{LineError, agents_file_line};
pub use error::Error;
pub use openapi::document as openapi_document;
pub use origin::Scheme;
pub use settings::{Limits, Settings};
pub use tls::CertificateCheck;

use connections::{Connections, ServeContext};
use deskreel_desk::{Act, Desk};
use origin::Hosts;
use passwords::PasswordChecker;
use secret::Digest;
use session::Sessions;

/// Everything that a server needs.
pub struct ServerSetup {
    pub settings: Settings,
    pub limits: Limits,
    pub desk: Desk,
    /// Folder of the recordings. A generated certificate goes to its `api/`.
    pub directory: PathBuf,
    /// Returns the text of `/metrics`.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    pub recordings: ListRecordings,
    /// Link to the server, which checks passwords if there is no `agents_file`.
    pub link: Option<LinkHandle>,
}

/// Lists the recordings of one agent on this PC, newest first: those after the given id, at most the given
/// number. May read the disk.
pub type ListRecordings =
    Box<dyn Fn(&AgentId, Option<&RecordingId>, usize) -> Result<RecordingsPage, String> + Send + Sync>;

#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = Page)]
pub struct RecordingsPage {
    pub recordings: Vec<RecordingSummary>,
    /// Whether there are more after the last one.
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Recording)]
pub struct RecordingSummary {
    #[schema(value_type = String)]
    pub recording: RecordingId,
    #[schema(value_type = String, format = DateTime)]
    pub started: Utc,
    /// Nanoseconds.
    #[schema(value_type = u64)]
    pub duration: MediaTime,
    pub bytes: u64,
    pub gaps: usize,
    /// As in the manifest; null while the recording runs.
    #[schema(value_type = serde_json::Value)]
    pub outcome: Option<Outcome>,
    /// Sinks that have not acknowledged the recording.
    pub pending: Vec<String>,
}

/// State that all requests share.
struct Api {
    settings: Settings,
    limits: Limits,
    hosts: Hosts,
    desk: Desk,
    sessions: Sessions,
    passwords: PasswordChecker,
    /// The token of programs.
    token: Option<Digest>,
    /// Random at each start, so that no plain hash of a password is kept in memory.
    salt: String,
    /// Permits for event streams and sockets of programs.
    streams: Arc<Semaphore>,
    /// Locked during each log-in and log-out, so that an expired session cannot log its agent out after a new
    /// log-in.
    turn: Mutex<()>,
    closing: watch::Receiver<bool>,
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    recordings: ListRecordings,
}

impl Api {
    /// The prefix `__Host-` keeps other servers on this PC from setting the cookie. Browsers accept it on
    /// https only.
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
    context: ServeContext,
    close: watch::Sender<bool>,
    certificate: Option<CertificateCheck>,
}

impl Server {
    /// Starts to listen. Returns everything that can be wrong with the settings as an error.
    pub async fn bind(setup: ServerSetup) -> Result<Server, Error> {
        let ServerSetup { settings, limits, desk, directory, metrics, recordings, link } = setup;
        let tls = match settings.scheme {
            Scheme::Http => None,
            Scheme::Https => Some(tls::acceptor(settings.certificate.as_ref(), &directory.join("api"))?),
        };
        let (tls, certificate) = tls.unzip();
        let passwords = PasswordChecker::new(settings.agents_file.clone(), link, &limits)?;
        let token = settings.token_file.as_deref().map(secret::read_token).transpose()?;
        let listeners = listen(&settings.listen).await?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let (close, closing) = watch::channel(false);
        let api = Arc::new(Api {
            hosts: Hosts::new(&addresses, settings.scheme),
            sessions: Sessions::new(settings.session, limits.clone()),
            streams: Arc::new(Semaphore::new(limits.streams)),
            turn: Mutex::new(()),
            salt: secret::random()?,
            closing: closing.clone(),
            limits: limits.clone(),
            settings,
            desk,
            passwords,
            token,
            metrics,
            recordings,
        });
        let router = routes::router(api.clone());
        let context = ServeContext { router, tls, limits, closing };
        Ok(Server { api, listeners, context, close, certificate })
    }

    /// The first address, with the actual port if the settings say port 0.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listeners.first()?.local_addr().ok()
    }

    /// Tells whether the certificate is valid; `None` without https.
    pub fn certificate(&self) -> Option<CertificateCheck> {
        self.certificate.clone()
    }

    /// Serves until `shutdown`. Then it accepts nothing more, ends streams, and finishes the requests under
    /// way.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Server { api, listeners, context, close, .. } = self;
        let connections = Connections::new(api.limits.connections);
        for listener in listeners {
            tokio::spawn(connections.clone().accept(listener, context.clone()));
        }
        // It holds a receiver of `closing`, which must not outlive the connections.
        drop(context);
        let mut shutdown = pin!(shutdown);
        tokio::select! {
            () = shutdown.as_mut() => {}
            () = expire(&api) => {}
        }
        close.send_replace(true);
        connections.close_all(api.limits.farewell).await;
    }
}

/// Waits until the API shuts down.
async fn closes(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Binds the addresses. Only the first one must succeed: `localhost` has two, and a PC may lack one.
async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Error> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    for &address in addresses {
        let port = listeners.first().and_then(|first| first.local_addr().ok()).map(|first| first.port());
        let address = SocketAddr::new(address.ip(), port.unwrap_or(address.port()));
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if listeners.is_empty() => return Err(Error::Listen { address, error }),
            Err(error) => {
                tracing::warn!(%address, %error, "the desktop API listens only on a part of localhost")
            }
        }
    }
    Ok(listeners)
}

/// Logs out agents whose desktops have fallen silent. Sleeps until the next session can expire.
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
            () = api.sessions.started.notified() => {}
        }
        let _turn = api.turn.lock().await;
        let (logged_out, later) = api.sessions.expire(Instant::now());
        next = later;
        for agent in logged_out {
            tracing::info!(%agent, "logged out an agent whose desktop has fallen silent");
            if let Err(error) = api.desk.ask(Act::LogOut { agent: agent.clone() }, api.limits.act).await {
                tracing::warn!(%agent, %error, "could not log out an agent whose desktop has fallen silent");
            }
        }
    }
}
