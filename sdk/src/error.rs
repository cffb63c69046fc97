//! The error of a plugin.

use std::fmt;

use crate::abi::RawError;

pub type Result<T, E = PluginError> = std::result::Result<T, E>;

/// The kind of an error, by who can repair it. The numbers are part of the contract (and of `deskreel.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ErrorKind {
    /// The deployer: the settings are wrong.
    Settings = 1,
    /// The owner of the machine: it lacks something that the plugin needs, for now or for good.
    Unavailable = 2,
    /// Unknown.
    Failed = 3,
    /// The vendor: the plugin panicked, and this instance answers no more calls.
    Panicked = 4,
    /// No repair is needed: the plugin does not have this method.
    Unsupported = 5,
}

/// A failure of a plugin: who can repair it, and a sentence for people, in lower case and without a full
/// stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginError {
    pub kind: ErrorKind,
    pub message: String,
}

impl PluginError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        PluginError { kind, message: message.into() }
    }

    /// The settings are wrong. Name the key and the values that it takes.
    pub fn settings(message: impl Into<String>) -> Self {
        PluginError::new(ErrorKind::Settings, message)
    }

    /// The machine lacks something. Name it.
    pub fn unavailable(message: impl Into<String>) -> Self {
        PluginError::new(ErrorKind::Unavailable, message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        PluginError::new(ErrorKind::Failed, message)
    }

    pub fn unsupported(method: &str) -> Self {
        PluginError::new(ErrorKind::Unsupported, format!("this plugin has no method `{method}`"))
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PluginError {}

/// Lets a plugin use `?` on errors of files and JSON.
impl From<std::io::Error> for PluginError {
    fn from(error: std::io::Error) -> Self {
        PluginError::failed(error.to_string())
    }
}

impl From<serde_json::Error> for PluginError {
    fn from(error: serde_json::Error) -> Self {
        PluginError::failed(error.to_string())
    }
}

impl ErrorKind {
    /// A number that this version does not know means [`Failed`](Self::Failed).
    pub fn from_number(number: u32) -> Self {
        let known =
            [ErrorKind::Settings, ErrorKind::Unavailable, ErrorKind::Panicked, ErrorKind::Unsupported];
        known.into_iter().find(|kind| *kind as u32 == number).unwrap_or(ErrorKind::Failed)
    }
}

impl From<PluginError> for RawError {
    fn from(error: PluginError) -> RawError {
        RawError { kind: error.kind as u32, message: error.message.into() }
    }
}

impl From<RawError> for PluginError {
    fn from(error: RawError) -> PluginError {
        PluginError::new(ErrorKind::from_number(error.kind), error.message)
    }
}
