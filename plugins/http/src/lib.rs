//! A library for sinks that speak HTTP; not a plugin.
//!
//! [`url`] accepts only addresses to which footage and secrets may be sent, [`Connection`] sends requests to
//! one server, [`Trouble`] is why a delivery did not succeed, and [`footage`] reads the files to deliver.

mod connection;
mod trouble;

pub mod footage;
pub mod url;

pub use connection::{Connection, bearer};
pub use trouble::{MUCH_LATER, SLOWLY, Trouble, retry_after};
