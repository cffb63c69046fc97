//! Waiting that ends when the feed is stopped.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The reading end of a pipe: once its writer is dropped, every wait is over.
pub struct Wake(PipeReader);

#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    Stop,
    /// The file has something, or has ended.
    Ready,
    Timeout,
}

impl Wake {
    pub fn new() -> io::Result<(Wake, PipeWriter)> {
        io::pipe().map(|(reader, writer)| (Wake(reader), writer))
    }

    /// Whether to go on.
    pub fn sleep(&self, time: Duration) -> io::Result<bool> {
        Ok(self.wait(None, Some(time))? != Woken::Stop)
    }

    pub fn wait(&self, file: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<Woken> {
        let limit = limit.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
        fds.extend(file.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)));
        loop {
            match poll(&mut fds, limit.as_ref()) {
                // Begun anew: a signal is rare, and a wait that is longer does no harm.
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(0) => return Ok(Woken::Timeout),
                Ok(_) if !fds[0].revents().is_empty() => return Ok(Woken::Stop),
                Ok(_) => return Ok(Woken::Ready),
            }
        }
    }
}
