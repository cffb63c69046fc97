//! Tests that hold however busy the machine is: the pure and the robust. They run beside each other.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod api;
mod cli;
mod config;
mod encoders;
mod feeds;
mod fuzz;
mod plugins;
mod replay;
mod scenario;
mod sinks;
mod vendor;
mod vendor_rust;
