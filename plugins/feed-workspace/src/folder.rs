//! The folder with codes and refresh tokens, in place of passwords.
//!
//! An administrator puts the code of a sign-in into `NAME.code`. The feed exchanges it, keeps the refresh
//! token in `NAME.token` and deletes the code.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::token::encoded;

#[derive(Debug, Clone)]
pub struct TokenFolder(PathBuf);

impl TokenFolder {
    /// Fails if files cannot be written there: a refresh token that is lost cannot be had again.
    pub fn open(folder: &Path) -> io::Result<TokenFolder> {
        NamedTempFile::new_in(folder)?;
        Ok(TokenFolder(folder.to_owned()))
    }

    pub fn code_file(&self, user: &str) -> PathBuf {
        self.0.join(format!("{}.code", encoded(user)))
    }

    fn token_file(&self, user: &str) -> PathBuf {
        self.0.join(format!("{}.token", encoded(user)))
    }

    pub fn code(&self, user: &str) -> io::Result<Option<String>> {
        read(&self.code_file(user))
    }

    pub fn drop_code(&self, user: &str) -> io::Result<()> {
        match fs::remove_file(self.code_file(user)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    pub fn refresh_token(&self, user: &str) -> io::Result<Option<String>> {
        read(&self.token_file(user))
    }

    /// A crash leaves either the old token or the new one. Only this user may read the file.
    pub fn keep_refresh_token(&self, user: &str, token: &str) -> io::Result<()> {
        let mut new = NamedTempFile::new_in(&self.0)?;
        new.write_all(token.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(self.token_file(user))?;
        Ok(())
    }
}

/// The content without the line's end; `None` if there is no file, or only an empty one.
fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_code_becomes_a_token_in_a_file_of_the_user() {
        let dir = tempfile::tempdir().unwrap();
        let folder = TokenFolder::open(dir.path()).unwrap();
        assert!(
            folder.code("t\\ann").unwrap().is_none() && folder.refresh_token("t\\ann").unwrap().is_none()
        );
        fs::write(dir.path().join("t%5Cann.code"), "abc\n").unwrap();
        assert_eq!(folder.code("t\\ann").unwrap().as_deref(), Some("abc"));
        for token in ["one", "two"] {
            folder.keep_refresh_token("t\\ann", token).unwrap();
            assert_eq!(folder.refresh_token("t\\ann").unwrap().as_deref(), Some(token));
        }
        folder.drop_code("t\\ann").unwrap();
        folder.drop_code("t\\ann").unwrap();
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["t%5Cann.token"]);
    }
}
