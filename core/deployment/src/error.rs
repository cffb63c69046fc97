//! Why a pipeline file cannot be used, apart from its mistakes.

use std::io;
use std::path::PathBuf;

use deskreel_host::{PluginFailure, Refusal};
use deskreel_model::Fault;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },

    #[error("{} describes a server: deskreel-server serves it", path.display())]
    NotARecorder { path: PathBuf },

    #[error("{}: the section `[server]` is missing: this is a recorder's file", path.display())]
    NotAServer { path: PathBuf },

    #[error("no plugin has the id `{id}`")]
    UnknownPlugin { id: String },

    #[error("cannot load {}", path.display())]
    Load { path: PathBuf, source: Refusal },

    #[error(transparent)]
    Plugin(#[from] PluginFailure),
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Error::Load { .. } => Fault::Plugin,
            Error::Plugin(failure) => failure.fault(),
            // The path of the file comes from the command line.
            Error::Read { .. }
            | Error::NotARecorder { .. }
            | Error::NotAServer { .. }
            | Error::UnknownPlugin { .. } => Fault::Config,
        }
    }
}
