//! Connections and requests.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use deskreel_sdk::prelude::*;
use http_body_util::{BodyExt, Full};
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
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::answer::Answer;
use crate::intake::Intake;
use crate::sender::{self, Refusal, SenderHeaders, SenderKeys};

/// Most connections at once: a few systems post events, each over some of them.
const CONNECTIONS: usize = 256;
/// Limit for a handshake, for the headers, and for the body: a slower client occupies a connection that
/// others need.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// Bytes beyond `max_body` that are read for the sake of the answer.
const DRAINED: usize = 32 << 20;

#[derive(Debug, Clone)]
pub struct EndpointConfig {
    pub listen: SocketAddr,
    pub path: String,
    pub secret: Option<Secret>,
    pub token: Option<Secret>,
    pub window: Duration,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub max_body: usize,
}

impl EndpointConfig {
    fn keys(&self) -> Result<SenderKeys> {
        let read = |secret: &Option<Secret>| secret.as_ref().map(Secret::read).transpose();
        Ok(SenderKeys { secret: read(&self.secret)?, token: read(&self.token)? })
    }
}

/// Listens until it is dropped.
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        // It ends with the runtime, which waits only for an event that is being taken.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts to listen. Reports a wrong address, certificate or secret at once.
pub fn start(config: EndpointConfig, outlet: Arc<Outlet>) -> Result<Server> {
    let unavailable = |error: &dyn std::fmt::Display| PluginError::unavailable(error.to_string());
    let keys = config.keys()?;
    if keys.secret.is_some_and(|secret| !sender::is_usable(&secret)) {
        let message = "the secret must be `whsec_` followed by at least 16 bytes in base64";
        return Err(PluginError::unavailable(message));
    }
    let acceptor = match &config.tls {
        None => None,
        Some((certificate, key)) => Some(acceptor(certificate, key).map_err(PluginError::unavailable)?),
    };
    let listen = config.listen;
    let listener = TcpListener::bind(listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| unavailable(&format_args!("{listen}: {error}")))?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let endpoint = Arc::new(Endpoint { config, outlet, intake: Intake::default() });
    let thread = thread::Builder::new().name("feed.webhook".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = stopped => {}
                Err(error) = accept_all(listener, acceptor, endpoint.clone()) => {
                    tracing::error!(%error, "no longer accepting events");
                    emit_state(&endpoint.outlet, "lost", Some(&error.to_string()));
                }
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
    })?;
    tracing::info!(%address, "listening for events");
    Ok(Server { stop: Some(stop), thread: Some(thread) })
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

struct Endpoint {
    config: EndpointConfig,
    outlet: Arc<Outlet>,
    intake: Intake,
}

fn emit_state(outlet: &Outlet, state: &str, reason: Option<&str>) {
    outlet.emit(&Event::feed_state(state, format!("{:.3}", jiff::Timestamp::now()), reason));
}

async fn accept_all(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    endpoint: Arc<Endpoint>,
) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    emit_state(&endpoint.outlet, "live", None);
    loop {
        let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // One connection failed, or file descriptors have run out: both pass.
            Err(error) => {
                tracing::debug!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (tls, endpoint) = (tls.clone(), endpoint.clone());
        tokio::spawn(async move {
            serve(stream, tls, endpoint).await;
            drop(slot);
        });
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, endpoint: Arc<Endpoint>) {
    match tls {
        None => answer_all(stream, endpoint).await,
        Some(tls) => match timeout(STEP_LIMIT, tls.accept(stream)).await {
            Ok(Ok(stream)) => answer_all(stream, endpoint).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake timed out"),
        },
    }
}

async fn answer_all(stream: impl AsyncRead + AsyncWrite + Unpin, endpoint: Arc<Endpoint>) {
    let service = service_fn(move |request| {
        let endpoint = endpoint.clone();
        async move { Ok::<_, Infallible>(answer(request, endpoint).await) }
    });
    // The timeout also ends a connection on which no further request comes.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(STEP_LIMIT)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection failed");
    }
}

async fn answer(request: Request<Incoming>, endpoint: Arc<Endpoint>) -> Response<Full<Bytes>> {
    if request.uri().path() != endpoint.config.path {
        return Answer::problem(404, "there is nothing at this path").response();
    }
    if request.method() != Method::POST {
        return Answer::problem(405, "send events with POST").response();
    }
    let (head, body) = request.into_parts();
    let body = match read(body, endpoint.config.max_body).await {
        Ok(body) => body,
        Err(answer) => return answer.response(),
    };
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let headers = SenderHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        authorization: header(AUTHORIZATION.as_str()),
    };
    let keys = match endpoint.config.keys() {
        Ok(keys) => keys,
        Err(error) => {
            tracing::error!(%error, "cannot read a secret, so no sender is accepted");
            return Answer::later("the feed cannot read its secrets").response();
        }
    };
    let now = jiff::Timestamp::now().as_second();
    match sender::judge(headers, &body, &keys, now, endpoint.config.window.as_secs()) {
        Ok(()) => {}
        Err(Refusal::Unknown) => {
            return Answer::problem(401, "the request has neither a valid signature nor a valid token")
                .response();
        }
        Err(Refusal::Time) => {
            return Answer::problem(
                401,
                "the timestamp is too far from the server's time; check both clocks",
            )
            .response();
        }
    }
    let message = headers.id.map(str::to_owned);
    // It waits until the host has stored the events, which must not block the thread of all connections.
    let taken = tokio::task::spawn_blocking(move || {
        endpoint.intake.take(&body, message.as_deref(), &*endpoint.outlet)
    });
    match taken.await {
        Ok(answer) => answer.response(),
        Err(_) => Answer::later("the feed is stopping").response(),
    }
}

/// Reads a body. The rest of one that is too long is read and dropped, since a client that still writes would
/// see its connection break instead of the answer.
async fn read(mut body: Incoming, max: usize) -> Result<Bytes, Answer> {
    let (mut read, mut length) = (Vec::new(), 0);
    let whole = async {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(drop)?.into_data() else { continue };
            length += data.len();
            if length <= max {
                read.extend_from_slice(&data);
            } else if length > max.saturating_add(DRAINED) {
                break;
            }
        }
        Ok::<(), ()>(())
    };
    let end = timeout(STEP_LIMIT, whole).await;
    match end {
        _ if length > max => Err(Answer::problem(413, &format!("the body is longer than {max} bytes"))),
        Ok(Ok(())) => Ok(read.into()),
        Ok(Err(())) => Err(Answer::problem(400, "the body is incomplete")),
        Err(_) => Err(Answer::problem(408, "the body did not arrive in time")),
    }
}
