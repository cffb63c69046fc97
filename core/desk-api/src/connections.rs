//! Connections: accepted, counted, given up when they are idle and others want in, ended at the end.
//!
//! Every program of the PC comes from the same address, so nothing can be limited by address. A connection is *busy* while a
//! request that has been read whole is answered, or a stream runs; else it is idle, also while a request trickles in.
//! When there are too many, the one that is idle for longest makes room.

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

/// Of the head of a request, all headers together.
const HEAD_BYTES: usize = 32 * 1024;
const HEADERS: usize = 64;
/// After the system refused a connection: it is out of files, and asking at once would only heat the PC.
const BREATH: Duration = Duration::from_millis(50);

pub struct Connections {
    most: usize,
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    closed: Notify,
}

pub struct Connection {
    /// None while it is busy.
    idle_since: Mutex<Option<Instant>>,
    evicted: Notify,
}

/// A place among the connections, given back when the connection is dropped.
struct Slot {
    id: u64,
    connection: Arc<Connection>,
    connections: Arc<Connections>,
}

/// While it lives, its connection is not given up.
pub struct Busy(Arc<Connection>);

/// What a connection needs to be served.
#[derive(Clone)]
pub struct Serving {
    pub router: Router,
    pub tls: Option<TlsAcceptor>,
    pub limits: Limits,
    pub closing: watch::Receiver<bool>,
}

impl Connections {
    pub fn new(most: usize) -> Arc<Connections> {
        Arc::new(Connections { most, next: AtomicU64::new(0), open: Mutex::default(), closed: Notify::new() })
    }

    /// Serves who comes until the API closes.
    pub async fn accept(self: Arc<Self>, listener: TcpListener, serving: Serving) {
        let mut closing = serving.closing.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = closes(&mut closing) => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    if let Some(slot) = self.admit() {
                        tokio::spawn(serve(stream, slot, serving.clone()));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the desktop API was not accepted");
                    sleep(BREATH).await;
                }
            }
        }
    }

    /// None where all are busy.
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

    /// Waits until all have ended, and ends those that have not by then.
    pub async fn farewell(&self, limit: Duration) {
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
    pub fn busy(self: &Arc<Self>) -> Busy {
        *self.idle() = None;
        Busy(self.clone())
    }

    fn idle_since(&self) -> Option<Instant> {
        *self.idle()
    }

    fn idle(&self) -> MutexGuard<'_, Option<Instant>> {
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
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

async fn serve(stream: TcpStream, slot: Slot, serving: Serving) {
    let connection = slot.connection.clone();
    // Answers are small and go out whole.
    let _ = stream.set_nodelay(true);
    let served = async {
        match &serving.tls {
            None => speak(Guarded { io: stream, _slot: slot }, &connection, &serving).await,
            Some(tls) => match timeout(serving.limits.head, tls.accept(stream)).await {
                Ok(Ok(io)) => speak(Guarded { io, _slot: slot }, &connection, &serving).await,
                Ok(Err(error)) => tracing::debug!(%error, "no TLS on a connection to the desktop API"),
                Err(_) => tracing::debug!("a TLS handshake with the desktop API took too long"),
            },
        }
    };
    tokio::select! {
        () = served => {}
        () = connection.evicted.notified() => {}
    }
}

async fn speak<S>(io: Guarded<S>, connection: &Arc<Connection>, serving: &Serving)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let inner = TowerToHyperService::new(serving.router.clone());
    let connection = connection.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        inner.call(request.map(Body::new))
    });
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(serving.limits.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut http = pin!(http);
    let mut closing = serving.closing.clone();
    let ended = tokio::select! {
        ended = http.as_mut() => ended,
        () = closes(&mut closing) => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the desktop API ended");
    }
}

/// The body of an answer, and that its connection is busy with it.
pub struct Held {
    body: Body,
    _busy: Busy,
}

impl Held {
    pub fn body(body: Body, busy: Busy) -> Body {
        Body::new(Held { body, _busy: busy })
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

/// A stream that gives its slot back when it is dropped, by whoever has it then: hyper, or a WebSocket.
struct Guarded<S> {
    io: S,
    _slot: Slot,
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// What a handler sees of its request.
pub fn of(request: &Request) -> Option<Arc<Connection>> {
    request.extensions().get::<Arc<Connection>>().cloned()
}
