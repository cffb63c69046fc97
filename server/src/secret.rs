//! Tokens, codes and ids. Only the hash of a token or code is stored.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::time::now_ms;

/// A token of 256 random bits. Fails only if the system has no randomness.
pub fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A code to type: 50 bits, without characters that look alike.
pub fn code() -> Result<String, getrandom::Error> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let mut code: String = letters.collect();
    code.insert(5, '-');
    Ok(code)
}

/// An id that sorts by the time of its creation.
pub fn id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:012x}{}", now_ms(), hex(&bytes)))
}

pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes.as_ref()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
