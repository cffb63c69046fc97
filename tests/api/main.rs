//! The loopback API over real sockets, at a desk whose far end the test plays: what desktops get, and what attackers do not.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod classic;
mod commands;
mod crowds;
mod document;
mod http;
mod judges;
mod sessions;
mod streams;
mod tells;
mod tls;
mod world;
