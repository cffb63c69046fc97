//! One file per command.

pub mod check;
pub mod completions;
pub mod devices;
pub mod doctor;
pub mod encoders;
pub mod export;
pub mod graph;
pub mod password;
pub mod plugins;
pub mod record;
pub mod replay;
pub mod run;
pub mod schema;
pub mod verify;
