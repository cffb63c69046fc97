//! The loopback API over real sockets, at a desk whose far end the test plays: what desktops get, and what
//! attackers do not.

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
mod world;
