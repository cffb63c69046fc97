//! Tokens, codes and ids. Of what lets somebody in, only the hash is kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::time::now_ms;

/// 256 bits that nobody guesses. Fails where the system has no randomness, which it has.
pub fn token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A code to type: 50 bits, without letters that look like others.
pub fn code() -> Result<String, getrandom::Error> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let mut code: String = letters.collect();
    code.insert(5, '-');
    Ok(code)
}

/// Sorts by the time at which it was made.
pub fn id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:012x}{}", now_ms(), hex(&bytes)))
}

pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes.as_ref()))
}

/// Lower-case.
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}
