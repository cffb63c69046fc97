//! Connections and requests.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use deskreel_sdk::prelude::*;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::answer::Answer;
use crate::intake;
use crate::outlet::Outlet;
use crate::secret::Secret;
use crate::sender::{self, Known, Refused, Said};
use crate::told::Told;

/// A few systems post events; each has some connections.
const CONNECTIONS: usize = 256;
/// For a handshake, for the headers, and for the body: whoever is slower holds a connection that others need.
const STEP_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Setup {
    pub listen: SocketAddr,
    pub path: String,
    pub secret: Option<Secret>,
    pub token: Option<Secret>,
    pub window: Duration,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub max_body: usize,
}

impl Setup {
    fn known(&self) -> Result<Known, String> {
        let read = |secret: &Option<Secret>| secret.as_ref().map(Secret::read).transpose();
        Ok(Known { secret: read(&self.secret)?, token: read(&self.token)? })
    }
}

/// Until it is dropped, it listens.
pub struct Serving {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop = None;
        // It ends with the runtime, which waits for nobody but an event that is being taken.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Listens from here on: what is wrong with the address, the certificate or a secret is said at once.
pub fn start(setup: Setup, outlet: Arc<Outlet>) -> Result<Serving> {
    let unavailable = |error: &dyn std::fmt::Display| PluginError::unavailable(error.to_string());
    let known = setup.known().map_err(PluginError::unavailable)?;
    if known.secret.is_some_and(|secret| !sender::is_usable(&secret)) {
        let message = "the secret must be `whsec_` and at least 16 bytes in base64";
        return Err(PluginError::unavailable(message));
    }
    let acceptor = match &setup.tls {
        None => None,
        Some((certificate, key)) => Some(acceptor(certificate, key).map_err(PluginError::unavailable)?),
    };
    let listen = setup.listen;
    let listener = TcpListener::bind(listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| unavailable(&format_args!("{listen}: {error}")))?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let desk = Arc::new(Desk { setup, outlet, told: Mutex::default() });
    let thread = thread::Builder::new().name("feed.webhook".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                Err(error) = accept_all(listener, acceptor, desk.clone()) => {
                    tracing::error!(%error, "nothing is taken any more");
                    desk.outlet.state("lost", Some(&error.to_string()));
                }
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    })?;
    tracing::info!(%address, "events are taken");
    Ok(Serving { stop: Some(stop), thread: Some(thread) })
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    config.map(|config| TlsAcceptor::from(Arc::new(config))).map_err(|error| error.to_string())
}

struct Desk {
    setup: Setup,
    outlet: Arc<Outlet>,
    /// Held while events are taken, so that those of one body stay together and none is taken twice.
    told: Mutex<Told>,
}

async fn accept_all(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    desk: Arc<Desk>,
) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    desk.outlet.state("live", None);
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Of one connection, or no more file descriptors: neither lasts.
            Err(error) => {
                tracing::debug!(%error, "a connection is not taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, desk) = (tls.clone(), desk.clone());
        tokio::spawn(async move {
            serve(stream, tls, desk).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, desk: Arc<Desk>) {
    match tls {
        None => answer_all(stream, desk).await,
        Some(tls) => match timeout(STEP_LIMIT, tls.accept(stream)).await {
            Ok(Ok(stream)) => answer_all(stream, desk).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("no TLS in time"),
        },
    }
}

async fn answer_all(stream: impl AsyncRead + AsyncWrite + Unpin, desk: Arc<Desk>) {
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(request, desk).await) }
    });
    // Also ends a connection on which no next request comes.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(STEP_LIMIT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn answer(request: Request<Incoming>, desk: Arc<Desk>) -> Response<Full<Bytes>> {
    if request.uri().path() != desk.setup.path {
        return Answer::problem(404, "there is nothing here").response();
    }
    if request.method() != Method::POST {
        return Answer::problem(405, "events are posted").response();
    }
    let (head, body) = request.into_parts();
    let body = match timeout(STEP_LIMIT, Limited::new(body, desk.setup.max_body).collect()).await {
        Err(_) => return Answer::problem(408, "the body did not come in time").response(),
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Answer::problem(413, "the body is too long").response();
        }
        Ok(Err(_)) => return Answer::problem(400, "the body did not come whole").response(),
    };
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let said = Said {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        authorization: header(AUTHORIZATION.as_str()),
    };
    let known = match desk.setup.known() {
        Ok(known) => known,
        Err(error) => {
            tracing::error!(error, "nobody can be let in");
            return Answer::later("the feed is not set up").response();
        }
    };
    let now = jiff::Timestamp::now().as_second();
    match sender::judge(said, &body, &known, now, desk.setup.window.as_secs()) {
        Ok(()) => {}
        Err(Refused::Unknown) => return Answer::problem(401, "neither signed nor with a token").response(),
        Err(Refused::Time) => {
            return Answer::problem(401, "the signature is of another time; is the clock right?").response();
        }
    }
    let message = said.id.map(str::to_owned);
    // The host may let an event wait: not on the thread that has all connections.
    let taken = tokio::task::spawn_blocking(move || {
        let mut told = desk.told.blocking_lock();
        intake::take(&body, message.as_deref(), &mut told, &desk.outlet)
    });
    match taken.await {
        Ok(answer) => answer.response(),
        Err(_) => Answer::later("the feed is being stopped").response(),
    }
}
