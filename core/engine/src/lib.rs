//! The worker: runs plans on GStreamer, in a process of its own that may die at any moment.
//!
//! It promises that every access unit that an encoder gave is either in a fragment on disk, in the tail beside
//! it, or counted as lost; and that a stop ends within its limit. It does not own the manifest, decide when to
//! record, or restart anything: that is the supervisor's work (`deskreel-recorder`), which it serves over a
//! socketpair.
//!
//! ```text
//! capture -> [capture.rs: counts, drops unchanged frames] -> queue -> convert -> encode -> parse -> appsink
//!                                                                                                    |
//!            supervisor <- reports - worker.rs <- bus.rs                     writer.rs (a thread a track)
//!                                                                            fragments, tail, fdatasync
//! ```
//!
//! A worker runs at most one job, and leaves by ending its process: nothing waits for a driver to let go.

mod build;
mod bus;
mod capture;
mod counters;
mod decode;
mod error;
mod files;
mod fragments;
mod frames;
mod plugins;
mod session;
mod wire;
mod worker;
mod writer;

pub use worker::main;
