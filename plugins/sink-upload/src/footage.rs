//! The files of a recording, by the part of `manifest.json` that an upload needs (docs/recording-format.md).

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use deskreel_http::{Trouble, footage};
use deskreel_sdk::prelude::*;

/// The name of a fragment within its recording. Number 0 is the part's header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Name {
    pub track: String,
    pub part: u32,
    pub number: u32,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.track, self.part, self.number)
    }
}

/// A header or a fragment on this disk.
#[derive(Debug, Clone)]
pub struct Piece {
    pub name: Name,
    pub path: PathBuf,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

impl Piece {
    pub fn of(delivery: &FragmentDelivery) -> Piece {
        let name = Name { track: delivery.track.clone(), part: delivery.part, number: delivery.number };
        Piece { name, path: delivery.path.clone(), sha256: delivery.sha256.clone() }
    }

    /// The bytes, if they have the recorded hash.
    pub fn read(&self) -> Result<Vec<u8>, Trouble> {
        footage::read(&self.path, &self.path.display().to_string(), &self.sha256)
    }
}

/// A sealed recording.
#[derive(Debug)]
pub struct Footage {
    /// `manifest.json`, byte for byte.
    pub manifest: Vec<u8>,
    /// The files, in the order in which they were recorded.
    pub pieces: Vec<Piece>,
}

impl Footage {
    pub fn load(directory: &Path) -> Result<Footage, Trouble> {
        let path = directory.join("manifest.json");
        let name = path.display().to_string();
        let bytes = fs::read(&path).map_err(|error| footage::unreadable(&name, &error))?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| Trouble::never(format!("{name}: {error}")))?;
        let mut pieces = Vec::new();
        for track in &manifest.tracks {
            for part in &track.parts {
                let header = [(0, &part.init)].into_iter();
                let fragments = part.fragments.iter().map(|fragment| (fragment.number, &fragment.file));
                for (number, file) in header.chain(fragments) {
                    let name = Name { track: track.name.clone(), part: part.number, number };
                    let path = directory.join(footage::inside(&file.file)?);
                    pieces.push(Piece { name, path, sha256: file.sha256.clone() });
                }
            }
        }
        Ok(Footage { manifest: bytes, pieces })
    }
}

#[derive(Deserialize)]
struct Manifest {
    tracks: Vec<Track>,
}

#[derive(Deserialize)]
struct Track {
    name: String,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    number: u32,
    init: File,
    fragments: Vec<Fragment>,
}

#[derive(Deserialize)]
struct Fragment {
    number: u32,
    #[serde(flatten)]
    file: File,
}

#[derive(Deserialize)]
struct File {
    file: String,
    sha256: String,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn load(file: &str) -> Result<Footage, Trouble> {
        let folder = tempfile::tempdir().unwrap();
        let init = json!({ "file": "video/part-0003/init.mp4", "size": 1, "sha256": "00" });
        let fragment = json!({ "number": 9, "file": file, "size": 1, "sha256": "11", "frames": 3 });
        let part = json!({ "number": 3, "init": init, "fragments": [fragment] });
        let manifest = json!({ "schema": 1, "tracks": [{ "name": "video", "parts": [part], "gaps": [] }] });
        fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
        Footage::load(folder.path())
    }

    #[test]
    fn headers_are_number_0_and_come_first() {
        let footage = load("video/part-0003/000009.m4s").unwrap();
        let names: Vec<String> = footage.pieces.iter().map(|piece| piece.name.to_string()).collect();
        assert_eq!(names, ["video/3/0", "video/3/9"]);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        for file in ["../secret", "/etc/shadow", "video/../../secret"] {
            assert!(matches!(load(file), Err(Trouble::Never { .. })), "{file}");
        }
    }
}
