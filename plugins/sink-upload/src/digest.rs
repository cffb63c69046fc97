//! SHA-256 as the manifest writes it and as HTTP does (RFC 9530).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER_PERMISSIVE;
use sha2::{Digest, Sha256};

/// The digest of these bytes, as a header has it: `sha-256=:<base64>:`.
pub fn field(bytes: &[u8]) -> String {
    encode(&Sha256::digest(bytes))
}

/// The same from a hash in hexadecimal; `None` if it is not one.
pub fn field_of_hex(hex: &str) -> Option<String> {
    let hash = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    (hash.len() == 32).then(|| encode(&hash))
}

fn encode(hash: &[u8]) -> String {
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
