//! A pipeline file on disk and the plugin folders of this machine become a checked pipeline with the plugins for it.
//!
//! [`CheckedFile::read`] parses and checks a file against the plugins that [`find_plugins`] discovers; [`draw`] shows its mistakes
//! under the lines of the file. No code of a plugin runs, except in [`open_policies`].

mod checked;
mod plugins;
mod policies;
mod render;

pub use checked::CheckedFile;
pub use plugins::{
    catalog_for, descriptors_of, find_plugins, must_record, plugin_files, read_pipeline, worker_files,
};
pub use policies::{open_policies, policy_engine};
pub use render::{SourceFile, draw, to_json, wants_color};
