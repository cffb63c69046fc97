//! SHA-256 as the manifest writes it and as HTTP does (RFC 9530).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// `sha-256=:<base64>:`.
pub fn field(bytes: &[u8]) -> String {
    of(&Sha256::digest(bytes))
}

/// The same of a hash in hexadecimal; none if it is no such hash.
pub fn field_of_hex(hex: &str) -> Option<String> {
    let digits = hex.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let hash: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    hash.filter(|hash| hash.len() == 32).map(|hash| of(&hash))
}

fn of(hash: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one_hash() {
        // RFC 9530, appendix D: the digest of `{"hello": "world"}` and a line feed.
        let example = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(field(b"{\"hello\": \"world\"}\n"), example);
        let hex = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38";
        assert_eq!(field_of_hex(hex).as_deref(), Some(example));
        assert_eq!(field_of_hex("44af"), None);
        assert_eq!(field_of_hex("zz"), None);
    }
}
