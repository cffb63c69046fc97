//! The worker's end of the socket to its supervisor.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use deskreel_model::worker::{self, Command, Report};

/// Sends reports, from any thread. A failed send is ignored: the reading side notices when the supervisor is
/// gone.
#[derive(Clone)]
pub struct Reporter(Arc<Mutex<UnixStream>>);

impl Reporter {
    pub fn new(socket: UnixStream) -> Self {
        Reporter(Arc::new(Mutex::new(socket)))
    }

    pub fn send(&self, report: &Report) {
        let mut socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = worker::encode(report).and_then(|message| socket.write_all(&message)) {
            tracing::debug!(%error, "could not send a report");
        }
    }
}

/// Reads the next command. Returns `None` if the supervisor is gone.
pub fn receive(socket: &mut UnixStream) -> io::Result<Option<Command>> {
    let mut length = [0; 4];
    match socket.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut body = vec![0; worker::body_length(length)?];
    socket.read_exact(&mut body)?;
    worker::decode(&body).map(Some)
}
