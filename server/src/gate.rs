//! Who is let in: so many connections at one time, and HTTP/1.1 alone, whose slowness is limited.
//!
//! A connection costs a file and some memory. Somebody who opens them and says nothing is closed after `head_patience`, who takes
//! nothing of what is answered, after `answer_patience`; and nobody takes more of them than there are places here. A place is taken
//! until the connection ends, also as a WebSocket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum_server::accept::Accept;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Five times the recorders of a large site, each with a line and an upload.
const CONNECTIONS: u64 = 20_000;
/// Of the files that this process may open, those that are no connections: footage, the index, libraries.
const OTHER_FILES: u64 = 256;
/// Where no limit is known.
const USUAL_LIMIT: u64 = 1024;
/// What a connection of HTTP/2 begins with, and no request of HTTP/1.1. It would have no limits of time.
const HTTP2: &[u8; 4] = b"PRI ";

/// In front of another acceptor, such as TLS.
#[derive(Debug, Clone)]
pub struct Gate<A> {
    inner: A,
    places: Arc<Semaphore>,
    answer_patience: Duration,
}

impl<A> Gate<A> {
    pub fn new(inner: A, answer_patience: Duration) -> Gate<A> {
        let files = open_files().saturating_sub(OTHER_FILES).clamp(16, CONNECTIONS);
        let places = Arc::new(Semaphore::new(usize::try_from(files).unwrap_or(16)));
        Gate { inner, places, answer_patience }
    }
}

/// As many as the system lets this process have. What it has at first is often 1024, for programs of long ago.
fn open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(CONNECTIONS + OTHER_FILES);
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
        Ok(()) => wanted,
        Err(_) => current.unwrap_or(USUAL_LIMIT),
    }
}

impl<A, I, S> Accept<I, S> for Gate<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = Guest<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            // `stream` is dropped, which closes it.
            return Box::pin(async { Err(io::Error::other("no place is free")) });
        };
        let (accepted, patience) = (self.inner.accept(stream, service), self.answer_patience);
        Box::pin(async move {
            let (stream, service) = accepted.await?;
            Ok((Guest { stream, like_http2: Some(0), patience, waiting: None, _place: place }, service))
        })
    }
}

/// A connection that has a place.
#[derive(Debug)]
pub struct Guest<S> {
    stream: S,
    /// Of the first bytes, how many there have been, as long as they are those of HTTP/2.
    like_http2: Option<usize>,
    /// Of the server, while nothing is taken of what it says.
    patience: Duration,
    /// Since nothing is taken.
    waiting: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<S> Guest<S> {
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(seen) = self.like_http2 else { return Ok(()) };
        let (expected, given) = (&HTTP2[seen..], &bytes[..bytes.len().min(HTTP2.len() - seen)]);
        if !expected.starts_with(given) {
            self.like_http2 = None;
        } else if given.len() < expected.len() {
            self.like_http2 = Some(seen + given.len());
        } else {
            return Err(io::Error::other("only HTTP/1.1 is spoken here"));
        }
        Ok(())
    }

    /// What came of an attempt to say something; an error, if nothing could be said for too long.
    fn taken<T>(&mut self, said: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.waiting = None;
            return said;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(self.patience)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing is taken of what is answered")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = read {
            self.look(&buffer.filled()[before..])?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.taken(said, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.stream).poll_flush(context);
        self.taken(said, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.stream).poll_shutdown(context);
        self.taken(said, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.taken(said, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
