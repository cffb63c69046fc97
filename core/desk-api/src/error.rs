//! Why the API cannot start, whose fault that is, and the cure.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use deskreel_platform::secrets::make_private_command;

use deskreel_model::Fault;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("[feed.desktop]: {0}")]
    Setting(String),
    #[error("the desktop API cannot listen on {address}: {error}{}", cure_of(error))]
    Listen { address: SocketAddr, error: io::Error },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{} can be read by others; run: {}", path.display(), make_private_command(path))]
    Readable { path: PathBuf },
    /// A file of secrets with wrong content; `what` has the cure.
    #[error("{}{}: {what}", path.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
    Content { path: PathBuf, line: Option<usize>, what: String },
    #[error("the certificate {}: {what}", path.display())]
    Certificate { path: PathBuf, what: String },
    #[error("the system provides no random numbers: {0}")]
    Random(String),
}

impl Error {
    pub fn fault(&self) -> Fault {
        match self {
            Error::Random(_) => Fault::Device,
            _ => Fault::Config,
        }
    }
}

fn cure_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; another recorder or program uses it: stop that one, or set `listen` in [feed.desktop]"
        }
        io::ErrorKind::PermissionDenied => "; use a port above 1023",
        _ => "",
    }
}
