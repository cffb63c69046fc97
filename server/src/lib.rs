//! The recording server: takes recordings in, keeps them, and shows them to those who may see them.
//!
//! ```text
//! recorders --PUT--> api/ingest -> ingest -> store (bytes), then db (rows)        people <--GET-- api/* <- db, store
//! ```
//!
//! `command.rs` is what can be typed, `config.rs` the file, `serve.rs` the listening, `app.rs` what every request has at hand.
//! The index (`db.rs`) says what there is; the store (`store.rs`) has the bytes. Nothing here knows GStreamer.

mod api;
mod app;
mod command;
mod config;
mod control;
mod db;
mod error;
mod feeds;
mod finished;
mod gate;
mod import;
mod ingest;
mod manifest;
mod media;
mod metrics;
mod player;
mod retention;
mod secret;
mod serve;
mod store;
mod time;

pub use command::main;
