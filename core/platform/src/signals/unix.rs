use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub struct StopRequests {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl StopRequests {
    pub fn new(with_terminal: bool) -> io::Result<StopRequests> {
        Ok(StopRequests {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: if with_terminal { Some(signal(SignalKind::hangup())?) } else { None },
        })
    }

    pub async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = hangup => {}
        }
    }
}

/// SIGHUP, as `systemctl reload` sends it.
pub struct ReloadRequests(Signal);

impl ReloadRequests {
    pub fn new() -> io::Result<ReloadRequests> {
        signal(SignalKind::hangup()).map(ReloadRequests)
    }

    pub async fn next(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}
