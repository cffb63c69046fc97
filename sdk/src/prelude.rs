//! Everything that a plugin usually needs: `use deskreel_sdk::prelude::*;`.

pub use deskreel_contract::*;
pub use serde::{Deserialize, Serialize};
pub use serde_json::{Value, json};
pub use tracing;

pub use crate::abi::FrameStatus;
pub use crate::export_plugin;
pub use crate::{
    Encoder, ErrorKind, Feed, Frame, Host, Outlet, PluginError, Policy, Result, Secret, Sink, Source,
};

/// The settings of a plugin without settings: any key in its table is a mistake.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}
