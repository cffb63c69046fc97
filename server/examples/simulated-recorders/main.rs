//! Test equipment of `script/bench`: many recorders in one program, which load a server like that many PCs.
//!
//! ```text
//! simulated-recorders link SERVER TOKENS ADMIN          a recorder's link (`deskreel_link`) for each token
//! simulated-recorders upload SERVER TOKENS BYTES CONNECTIONS MILLISECONDS SECONDS [FOLDER]
//! ```
//!
//! TOKENS is a folder with a file for each recorder, which is named after its place and contains its token.
//! ADMIN is a file with the token of a program that may send events. Output is JSON, one object per line.

mod http;
mod link;
mod upload;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One thread leaves the other cores to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["link", server, tokens, admin] => link::run(server, &recorders(tokens)?, &token(admin)?).await,
        ["upload", server, tokens, bytes, connections, milliseconds, seconds, ref rest @ ..] => {
            let load = upload::Load {
                bytes: bytes.parse()?,
                connections: connections.parse()?,
                every_ms: milliseconds.parse()?,
                seconds: seconds.parse()?,
                synced: rest.first().map(PathBuf::from),
            };
            let tokens = recorders(tokens)?.iter().map(|file| token(file)).collect::<Result<Vec<_>>>()?;
            upload::run(server, tokens, load).await
        }
        _ => Err("expected `link` or `upload`, with their arguments".into()),
    }
}

/// The files with the recorders' tokens, sorted.
fn recorders(folder: &str) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn token(file: impl AsRef<Path>) -> Result<String> {
    Ok(fs::read_to_string(file)?.trim().to_owned())
}
