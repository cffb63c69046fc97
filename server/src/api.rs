//! The HTTP API; docs/server-api.md describes it for its users.

mod routes;

// From recorders.
mod finished_file;
mod link;
mod upload_body;
mod uploads;

// From people and programs.
mod admin;
mod annotations;
mod directory;
mod export;
mod files;
mod interactions;
mod media;
mod player;
mod session;

mod caller;
mod identities;
mod input;
mod openapi;
mod problem;

pub use routes::router;
