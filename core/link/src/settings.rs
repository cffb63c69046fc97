//! The settings of a recorder's link.

use std::path::PathBuf;

use crate::recorder::RecorderIdentity;

#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// Address such as `https://recordings.example`; may have a path. `http` only for this machine, or if
    /// `plain_http` allows it.
    pub server: String,
    pub token: TokenSource,
    /// Certificates (PEM) to trust besides the machine's.
    pub ca_file: Option<PathBuf>,
    pub plain_http: bool,
    pub identity: RecorderIdentity,
}

/// The source of the recorder's token. It is read for each connection, so that a renewed token is used.
#[derive(Debug, Clone)]
pub enum TokenSource {
    File(PathBuf),
    /// An environment variable.
    Variable(String),
}

/// A mistake in the settings, because of which the link cannot start. Later problems with the connection are
/// in the [`LinkState`](crate::LinkState).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("`{0}` is not the address of a server; write it as in https://recordings.example")]
    Address(String),
    #[error("`{0}` sends the token over plain http; use https, or allow it with `plain_http = true`")]
    PlainHttp(String),
    #[error("no random numbers: {0}")]
    Random(String),
}

impl TokenSource {
    pub(crate) fn read(&self) -> Result<String, String> {
        let (text, name) = match self {
            TokenSource::File(file) => {
                (std::fs::read_to_string(file).map_err(|e| e.to_string()), file.display().to_string())
            }
            TokenSource::Variable(name) => {
                (std::env::var(name).map_err(|e| e.to_string()), format!("the variable {name}"))
            }
        };
        match text.map_err(|error| format!("{name}: {error}"))?.trim() {
            "" => Err(format!("{name} is empty")),
            token => Ok(token.to_owned()),
        }
    }
}
