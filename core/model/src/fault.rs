//! Whose fault a failure is. The fault alone determines the log level, the exit code and whether to try
//! again.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// The pipeline file or the command line.
    Config,
    /// A plugin, ours or a vendor's.
    Plugin,
    /// The screen, the GPU, GStreamer, the driver: what the machine has or lacks.
    Device,
    Disk,
    Network,
    /// A bug of ours.
    Bug,
}

impl Fault {
    /// The exit code of a command that ends with this fault (docs/errors.md).
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::Config => 2,
            Fault::Plugin => 3,
            Fault::Device => 4,
            Fault::Disk => 5,
            Fault::Network => 6,
            Fault::Bug => 70,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Config => "config",
            Fault::Plugin => "plugin",
            Fault::Device => "device",
            Fault::Disk => "disk",
            Fault::Network => "network",
            Fault::Bug => "bug",
        })
    }
}

/// A failure as reported over a wire: the fault for machines, the text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub fault: Fault,
    pub message: String,
}

impl Failure {
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Failure { fault, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.fault)
    }
}

impl std::error::Error for Failure {}
