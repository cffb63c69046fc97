//! The types that every part of Deskreel shares. Pure: no files, no clock, no GStreamer.
//!
//! All wire types of core live here, and nothing else in core is serialized: the [`manifest`] beside the
//! footage, the messages between supervisor and worker ([`worker`]) and between recorder and server
//! ([`link`]), the [`event`]s of feeds, and the table of [`segment`]s.

pub mod event;
pub mod fault;
pub mod gpu;
pub mod identities;
pub mod ids;
pub mod layout;
pub mod link;
pub mod manifest;
pub mod rules;
pub mod segment;
pub mod time;
pub mod worker;

pub use fault::{Failure, Fault};
pub use identities::{Identities, loosened};
pub use ids::{AgentId, CallId, FeedName, InteractionId, PartNumber, Place, RecordingId, SinkName};
pub use manifest::Manifest;
pub use rules::{Pause, PolicyRules, TwoSeats};
pub use time::{MediaTime, Utc};
