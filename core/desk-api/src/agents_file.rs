//! The agents' file: a line for each agent who may log in, `ann:$argon2id$v=19$...`.

use std::collections::HashMap;
use std::path::Path;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;

use super::{Error, secret};

/// Why no line can be written for this agent.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error(
        "`{0}` cannot be an agent's name: it is empty, starts with `#`, or contains a colon or a line break"
    )]
    Name(String),
    #[error("the password is empty")]
    EmptyPassword,
    /// The random generator or the hash failed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// Returns the line for one agent, with the hash of the password.
pub fn agents_file_line(name: &str, password: &str) -> Result<String, LineError> {
    if name.is_empty()
        || name.starts_with('#')
        || name.contains(|char: char| char == ':' || char.is_control())
    {
        return Err(LineError::Name(name.to_owned()));
    }
    if password.is_empty() {
        return Err(LineError::EmptyPassword);
    }
    // Argon2id with 19 MiB and two passes, the minimum that OWASP recommends; the salt is random.
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| LineError::Hash(error.to_string()))?;
    Ok(format!("{name}:{hash}"))
}

/// Reads the hash of each agent.
pub(crate) fn read_agents_file(path: &Path) -> Result<HashMap<String, String>, Error> {
    let text = secret::read_private(path)?;
    let mut agents = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let wrong = |what: String| Error::Content { path: path.to_owned(), line: Some(index + 1), what };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let cure = "write each line as `deskreel password NAME` prints it";
        let (name, hash) =
            line.split_once(':').ok_or_else(|| wrong(format!("not an agent and a password; {cure}")))?;
        if !hash.starts_with("$argon2id$") || PasswordHash::new(hash).is_err() {
            return Err(wrong(format!("the password of `{name}` is not an Argon2id hash; {cure}")));
        }
        if agents.insert(name.to_owned(), hash.to_owned()).is_some() {
            return Err(wrong(format!("`{name}` has two lines; remove one")));
        }
    }
    Ok(agents)
}
