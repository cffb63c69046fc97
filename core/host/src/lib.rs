//! Finds, checks and loads plugins. Uses neither GStreamer nor the network.
//!
//! [`search`] reads descriptors without running code, [`Catalog`] applies the [`AllowList`] and decides which
//! library has which id, [`load_with_deadline`] opens a library and compares its binary interface with ours,
//! and [`Library::create`] makes a [`Plugin`] to call. A library written in Rust, one written in C and a
//! `plugin.toml` without code all become the same [`Plugin`].
//!
//! It does not keep a plugin's crash away from this process: that is what workers are for.

mod allow;
mod c_adapter;
mod callbacks;
mod catalog;
mod compatibility;
mod descriptor;
mod encoder_recipe;
mod error;
mod instance;
mod load;
mod open_library;
mod recipe_only;
mod search;

pub use allow::AllowList;
pub use callbacks::{HostCallbacks, OnSubmit};
pub use catalog::{Catalog, Duplicate};
pub use descriptor::EntryPoint;
pub use error::{PluginFailure, Refusal};
pub use instance::{Library, Plugin};
pub use load::{LOAD_LIMIT, load, load_with_deadline};
pub use search::{FoundFile, default_paths, examine, folders_beside, search, shipped_folders};

pub use deskreel_sdk::ErrorKind;
pub use deskreel_sdk::abi::FrameStatus;
