//! The worker: runs plans on GStreamer, in a process of its own that may die at any moment.
//!
//! It promises that every access unit an encoder produced is in a fragment on disk, in the tail beside it, or
//! counted as lost; and that a stop ends within its limit. It does not own the manifest, decide when to
//! record, or restart anything: that is the work of the supervisor (`deskreel-recorder`), which it serves
//! over a socketpair.
//!
//! ```text
//! source -> capture.rs: drops unchanged frames -> bridge.rs: holds frames until they are coded
//!                                                   |                             ^
//!                                                   v                             | access units
//!                                                 encode.rs, a pipeline of its own: convert -> encode -> parse
//!                                                                                 |
//! supervisor <- reports - worker.rs <- bus.rs          writer.rs (a thread per track): fragments, tail, fdatasync
//! ```
//!
//! An encoder that fails or hangs is replaced by the next one (`track.rs`), which gets the frames that the
//! failed one still held. A worker runs at most one job and leaves by ending its process, so it never waits
//! for a driver to shut down.

// The process: its loop, and the inputs to it.
mod input;
mod worker;

// The job, and the tracks in it.
mod session;
mod track;

// The path of a frame to disk.
mod capture;
mod encode;
mod write;

// Finding out which encoders work here.
mod probe;

// Shared foundations.
mod build;
mod bus;
mod error;
mod plugins;
mod wire;

pub use worker::main;
