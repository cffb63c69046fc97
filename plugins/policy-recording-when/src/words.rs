//! Words of other systems: `NotReady`, `not_ready`, `NOT-READY` and `Not Ready` are the same state.

/// Compares without case, `_`, `-` and spaces.
pub fn are_equal(one: &str, other: &str) -> bool {
    fn letters(word: &str) -> impl Iterator<Item = char> {
        let letters = word.chars().filter(|letter| !matches!(letter, '_' | '-' | ' '));
        letters.flat_map(char::to_lowercase)
    }
    letters(one).eq(letters(other))
}

#[cfg(test)]
mod tests {
    use super::are_equal;

    #[test]
    fn spelling_makes_no_difference() {
        for other in ["not_ready", "NotReady", "NOT-READY", "Not Ready", "notready"] {
            assert!(are_equal("NotReady", other), "{other}");
        }
        assert!(are_equal("AfterCallWork", "after_call_work"));
        for other in ["ready", "not_read", "", "not.ready", "not_ready_yet"] {
            assert!(!are_equal("NotReady", other), "{other}");
        }
    }
}
