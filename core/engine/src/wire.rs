//! The worker's end of the channel to its supervisor.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use deskreel_model::worker::{self, Command, Report};
use deskreel_platform::process::SupervisorChannel;

/// Sends reports, from any thread. A failed send is ignored: the reading side notices when the supervisor is
/// gone.
#[derive(Clone)]
pub struct Reporter(Arc<Mutex<SupervisorChannel>>);

impl Reporter {
    pub fn new(channel: SupervisorChannel) -> Self {
        Reporter(Arc::new(Mutex::new(channel)))
    }

    pub fn send(&self, report: &Report) {
        let mut channel = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = worker::encode(report).and_then(|message| channel.write_all(&message)) {
            tracing::debug!(%error, "could not send a report");
        }
    }
}

/// Reads the next command. Returns `None` if the supervisor is gone.
pub fn receive(channel: &mut SupervisorChannel) -> io::Result<Option<Command>> {
    let mut length = [0; 4];
    match channel.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut body = vec![0; worker::body_length(length)?];
    channel.read_exact(&mut body)?;
    worker::decode(&body).map(Some)
}
