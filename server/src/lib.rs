//! The recording server: takes recordings in, keeps them, and shows them to the people who may see them.
//!
//! ```text
//! recorders --PUT--> api/uploads -> ingest -> store (bytes), then db (rows)       people <--GET-- api/* <- db, store
//! recorders <-link-> api/link <-> control (decides who is recorded) -> db (rows)
//! ```
//!
//! The index (`db.rs`) says what there is; the store (`store.rs`) has the bytes. Nothing here knows
//! GStreamer. Modules are in reading order; each group uses only itself and the groups below it,
//! which `tests/tidy` checks.

// The program.
mod command;
mod import;
mod serve;

// The API and background work.
mod api;
mod app;
mod health_rounds;
mod identities;
mod retention;

// Processing of events and uploads.
mod control;
mod feeds;
mod ingest;

// Storage.
mod db;
mod store;

// Pure decisions about footage.
mod about_segments;
mod account;
mod additions;
mod manifest;
mod media;

// Types, and limits of a client's use.
mod fragments;
mod limits;
mod names;
mod people;
mod segments;

// Foundations.
mod config;
mod error;
mod health;
mod metrics;
mod schema;
mod secret;
mod time;

pub use command::main;
