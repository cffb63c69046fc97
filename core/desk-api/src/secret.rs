//! Secrets: random ones, digests of them, and files that nobody else may read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deskreel_platform::secrets;
use sha2::{Digest as _, Sha256};

use super::Error;

/// A secrets file is a few lines; a thousand agents are 100 KB.
const FILE_LIMIT: u64 = 1 << 20;

/// A SHA-256 digest. Secrets are kept and compared as digests, so that the time of a comparison reveals
/// nothing about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(secret: &[u8]) -> Digest {
        Digest(Sha256::digest(secret).into())
    }
}

/// A new secret of 128 bits, as text that is valid in headers, cookies and URLs.
pub fn random() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a file of secrets. Refuses one that group or others can read.
pub fn read_private(path: &Path) -> Result<String, Error> {
    let failed = |error| Error::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    if secrets::others_can_read(&file).map_err(failed)? {
        return Err(Error::Readable { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "more than 1 MiB")));
    }
    Ok(text)
}

/// Reads the token of programs: the whole file without surrounding white space.
pub fn read_token(path: &Path) -> Result<Digest, Error> {
    let text = read_private(path)?;
    let token = text.trim();
    // A program could guess a shorter one within a day.
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let what =
            "the token needs at least 16 characters without spaces; run: openssl rand -hex 32".to_owned();
        return Err(Error::Content { path: path.to_owned(), line: None, what });
    }
    Ok(Digest::of(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_that_others_can_read_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "0123456789abcdef0123\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_token(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_token(&path).unwrap(), Digest::of(b"0123456789abcdef0123"));
    }

    #[test]
    fn a_token_that_can_be_guessed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for weak in ["", "secret", "a b c d e f g h i j k l m n"] {
            fs::write(&path, weak).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read_token(&path), Err(Error::Content { .. })), "{weak}");
        }
    }

    #[test]
    fn secrets_are_never_the_same() {
        assert_ne!(random().unwrap(), random().unwrap());
    }
}
