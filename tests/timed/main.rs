//! Tests that measure time beside an encoder or a browser. Each of them runs alone.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

mod crash;
mod cycles;
mod daemon;
mod delivery;
mod desktop;
mod disk_full;
mod failover;
mod lock;
mod machines;
mod media;
mod media_pause;
mod media_pre_roll;
mod player;
mod player_server;
mod screen;
mod system;
