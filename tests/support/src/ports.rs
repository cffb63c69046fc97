//! TCP ports for programs that get their address from the test, and that may be started there again.

use std::fs::File;
use std::net::TcpListener;

use rustix::fs::{FlockOperation, flock};

use crate::paths::shared_folder;

/// Below 32768, the first port that Linux assigns to connections by itself.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// A port of 127.0.0.1 without a listener. No other test gets it while this process lives.
pub fn free_port() -> u16 {
    let folder = shared_folder("ports");
    let first = std::process::id() as u16 % 10_000;
    let mut ports = PORTS.cycle().skip(first.into()).take(PORTS.len());
    let is_free = |port: &u16| {
        let lock = File::create(folder.join(port.to_string())).unwrap();
        let is_ours = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_ours {
            // The lock ends with the process.
            std::mem::forget(lock);
        }
        is_ours && TcpListener::bind(("127.0.0.1", *port)).is_ok()
    };
    ports.find(is_free).expect("a free port")
}
