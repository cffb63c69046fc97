//! The recording server: takes recordings in, keeps them, and shows them to the people who may see them.
//!
//! ```text
//! recorders --PUT--> api/uploads -> ingest -> store (bytes), then db (rows)       people <--GET-- api/* <- db, store
//! recorders <-link-> api/link <-> control (decides who is recorded) -> db (rows)
//! ```
//!
//! The index (`db.rs`) says what there is; the store (`store.rs`) has the bytes. Nothing here knows
//! GStreamer. Modules are in reading order; each uses only those below it.

mod command;
mod config;
mod serve;

mod api;
mod app;
mod retention;

mod control;
mod feeds;
mod ingest;

mod db;
mod limits;
mod media;
mod store;

mod about_segments;
mod fragments;
mod import;
mod manifest;
mod people;
mod segments;

mod error;
mod metrics;
mod names;
mod secret;
mod time;

pub use command::main;
