//! The faults, and when they happen.

use std::path::Path;

use deskreel_sdk::prelude::*;
use gstreamer::glib;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, glib::Enum)]
#[serde(rename_all = "kebab-case")]
#[enum_type(name = "LabFault")]
pub enum Fault {
    #[default]
    None,
    /// The element does not exist.
    Absent,
    /// The device cannot be opened.
    NoOpen,
    /// Every picture is black.
    Black,
    /// Every picture is green: the result of encoding memory that was never filled.
    Green,
    /// Takes frame `at` and never returns.
    Hang,
    /// Drops keyframes from frame `at` on.
    DropKeyframes,
    /// Ignores requests for a keyframe.
    Deaf,
    /// Only `limit` can be open at once.
    Sessions,
    /// Reports an error at frame `at`.
    Fail,
    /// Ends the process at frame `at`.
    Crash,
}

/// The settings of one plugin of this library.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    pub fault: Fault,
    /// Frame of one element, counted from 0.
    pub at: u32,
    pub limit: u32,
    /// Folder in which sessions are counted, over all processes.
    pub folder: String,
    /// While this file exists, there is no fault.
    pub back: String,
    /// A file with all of the above in JSON, which represents the PC: without the file there is no such GPU.
    pub machine: Option<String>,
}

impl Faults {
    /// The faults of this machine.
    pub fn here(&self) -> Result<Faults> {
        let Some(machine) = &self.machine else {
            return Ok(self.clone());
        };
        match std::fs::read_to_string(machine) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| PluginError::failed(format!("could not read {machine}: {error}"))),
            Err(_) => Ok(Faults { fault: Fault::Absent, ..self.clone() }),
        }
    }
}

/// The fault is over while the file exists.
pub fn is_back(file: &str) -> bool {
    !file.is_empty() && Path::new(file).exists()
}
