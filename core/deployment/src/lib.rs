//! A pipeline file on disk and the plugin folders of this machine become a checked [`Deployment`] with the
//! plugins for it.
//!
//! [`CheckedFile::read`] finds the plugins that a file names and checks the file against them; its
//! diagnostics are drawn under the lines of the file. No code of a plugin runs, except in [`open_policies`].
//! [`DecisionClock`] is the clock of a host that decides by such a file.

mod checked;
mod clock;
mod error;
mod plugins;
mod policies;
mod render;

pub use checked::{CheckedFile, read_recorder};
pub use clock::{DecisionClock, wall_clock};
pub use error::Error;
pub use plugins::{descriptors_of, installed_plugins, plugin_files, refusals, worker_files};
pub use policies::{open_policies, policy_engine};
pub use render::wants_color;

pub use deskreel_pipeline::Deployment;
