//! The files of a recording, by its manifest (docs/recording-format.md).

use std::fs;
use std::path::Path;

use deskreel_http::{Trouble, footage};
use deskreel_sdk::prelude::*;

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
    /// The bytes, if they have the hash in the manifest.
    pub fn read(&self, directory: &Path) -> Result<Vec<u8>, Trouble> {
        footage::read(&directory.join(&self.name), &self.name, &self.sha256)
    }
}

/// The files in the order in which they were recorded; the manifest is the last.
pub fn files(directory: &Path) -> Result<Vec<File>, Trouble> {
    let bytes = fs::read(directory.join(MANIFEST)).map_err(|error| footage::unreadable(MANIFEST, &error))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| Trouble::never(format!("{MANIFEST}: {error}")))?;
    let parts = manifest.tracks.into_iter().flat_map(|track| track.parts);
    let mut files: Vec<File> = parts.flat_map(|part| [part.init].into_iter().chain(part.fragments)).collect();
    for file in &files {
        footage::inside(&file.name)?;
    }
    let sha256 = footage::sha256_hex(&bytes);
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
    fn bytes_without_the_recorded_hash_are_never_sent() {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let file = File { name: "a".into(), size: 3, sha256 };
        assert!(matches!(file.read(folder.path()), Err(Trouble::Never { .. })), "it is missing");
        fs::write(folder.path().join("a"), "abc").unwrap();
        assert_eq!(file.read(folder.path()), Ok(b"abc".to_vec()));
        fs::write(folder.path().join("a"), "abd").unwrap();
        assert!(matches!(file.read(folder.path()), Err(Trouble::Never { .. })));
    }
}
