//! The files of a recording, by its manifest (docs/recording-format.md).

use std::fs;
use std::io;
use std::path::{Component, Path};

use deskreel_sdk::prelude::*;
use sha2::{Digest, Sha256};

use crate::answer::{SLOWLY, Trouble};

const MANIFEST: &str = "manifest.json";

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Relative to the recording's folder, with `/`.
    #[serde(rename = "file")]
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl File {
    /// Its bytes, if they are what was promised. A fragment is about a second, so it is read as a whole.
    pub fn read(&self, directory: &Path) -> Result<Vec<u8>, Trouble> {
        let bytes = fs::read(directory.join(&self.name)).map_err(|error| unreadable(&self.name, &error))?;
        match hex(Sha256::new_with_prefix(&bytes)) == self.sha256 {
            true => Ok(bytes),
            false => {
                Err(Trouble::never(format!("{}: does not have the hash that the manifest says", self.name)))
            }
        }
    }
}

/// In the order in which they were made; the manifest is the last.
pub fn files(directory: &Path) -> Result<Vec<File>, Trouble> {
    let bytes = fs::read(directory.join(MANIFEST)).map_err(|error| unreadable(MANIFEST, &error))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| Trouble::never(format!("{MANIFEST}: {error}")))?;
    let parts = manifest.tracks.into_iter().flat_map(|track| track.parts);
    let mut files: Vec<File> = parts.flat_map(|part| [part.init].into_iter().chain(part.fragments)).collect();
    if let Some(file) = files.iter().find(|file| !is_inside(&file.name)) {
        let message = format!("manifest names `{}`, which is not in the recording", file.name);
        return Err(Trouble::never(message));
    }
    let sha256 = hex(Sha256::new_with_prefix(&bytes));
    files.push(File { name: MANIFEST.to_owned(), size: bytes.len() as u64, sha256 });
    Ok(files)
}

#[derive(Deserialize)]
struct Manifest {
    tracks: Vec<Track>,
}

#[derive(Deserialize)]
struct Track {
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    init: File,
    fragments: Vec<File>,
}

/// A name that leads out of the recording's folder is refused.
fn is_inside(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is not there will not come back; a disk may.
fn unreadable(name: &str, error: &io::Error) -> Trouble {
    let reason = format!("{name}: {error}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Trouble::never(reason)
        }
        _ => Trouble::later(SLOWLY, reason),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn folder(file: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let init = json!({ "file": "video/part-0001/init.mp4", "size": 3, "sha256": "00" });
        let fragment = json!({ "number": 1, "file": file, "size": 3, "sha256": "11", "frames": 3 });
        let track =
            json!({ "name": "video", "parts": [{ "number": 1, "init": init, "fragments": [fragment] }] });
        let manifest = json!({ "schema": 1, "tracks": [track] });
        fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
        folder
    }

    #[test]
    fn the_manifest_is_the_last() {
        let folder = folder("video/part-0001/000001.m4s");
        let files = files(folder.path()).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["video/part-0001/init.mp4", "video/part-0001/000001.m4s", MANIFEST]);
        assert!(files[2].read(folder.path()).is_ok());
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for file in ["../secret", "/etc/shadow", "video/../../secret"] {
            assert!(matches!(files(folder(file).path()), Err(Trouble::Never { .. })), "{file}");
        }
    }

    #[test]
    fn bytes_that_are_not_those_promised_are_never_sent() {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let file = File { name: "a".into(), size: 3, sha256 };
        assert!(matches!(file.read(folder.path()), Err(Trouble::Never { .. })), "it is not there");
        fs::write(folder.path().join("a"), "abc").unwrap();
        assert_eq!(file.read(folder.path()), Ok(b"abc".to_vec()));
        fs::write(folder.path().join("a"), "abd").unwrap();
        assert!(matches!(file.read(folder.path()), Err(Trouble::Never { .. })));
    }
}
