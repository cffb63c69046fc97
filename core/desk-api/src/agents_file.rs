//! The agents' file: a line for each agent who may log in, `ann:$argon2id$v=19$...`.

use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;

/// Why there is no line for this agent.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    #[error(
        "`{0}` cannot be an agent's name here: it is empty, starts with `#`, or contains a colon or a line break"
    )]
    Name(String),
    #[error("the password is empty")]
    EmptyPassword,
    /// The random generator or the hash failed.
    #[error("the password cannot be hashed: {0}")]
    Hash(String),
}

/// The line for one agent, with the hash of the password.
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
