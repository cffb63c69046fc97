//! Waits that end when the feed is stopped.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The reading end of a pipe. Dropping the writing end ends every wait.
pub struct StopSignal(PipeReader);

#[derive(Debug, PartialEq, Eq)]
pub enum WaitResult {
    Stopped,
    /// The file has something, or has ended.
    Ready,
    Timeout,
}

impl StopSignal {
    pub fn new() -> io::Result<(StopSignal, PipeWriter)> {
        io::pipe().map(|(reader, writer)| (StopSignal(reader), writer))
    }

    /// Returns false once the feed is stopped.
    pub fn sleep(&self, time: Duration) -> io::Result<bool> {
        Ok(self.wait(None, Some(time))? != WaitResult::Stopped)
    }

    pub fn wait(&self, file: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<WaitResult> {
        let limit = limit.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
        let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
        fds.extend(file.map(|file| PollFd::from_borrowed_fd(file, PollFlags::IN)));
        loop {
            match poll(&mut fds, limit.as_ref()) {
                // Starts over: signals are rare, and a longer wait does no harm.
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(0) => return Ok(WaitResult::Timeout),
                Ok(_) if !fds[0].revents().is_empty() => return Ok(WaitResult::Stopped),
                Ok(_) => return Ok(WaitResult::Ready),
            }
        }
    }
}
