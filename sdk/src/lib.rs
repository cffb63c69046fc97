//! Write a Deskreel plugin: a capture source, an encoder, a sink, a policy or a feed.
//!
//! Implement the trait of your kind, describe the plugin in `plugin.toml`, export it with [`export_plugin!`]
//! and build a `cdylib`. A whole source:
//!
//! ```text
//! use deskreel_sdk::prelude::*;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Settings { device: String }
//!
//! struct Grabber(Settings);
//!
//! impl Source for Grabber {
//!     type Settings = Settings;
//!
//!     fn open(settings: Settings, _host: Host) -> Result<Self> {
//!         Ok(Grabber(settings))
//!     }
//!
//!     fn recipe(&mut self, _request: &SourceRequest) -> Result<SourceRecipe> {
//!         let grab = Element::new("v4l2src").set("device", self.0.device.as_str());
//!         Ok(SourceRecipe::elements([grab]))
//!     }
//! }
//!
//! export_plugin! { descriptor: "plugin.toml", source "acme.source.grabber" => Grabber }
//! ```
//!
//! For every kind: calls on one instance come one at a time, but from any thread; a panic is caught, reported
//! as an error, and ends that instance; `tracing` events reach the host's log; a library is never unloaded.
//! `docs/plugin-contract.md` has the rest. [`Outlet`] helps feeds with threads of their own, [`Secret`] reads
//! passwords and tokens, [`durations`] reads durations in settings.

pub mod durations;
pub mod prelude;

mod encoder;
mod error;
mod feed;
mod host;
mod outlet;
mod policy;
mod secret;
mod sink;
mod source;

pub use encoder::Encoder;
pub use error::{ErrorKind, PluginError, Result};
pub use feed::Feed;
pub use host::Host;
pub use outlet::Outlet;
pub use policy::Policy;
pub use secret::Secret;
pub use sink::Sink;
pub use source::{Frame, Source};

pub use deskreel_contract as contract;
pub use serde_json;
pub use tracing;

// The rest is shared by the macro, this crate and the host; vendors never name it.

#[doc(hidden)]
pub mod abi;
#[doc(hidden)]
pub mod c;
#[doc(hidden)]
pub mod export;
mod guard;
mod log;
