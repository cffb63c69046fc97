//! The worker: runs plans on GStreamer, in a process of its own that may die at any moment.
//!
//! It promises that every access unit that an encoder gave is either in a fragment on disk, in the tail beside
//! it, or counted as lost; and that a stop ends within its limit. It does not own the manifest, decide when to
//! record, or restart anything: that is the supervisor's work (`deskreel-recorder`), which it serves over a
//! socketpair.
//!
//! ```text
//! source -> capture.rs: drops unchanged frames -> bridge.rs: holds frames until they are coded
//!                                                   |                             ^
//!                                                   v                             | access units
//!                                                 encode.rs, a pipeline of its own: convert -> encode -> parse
//!                                                                                 |
//! supervisor <- reports - worker.rs <- bus.rs          writer.rs (a thread a track): fragments, tail, fdatasync
//! ```
//!
//! An encoder that fails or hangs is replaced by the next one (`track.rs`), which is given what the last one kept.
//! A worker runs at most one job, and leaves by ending its process: nothing waits for a driver to let go.

mod bridge;
mod build;
mod bus;
mod candidates;
mod capture;
mod close;
mod counters;
mod decode;
mod encode;
mod encoder;
mod error;
mod files;
mod fragments;
mod frames;
mod inspect;
mod judge;
mod pattern;
mod plugins;
mod probe;
mod refusal;
mod ring;
mod session;
mod slate;
mod standby;
mod survey;
mod track;
mod trial;
mod units;
mod window;
mod wire;
mod worker;
mod writer;

pub use worker::main;
