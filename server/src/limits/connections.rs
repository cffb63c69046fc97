//! Limits of connections: their number, HTTP/1.1 only, and how slow a client may be.
//!
//! A connection costs an open file and some memory. A client that sends nothing is closed after
//! `head_patience`, one that does not read its answers after `answer_patience`. A connection counts until it
//! ends, also as a WebSocket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use deskreel_platform::system;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Five times the recorders of a large site, each with a link and an upload.
const CONNECTIONS: u64 = 20_000;
/// Open files that are not connections: footage, the index, libraries.
const OTHER_FILES: u64 = 256;
/// Assumed open-file limit if the system states none.
const USUAL_LIMIT: u64 = 1024;
/// First bytes of an HTTP/2 connection, and of no HTTP/1.1 request. HTTP/2 would have no time limits.
const HTTP2: &[u8; 4] = b"PRI ";

/// Wraps another acceptor, such as TLS.
#[derive(Debug, Clone)]
pub struct ConnectionLimit<A> {
    inner: A,
    permits: Arc<Semaphore>,
    answer_patience: Duration,
}

impl<A> ConnectionLimit<A> {
    pub fn new(inner: A, answer_patience: Duration) -> ConnectionLimit<A> {
        // The initial limit is often a historic 1024.
        let files = system::raise_open_files(CONNECTIONS + OTHER_FILES).unwrap_or(USUAL_LIMIT);
        let files = files.saturating_sub(OTHER_FILES).clamp(16, CONNECTIONS);
        let permits = Arc::new(Semaphore::new(usize::try_from(files).unwrap_or(16)));
        ConnectionLimit { inner, permits, answer_patience }
    }
}

impl<A, I, S> Accept<I, S> for ConnectionLimit<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = LimitedConnection<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            // `stream` is dropped, which closes it.
            return Box::pin(async {
                Err(io::Error::other("too many connections; raise the limit of open files (LimitNOFILE)"))
            });
        };
        let (accepted, patience) = (self.inner.accept(stream, service), self.answer_patience);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((
                LimitedConnection { stream, http2_prefix: Some(0), patience, stalled: None, _permit: permit },
                service,
            ))
        })
    }
}

/// An accepted connection. It holds a permit until it ends.
#[derive(Debug)]
pub struct LimitedConnection<S> {
    stream: S,
    /// The number of bytes received, while they are the first ones of HTTP/2.
    http2_prefix: Option<usize>,
    /// Time after which a client that reads nothing is closed.
    patience: Duration,
    /// Runs while the client reads nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl<S> LimitedConnection<S> {
    fn refuse_http2(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(seen) = self.http2_prefix else { return Ok(()) };
        let (expected, given) = (&HTTP2[seen..], &bytes[..bytes.len().min(HTTP2.len() - seen)]);
        if !expected.starts_with(given) {
            self.http2_prefix = None;
        } else if given.len() < expected.len() {
            self.http2_prefix = Some(seen + given.len());
        } else {
            return Err(io::Error::other("HTTP/2 is not supported; use HTTP/1.1"));
        }
        Ok(())
    }

    /// Passes on the result of a write; an error if the client has read nothing for too long.
    fn watch<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedConnection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.refuse_http2(&buffer.filled()[before..])?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedConnection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(written, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watch(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
