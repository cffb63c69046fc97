//! The recording server from outside, as recorders, people and attackers use it: the real program, asked over
//! HTTP.
//! Its index is in SQLite and its footage in a folder, unless `with-backend` runs these tests
//! (tests/README.md).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod counter_film;

mod access;
mod agents;
mod attacks;
mod crash;
mod finished;
mod finished_attacked;
mod gaps;
mod health;
mod hostile;
mod identities;
mod ingest;
mod judges;
mod links;
mod people;
mod postgres;
mod s3;
mod seats;
mod webhook;
