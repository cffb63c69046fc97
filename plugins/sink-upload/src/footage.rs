//! The files of a recording: what of `manifest.json` an upload needs (docs/recording-format.md).

use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use deskreel_sdk::prelude::*;

use crate::answer::{SLOWLY, Trouble};
use crate::digest;

/// What a fragment is called within its recording. Number 0 is the part's header.
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

    /// Its bytes, if they are what was promised. A fragment is about a second, so it is read as a whole.
    pub fn read(&self) -> Result<Vec<u8>, Trouble> {
        let bytes = fs::read(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        match digest::field_of_hex(&self.sha256) == Some(digest::field(&bytes)) {
            true => Ok(bytes),
            false => {
                let path = self.path.display();
                Err(Trouble::never(format!("{path}: does not have the hash that was promised")))
            }
        }
    }
}

/// A sealed recording.
#[derive(Debug)]
pub struct Footage {
    /// `manifest.json`, byte for byte.
    pub manifest: Vec<u8>,
    /// In the order in which they were made.
    pub pieces: Vec<Piece>,
}

impl Footage {
    pub fn load(directory: &Path) -> Result<Footage, Trouble> {
        let path = directory.join("manifest.json");
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| Trouble::never(format!("{}: {error}", path.display())))?;
        let mut pieces = Vec::new();
        for track in &manifest.tracks {
            for part in &track.parts {
                let headed = [(0, &part.init)].into_iter();
                let all =
                    headed.chain(part.fragments.iter().map(|fragment| (fragment.number, &fragment.file)));
                for (number, file) in all {
                    let name = Name { track: track.name.clone(), part: part.number, number };
                    let path = directory.join(inside(&file.file)?);
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

/// A name that leads out of the recording's folder is refused.
fn inside(file: &str) -> Result<&Path, Trouble> {
    let path = Path::new(file);
    match path.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(path),
        false => Err(Trouble::never(format!("manifest names `{file}`, which is not in the recording"))),
    }
}

/// What is not there will not come back; a disk may.
fn unreadable(path: &Path, error: &io::Error) -> Trouble {
    let reason = format!("{}: {error}", path.display());
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

    #[test]
    fn bytes_that_are_not_those_promised_are_never_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.m4s");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let piece = Piece { name: Name { track: "video".into(), part: 1, number: 1 }, path, sha256 };
        assert!(matches!(piece.read(), Err(Trouble::Never { .. })), "it is not there");
        fs::write(&piece.path, "abc").unwrap();
        assert_eq!(piece.read(), Ok(b"abc".to_vec()));
        fs::write(&piece.path, "abd").unwrap();
        assert!(matches!(piece.read(), Err(Trouble::Never { .. })));
    }
}
