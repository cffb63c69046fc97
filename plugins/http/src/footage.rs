//! Reads the files of a recording.

use std::fs;
use std::io;
use std::path::{Component, Path};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::trouble::{SLOWLY, Trouble};

/// The bytes of a file, if they have this hash. `name` is for messages. A fragment is about a second of
/// footage, so it is read as a whole.
pub fn read(path: &Path, name: &str, sha256: &str) -> Result<Vec<u8>, Trouble> {
    let bytes = fs::read(path).map_err(|error| unreadable(name, &error))?;
    match sha256_hex(&bytes) == sha256 {
        true => Ok(bytes),
        false => Err(Trouble::never(format!("{name}: does not have the hash in the manifest"))),
    }
}

/// The SHA-256 in lower case, as the manifest has it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A missing file will not come back; a disk may.
pub fn unreadable(name: &str, error: &io::Error) -> Trouble {
    let reason = format!("{name}: {error}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            Trouble::never(reason)
        }
        _ => Trouble::later(SLOWLY, reason),
    }
}

/// Refuses a name in the manifest that leads out of the recording's folder.
pub fn inside(file: &str) -> Result<&Path, Trouble> {
    let path = Path::new(file);
    match path.components().all(|part| matches!(part, Component::Normal(_))) {
        true => Ok(path),
        false => Err(Trouble::never(format!("manifest names `{file}`, which is not in the recording"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_bytes_with_the_recorded_hash_are_returned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.m4s");
        let read =
            || read(&path, "000001.m4s", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(matches!(read(), Err(Trouble::Never { .. })), "it is missing");
        fs::write(&path, "abc").unwrap();
        assert_eq!(read(), Ok(b"abc".to_vec()));
        fs::write(&path, "abd").unwrap();
        assert!(matches!(read(), Err(Trouble::Never { .. })));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        assert!(inside("video/part-0003/000009.m4s").is_ok());
        for file in ["../secret", "/etc/shadow", "video/../../secret"] {
            assert!(matches!(inside(file), Err(Trouble::Never { .. })), "{file}");
        }
    }
}
