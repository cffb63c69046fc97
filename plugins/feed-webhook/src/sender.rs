//! Who may post: whoever signs the body, as Standard Webhooks has it, or knows the token.
//!
//! What is signed is `{webhook-id}.{webhook-timestamp}.{body}`, with HMAC-SHA256 and the bytes of the secret, which is written as
//! `whsec_` and base64. `webhook-signature` has one or more, separated by spaces, each `v1,` and base64, so that a secret can be renewed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// What a request says of its sender.
#[derive(Debug, Default, Clone, Copy)]
pub struct Said<'a> {
    pub id: Option<&'a str>,
    pub timestamp: Option<&'a str>,
    pub signature: Option<&'a str>,
    pub authorization: Option<&'a str>,
}

/// What senders have to know.
#[derive(Debug, Default)]
pub struct Known {
    pub secret: Option<String>,
    pub token: Option<String>,
}

/// Why a request is not let in. Whoever guesses learns nothing from it but the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Unknown,
    /// Its time is not ours: an old request that was recorded, or a clock that is wrong.
    Time,
}

/// `now` is in seconds of Unix time.
pub fn judge(said: Said<'_>, body: &[u8], known: &Known, now: i64, window_s: u64) -> Result<(), Refused> {
    if let (Some(authorization), Some(token)) = (said.authorization, &known.token) {
        let given = authorization.strip_prefix("Bearer ").ok_or(Refused::Unknown)?;
        return if are_equal(given.trim(), token) { Ok(()) } else { Err(Refused::Unknown) };
    }
    let (Some(id), Some(timestamp), Some(signature), Some(secret)) =
        (said.id, said.timestamp, said.signature, &known.secret)
    else {
        return Err(Refused::Unknown);
    };
    let key = key(secret).ok_or(Refused::Unknown)?;
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let signatures = signature.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    let mut signatures = signatures.filter_map(|one| STANDARD.decode(one).ok());
    // In constant time.
    if !signatures.any(|one| hmac::verify(&key, &signed, &one).is_ok()) {
        return Err(Refused::Unknown);
    }
    // After the signature, so that nobody asks for our clock.
    let at: i64 = timestamp.parse().map_err(|_| Refused::Time)?;
    if now.abs_diff(at) > window_s { Err(Refused::Time) } else { Ok(()) }
}

/// Whether a secret can be one.
pub fn is_usable(secret: &str) -> bool {
    key(secret).is_some()
}

fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
    // As Standard Webhooks asks: 24 to 64 bytes.
    (bytes.len() >= 16).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// In constant time: digests under a key that nobody knows are compared.
fn are_equal(given: &str, token: &str) -> bool {
    let random = ring::rand::SystemRandom::new();
    let Ok(key) = hmac::Key::generate(hmac::HMAC_SHA256, &random) else { return false };
    let expected = hmac::sign(&key, token.as_bytes());
    hmac::verify(&key, given.as_bytes(), expected.as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const AT: i64 = 1_614_265_330;

    /// The example of the Standard Webhooks specification.
    fn example() -> Said<'static> {
        Said {
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            timestamp: Some("1614265330"),
            signature: Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            authorization: None,
        }
    }

    fn known() -> Known {
        Known { secret: Some(SECRET.to_owned()), token: Some("a-token".to_owned()) }
    }

    #[test]
    fn the_example_of_the_specification_is_let_in_and_nothing_near_it() {
        assert_eq!(judge(example(), BODY, &known(), AT, 300), Ok(()));
        let two = "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x";
        assert_eq!(judge(Said { signature: Some(two), ..example() }, BODY, &known(), AT, 300), Ok(()));
        let wrong = [
            Said { id: Some("msg_other"), ..example() },
            Said { timestamp: Some("1614265331"), ..example() },
            Said { signature: Some("v1,AAAA"), ..example() },
            Said { signature: Some("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), ..example() },
            Said { signature: Some(""), ..example() },
            Said { signature: None, ..example() },
            Said { id: None, ..example() },
            Said::default(),
        ];
        for said in wrong {
            assert_eq!(judge(said, BODY, &known(), AT, 300), Err(Refused::Unknown), "{said:?}");
        }
        assert_eq!(judge(example(), b"{}", &known(), AT, 300), Err(Refused::Unknown));
        let other = Known { secret: Some("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()), token: None };
        assert_eq!(judge(example(), BODY, &other, AT, 300), Err(Refused::Unknown));
    }

    #[test]
    fn a_request_that_was_recorded_is_refused_after_the_window() {
        for (now, refused) in
            [(300, None), (301, Some(Refused::Time)), (-300, None), (-301, Some(Refused::Time))]
        {
            assert_eq!(judge(example(), BODY, &known(), AT + now, 300).err(), refused, "{now}");
        }
    }

    #[test]
    fn a_token_is_let_in_where_there_is_one_and_only_that() {
        let with = |authorization| Said { authorization: Some(authorization), ..Said::default() };
        assert_eq!(judge(with("Bearer a-token"), BODY, &known(), AT, 300), Ok(()));
        for wrong in ["Bearer a-toke", "Bearer a-token2", "Bearer ", "a-token", "Basic a-token", ""] {
            assert_eq!(judge(with(wrong), BODY, &known(), AT, 300), Err(Refused::Unknown), "{wrong}");
        }
        let no_token = Known { token: None, ..known() };
        assert_eq!(judge(with("Bearer a-token"), BODY, &no_token, AT, 300), Err(Refused::Unknown));
    }

    #[test]
    fn a_secret_that_is_short_or_no_base64_lets_nobody_in() {
        assert!(is_usable(SECRET));
        for wrong in ["", "whsec_", "whsec_AAAA", "not base64!"] {
            assert!(!is_usable(wrong), "{wrong}");
        }
    }
}
