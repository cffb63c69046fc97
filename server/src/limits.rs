//! Limits that keep one client from using up the others' share.

pub mod connections;
pub mod disks;
pub mod files;
pub mod logins;
pub mod upload_memory;

use std::time::Duration;

use deskreel_pipeline::Server;

/// Bytes for which an upload gets one second beside its `body_patience`. 128 kbit/s is a poor connection;
/// less is an attack.
const SLOWEST: u64 = 16 * 1024;

/// Longest time that a body of `length` bytes may take.
pub fn longest_body(server: &Server, length: u64) -> Duration {
    server.body_patience + Duration::from_secs(length / SLOWEST)
}
