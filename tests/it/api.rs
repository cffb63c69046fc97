//! The loopback API over real sockets, with a desk that the test plays: what desktops get, and attackers do
//! not.

mod attacks;
mod classic;
mod commands;
mod crowds;
mod document;
mod http;
mod judges;
mod reports;
mod sessions;
mod streams;
mod world;
