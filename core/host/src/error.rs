//! Why a library is not loaded, and why a plugin's call failed. Each message is one line for the person who
//! can fix it.

use std::path::PathBuf;

use deskreel_contract::{CONTRACT_VERSION, Interface};
use deskreel_model::Fault;
use deskreel_sdk::{ErrorKind, PluginError};
use thiserror::Error;

/// Why a library is not used. The messages do not repeat its path: callers print the file first.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("cannot be read: {reason}")]
    Unreadable { reason: String },

    #[error("not a plugin library: {reason}; remove it from the plugin folder")]
    NotALibrary { reason: String },

    #[error("built for {theirs}, this machine is {ours}; get the build for {ours}")]
    Architecture { theirs: String, ours: &'static str },

    #[error(
        "has no descriptor (section .deskreelmeta), so it is not a Deskreel plugin; remove it from the plugin folder, or link it without --gc-sections if it is yours"
    )]
    NoDescriptor,

    #[error("its descriptor cannot be read: {reason}; ask its vendor for a fixed build")]
    BadDescriptor { reason: String },

    #[error("{name} has a descriptor of schema {theirs}, this Deskreel reads schema 1; update Deskreel")]
    Schema { name: String, theirs: u32 },

    #[error(
        "{name} is built for plugin contract {theirs}, this Deskreel has {CONTRACT_VERSION}; update {older}"
    )]
    Contract { name: String, theirs: String, older: String },

    #[error("{id} speaks {theirs}, this Deskreel speaks {ours}; update Deskreel or use an older {name}")]
    Interface { name: String, id: String, theirs: Interface, ours: Interface },

    #[error("not on the allow-list; if you trust it, add to [plugins] in {list}: {line}")]
    NotAllowed { list: String, line: String },

    #[error("the allow-list {} cannot be used: {reason}", path.display())]
    AllowList { path: PathBuf, reason: String },

    #[error("changed: its sha256 is {found}, expected {expected}; restore the file, or allow the new one")]
    Changed { expected: String, found: String },

    #[error("its signature by `{key}` does not match; get the file again from its vendor")]
    Signature { key: String },

    #[error(
        "exports neither the Rust nor the C entry of a plugin; build it with export_plugin! or deskreel.h"
    )]
    NoEntry,

    #[error("cannot be opened: {reason}; install the missing libraries, or get another build")]
    CannotOpen { reason: String },

    #[error(
        "was built with a changed plugin interface: {summary}{}; rebuild it with deskreel-sdk {CONTRACT_VERSION}",
        details(report)
    )]
    Layout { summary: String, report: Option<PathBuf> },

    #[error("hides the layout of its interface, so it cannot be checked; rebuild it with export_plugin!")]
    NoLayout,

    #[error(
        "its descriptor promises {promised}, its code has {registered}; ask its vendor for a fixed build"
    )]
    WrongRegistration { promised: String, registered: String },

    #[error("panicked while it was loaded: {message}; report it to its vendor")]
    PanickedAtLoad { message: String },

    #[error("failed while it was loaded: {message}")]
    FailedAtLoad { message: String },

    #[error(
        "did not return from loading within {limit_ms} ms; remove it from the plugin folder and tell its vendor"
    )]
    NeverReturned { limit_ms: u128 },

    #[error("cannot be loaded in this process, because {} hangs in the loader; remove that file from the plugin folder", by.display())]
    Blocked { by: PathBuf },
}

fn details(report: &Option<PathBuf>) -> String {
    report.as_ref().map_or_else(String::new, |path| format!(" (details in {})", path.display()))
}

/// The mistake in a TOML text, with its line: ``line 17: missing field `sha256` ``.
pub(crate) fn toml_reason(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => format!("line {}: {}", before.matches('\n').count() + 1, error.message()),
        None => error.message().to_owned(),
    }
}

impl Refusal {
    pub fn fault(&self) -> Fault {
        match self {
            Refusal::NotAllowed { .. } | Refusal::AllowList { .. } | Refusal::Changed { .. } => Fault::Config,
            Refusal::Unreadable { .. } => Fault::Disk,
            _ => Fault::Plugin,
        }
    }
}

/// A call to a plugin that failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{plugin}: {message}")]
pub struct PluginFailure {
    /// The plugin's id.
    pub plugin: String,
    pub kind: ErrorKind,
    pub message: String,
}

impl PluginFailure {
    pub(crate) fn new(plugin: &str, error: PluginError) -> Self {
        PluginFailure { plugin: plugin.to_owned(), kind: error.kind, message: error.message }
    }

    pub fn fault(&self) -> Fault {
        match self.kind {
            ErrorKind::Settings => Fault::Config,
            ErrorKind::Unavailable => Fault::Device,
            ErrorKind::Failed | ErrorKind::Panicked | ErrorKind::Unsupported => Fault::Plugin,
        }
    }
}
