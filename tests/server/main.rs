//! The recording server, as recorders, people and attackers find it: the real program, asked over HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used)]

// Of the sinks' tests, which use all of it.
#[path = "../support/counter_film.rs"]
mod counter_film;
#[allow(dead_code)]
#[path = "../sinks/recording.rs"]
mod recording;
#[path = "../support/server.rs"]
mod server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tls.rs"]
mod tls;
#[path = "../support/upload_server.rs"]
mod upload_server;

use support::random;

mod access;
mod agents;
mod attacks;
mod crash;
mod finished;
mod finished_attacked;
mod hostile;
mod ingest;
mod judges;
mod lines;
mod people;
mod postgres;
mod s3;
