//! Accepts and counts connections, closes idle ones to make room for new ones, and closes all at shutdown.
//!
//! All programs of the PC have the same address, so nothing can be limited by address. A connection is *busy*
//! from when a request has been read completely until it is answered, or while a stream runs. Else it is
//! idle, even while a request trickles in. When there are too many, the one that is idle for longest is
//! closed.

use std::collections::HashMap;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::closes;
use super::settings::Limits;

/// Bytes of the head of a request: all headers together.
const HEAD_BYTES: usize = 32 * 1024;
const HEADERS: usize = 64;
/// Pause after the system failed to accept a connection: it is out of files, and to retry at once would burn
/// CPU.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

pub struct Connections {
    most: usize,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    closed: Notify,
}

pub struct Connection {
    /// `None` while it is busy.
    idle_since: Mutex<Option<Instant>>,
    evicted: Notify,
}

/// A place among the connections. Dropping it frees the place.
struct Slot {
    id: u64,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// Keeps its connection busy, so that it is not closed to make room.
pub struct BusyGuard(Arc<Connection>);

/// Everything that serving a connection needs.
#[derive(Clone)]
pub struct ServeContext {
    pub router: Router,
    pub tls: Option<TlsAcceptor>,
    pub limits: Limits,
    pub closing: watch::Receiver<bool>,
}

impl Connections {
    pub fn new(most: usize) -> Arc<Connections> {
        Arc::new(Connections { most, next: AtomicU64::new(0), open: Mutex::default(), closed: Notify::new() })
    }

    /// Accepts and serves connections until the API shuts down.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, context: ServeContext) {
        let mut closing = context.closing.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = closes(&mut closing) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    if let Some(slot) = self.admit() {
                        tokio::spawn(serve(stream, slot, context.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection to the desktop API");
                    sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// Returns `None` if all connections are busy.
    fn admit(self: &Arc<Self>) -> Option<Slot> {
        let mut open = self.open();
        if open.len() >= self.most {
            let idle = open.iter().filter_map(|(id, connection)| Some((connection.idle_since()?, *id)));
            let (_, oldest) = idle.min()?;
            open.remove(&oldest)?.evicted.notify_one();
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection =
            Arc::new(Connection { idle_since: Mutex::new(Some(Instant::now())), evicted: Notify::new() });
        open.insert(id, connection.clone());
        Some(Slot { id, connection, connections: self.clone() })
    }

    pub fn count(&self) -> usize {
        self.open().len()
    }

    /// Waits until all have ended. Closes those that have not ended within `limit`.
    pub async fn close_all(&self, limit: Duration) {
        let empty = async {
            loop {
                let closed = self.closed.notified();
                if self.count() == 0 {
                    return;
                }
                closed.await;
            }
        };
        if timeout(limit, empty).await.is_err() {
            for connection in self.open().values() {
                connection.evicted.notify_one();
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub fn mark_busy(self: &Arc<Self>) -> BusyGuard {
        *self.idle() = None;
        BusyGuard(self.clone())
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.idle()
    }

    fn idle(&self) -> MutexGuard<'_, Option<Instant>> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        *self.0.idle() = Some(Instant::now());
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open().remove(&self.id);
        self.connections.closed.notify_waiters();
    }
}

async fn serve(stream: TcpStream, slot: Slot, context: ServeContext) {
    let connection = slot.connection.clone();
    // Answers are small and are written at once.
    let _ = stream.set_nodelay(true);
    let served = async {
        match &context.tls {
            None => serve_http(SlotStream { io: stream, _slot: slot }, &connection, &context).await,
            Some(tls) => match timeout(context.limits.head, tls.accept(stream)).await {
                Ok(Ok(io)) => serve_http(SlotStream { io, _slot: slot }, &connection, &context).await,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the TLS handshake of a connection to the desktop API failed")
                }
                Err(_) => tracing::debug!("the TLS handshake of a connection to the desktop API timed out"),
            },
        }
    };
    tokio::select! {
        () = served => {}
        () = connection.evicted.notified() => {}
    }
}

async fn serve_http<S>(io: SlotStream<S>, connection: &Arc<Connection>, context: &ServeContext)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let inner = TowerToHyperService::new(context.router.clone());
    let connection = connection.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        inner.call(request.map(Body::new))
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(context.limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut http = pin!(http);
    let mut closing = context.closing.clone();
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = closes(&mut closing) => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the desktop API failed");
    }
}

/// The body of an answer, which keeps its connection busy until it is sent.
pub struct BusyBody {
    body: Body,
    _busy: BusyGuard,
}

impl BusyBody {
    pub fn body(body: Body, busy: BusyGuard) -> Body {
        Body::new(BusyBody { body, _busy: busy })
    }
}

impl HttpBody for BusyBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(task)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// A stream that frees its slot when its last owner drops it: hyper, or a WebSocket.
struct SlotStream<S> {
    io: S,
    _slot: Slot,
}

impl<S: AsyncRead + Unpin> AsyncRead for SlotStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(task, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SlotStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(task)
    }
}

/// The connection that a request came by.
pub fn connection_of(request: &Request) -> Option<Arc<Connection>> {
    request.extensions().get::<Arc<Connection>>().cloned()
}
