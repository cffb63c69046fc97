//! Requests of the user and the system to this process: to stop, and to read its files again.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;

/// Requests to stop: Ctrl-C, and the system's or service manager's. Needs a tokio runtime with IO.
pub struct StopRequests(native::StopRequests);

impl StopRequests {
    /// Requests of people and the service manager.
    pub fn new() -> io::Result<StopRequests> {
        native::StopRequests::new(false).map(StopRequests)
    }

    /// The same, and the end of the terminal, which a service does not have.
    pub fn with_terminal() -> io::Result<StopRequests> {
        native::StopRequests::new(true).map(StopRequests)
    }

    /// Waits for the next request. Cancel safe.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}

/// Requests to read the files of a service again.
pub struct ReloadRequests(native::ReloadRequests);

impl ReloadRequests {
    pub fn new() -> io::Result<ReloadRequests> {
        native::ReloadRequests::new().map(ReloadRequests)
    }

    /// Waits for the next request; returns false if there will be none.
    pub async fn next(&mut self) -> bool {
        self.0.next().await
    }
}
