//! What shall go wrong, and when.

use std::path::Path;

use deskreel_sdk::prelude::*;
use gstreamer::glib;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, glib::Enum)]
#[serde(rename_all = "kebab-case")]
#[enum_type(name = "LabFault")]
pub enum Fault {
    #[default]
    None,
    /// There is no such element.
    Absent,
    /// The device cannot be opened.
    NoOpen,
    /// Every picture is black.
    Black,
    /// Every picture is green: what an encoder makes of memory that nobody filled.
    Green,
    /// Takes frame `at` and never returns.
    Hang,
    /// Keyframes from frame `at` on never come out.
    DropKeyframes,
    /// Does not hear that a keyframe is wanted.
    Deaf,
    /// Only `limit` can be open at a time.
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
    /// Frames from 0 that one element has been given.
    pub at: u32,
    pub limit: u32,
    /// Where sessions are counted, over all processes.
    pub folder: String,
    /// While this file is there, nothing goes wrong.
    pub back: String,
    /// A file that has all of the above in JSON, and stands for the PC: without the file there is no such GPU.
    pub machine: Option<String>,
}

impl Faults {
    /// What goes wrong on this machine.
    pub fn here(&self) -> Result<Faults> {
        let Some(machine) = &self.machine else {
            return Ok(self.clone());
        };
        match std::fs::read_to_string(machine) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| PluginError::failed(format!("{machine} cannot be read: {error}"))),
            Err(_) => Ok(Faults { fault: Fault::Absent, ..self.clone() }),
        }
    }
}

/// The fault is over for as long as the file is there.
pub fn is_back(file: &str) -> bool {
    !file.is_empty() && Path::new(file).exists()
}
