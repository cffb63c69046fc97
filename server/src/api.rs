//! The HTTP API. docs/server-api.md is this for people.

mod caller;
mod input;
mod problem;
mod routes;

// What recorders ask for.
mod finished;
mod ingest;

// What people ask for.
mod admin;
mod export;
mod files;
mod interactions;
mod link;
mod media;
mod session;

pub use caller::{Person, Role};
pub use ingest::{judge_recording, longest_body};
pub use input::has_nul;
pub use problem::Problem;
pub use routes::router;
pub use session::Brake;
