//! A sample that is the same for the same key, on every machine and in every replay.

use sha2::{Digest, Sha256};

/// A number from 0 up to 100, spread evenly over keys: the first eight bytes of the SHA-256 of
/// `deskreel-sample:` and the key, as a number from 0 up to 1, times 100. An auditor can compute it with any
/// SHA-256.
pub fn percent(key: &str) -> f64 {
    let hash = Sha256::digest(format!("deskreel-sample:{key}"));
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first) as f64 / 2f64.powi(64) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requested_share_is_drawn() {
        let drawn =
            |percent: f64| (0..10_000).filter(|key| super::percent(&key.to_string()) < percent).count();
        assert_eq!((drawn(0.0), drawn(100.0)), (0, 10_000));
        // Three standard deviations of 10,000 draws at 37 %.
        assert!((3700 - 145..=3700 + 145).contains(&drawn(37.0)), "{}", drawn(37.0));
    }

    /// It must stay possible to say why something was recorded years ago: `printf deskreel-sample:77 |
    /// sha256sum`.
    #[test]
    fn a_key_keeps_its_value() {
        assert_eq!(format!("{:.6}", percent("77")), "68.409859");
    }
}
