//! The HTTP API. docs/server-api.md is this for people.

mod caller;
mod problem;
mod routes;

// What recorders ask for.
mod ingest;

pub use caller::{Caller, Person, Role};
pub use problem::Problem;
pub use routes::router;
