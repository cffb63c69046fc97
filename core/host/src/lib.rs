//! Finds, checks and loads plugins. Uses neither GStreamer nor the network.
//!
//! The way of a plugin: [`search`] reads descriptors without running code, [`Catalog`] applies the allow-list
//! ([`Allow`]) and settles which library has which id, [`load_with_deadline`] opens a library and compares its
//! binary interface with ours, [`Library::create`] makes a [`Plugin`], and that is called. A library written in
//! Rust, one written in C and a `plugin.toml` without code give the same [`Plugin`].
//!
//! What is not done here: keeping a plugin's crash away from this process. That is what workers are for.

mod allow;
mod c_adapter;
mod callbacks;
mod catalog;
mod descriptor;
mod encoder_recipe;
mod error;
mod instance;
mod load;
mod negotiate;
mod open;
mod recipe_only;
mod search;

pub use allow::Allow;
pub use callbacks::HostCallbacks;
pub use catalog::{Catalog, Duplicate};
pub use descriptor::Entry;
pub use error::{PluginFailure, Refused};
pub use instance::{Library, Plugin};
pub use load::{LOAD_LIMIT, load, load_with_deadline};
pub use search::{Found, default_paths, examine, folders_beside, search, shipped_folders};

pub use deskreel_sdk::ErrorKind;
pub use deskreel_sdk::abi::FrameStatus;
