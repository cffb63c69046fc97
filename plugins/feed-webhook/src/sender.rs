//! The senders that may post: one that signs the body, as Standard Webhooks specifies, or has the token.
//!
//! The signature is HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`. Its key is the secret,
//! written as `whsec_` and base64. `webhook-signature` holds one or more signatures, separated by spaces,
//! each `v1,` and base64, so that a secret can be renewed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

/// The headers of a request that identify its sender.
#[derive(Debug, Default, Clone, Copy)]
pub struct SenderHeaders<'a> {
    pub id: Option<&'a str>,
    pub timestamp: Option<&'a str>,
    pub signature: Option<&'a str>,
    pub authorization: Option<&'a str>,
}

/// The secret that senders sign with, and the token that they send.
#[derive(Debug, Default)]
pub struct SenderKeys {
    pub secret: Option<String>,
    pub token: Option<String>,
}

/// Why a request is refused. It tells an attacker who guesses only about our clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Unknown,
    /// The timestamp is outside the window: a recorded request is replayed, or a clock is wrong.
    Time,
}

/// `now` is Unix time in seconds.
pub fn judge(
    headers: SenderHeaders<'_>,
    body: &[u8],
    keys: &SenderKeys,
    now: i64,
    window_s: u64,
) -> Result<(), Refusal> {
    // Anything else in this header may be meant for a gateway in between.
    let given = headers.authorization.and_then(|header| header.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    if let (Some((_, given)), Some(token)) = (given, &keys.token)
        && are_equal(given.trim(), token)
    {
        return Ok(());
    }
    let (Some(id), Some(timestamp), Some(signature), Some(secret)) =
        (headers.id, headers.timestamp, headers.signature, &keys.secret)
    else {
        return Err(Refusal::Unknown);
    };
    let key = key(secret).ok_or(Refusal::Unknown)?;
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let signatures = signature.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    let mut signatures = signatures.filter_map(|one| STANDARD.decode(one).ok());
    // Compares in constant time.
    if !signatures.any(|one| hmac::verify(&key, &signed, &one).is_ok()) {
        return Err(Refusal::Unknown);
    }
    // After the signature, so that an unknown sender cannot probe our clock.
    let at: i64 = timestamp.parse().map_err(|_| Refusal::Time)?;
    if now.abs_diff(at) > window_s { Err(Refusal::Time) } else { Ok(()) }
}

/// Returns whether the secret has the right form.
pub fn is_usable(secret: &str) -> bool {
    key(secret).is_some()
}

fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).ok()?;
    // Standard Webhooks asks for 24 to 64 bytes; 16 are enough here.
    (bytes.len() >= 16).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// Compares in constant time, by digests under a random key.
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
    fn example() -> SenderHeaders<'static> {
        SenderHeaders {
            id: Some("msg_p5jXN8AQM9LWM0D4loKWxJek"),
            timestamp: Some("1614265330"),
            signature: Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
            authorization: None,
        }
    }

    fn keys() -> SenderKeys {
        SenderKeys { secret: Some(SECRET.to_owned()), token: Some("a-token".to_owned()) }
    }

    #[test]
    fn the_example_of_the_specification_is_accepted_and_nothing_near_it() {
        assert_eq!(judge(example(), BODY, &keys(), AT, 300), Ok(()));
        let two = "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x";
        assert_eq!(
            judge(SenderHeaders { signature: Some(two), ..example() }, BODY, &keys(), AT, 300),
            Ok(())
        );
        let wrong = [
            SenderHeaders { id: Some("msg_other"), ..example() },
            SenderHeaders { timestamp: Some("1614265331"), ..example() },
            SenderHeaders { signature: Some("v1,AAAA"), ..example() },
            SenderHeaders { signature: Some("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="), ..example() },
            SenderHeaders { signature: Some(""), ..example() },
            SenderHeaders { signature: None, ..example() },
            SenderHeaders { id: None, ..example() },
            SenderHeaders::default(),
        ];
        for headers in wrong {
            assert_eq!(judge(headers, BODY, &keys(), AT, 300), Err(Refusal::Unknown), "{headers:?}");
        }
        assert_eq!(judge(example(), b"{}", &keys(), AT, 300), Err(Refusal::Unknown));
        let other =
            SenderKeys { secret: Some("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()), token: None };
        assert_eq!(judge(example(), BODY, &other, AT, 300), Err(Refusal::Unknown));
    }

    #[test]
    fn a_replayed_request_is_refused_after_the_window() {
        for (now, refused) in
            [(300, None), (301, Some(Refusal::Time)), (-300, None), (-301, Some(Refusal::Time))]
        {
            assert_eq!(judge(example(), BODY, &keys(), AT + now, 300).err(), refused, "{now}");
        }
    }

    #[test]
    fn a_token_is_accepted_if_one_is_set_and_only_that_one() {
        let with =
            |authorization| SenderHeaders { authorization: Some(authorization), ..SenderHeaders::default() };
        for right in ["Bearer a-token", "bearer a-token", "BEARER  a-token"] {
            assert_eq!(judge(with(right), BODY, &keys(), AT, 300), Ok(()), "{right}");
        }
        for wrong in ["Bearer a-toke", "Bearer a-token2", "Bearer ", "a-token", "Basic a-token", ""] {
            assert_eq!(judge(with(wrong), BODY, &keys(), AT, 300), Err(Refusal::Unknown), "{wrong}");
        }
        let no_token = SenderKeys { token: None, ..keys() };
        assert_eq!(judge(with("Bearer a-token"), BODY, &no_token, AT, 300), Err(Refusal::Unknown));
    }

    /// A gateway adds its own header.
    #[test]
    fn a_right_signature_is_accepted_beside_any_authorization() {
        for authorization in ["Basic Z2F0ZTp3YXk=", "Bearer of-the-gateway", "Bearer", ""] {
            let headers = SenderHeaders { authorization: Some(authorization), ..example() };
            assert_eq!(judge(headers, BODY, &keys(), AT, 300), Ok(()), "{authorization}");
            assert_eq!(judge(headers, b"{}", &keys(), AT, 300), Err(Refusal::Unknown), "{authorization}");
        }
    }

    #[test]
    fn a_secret_that_is_short_or_not_base64_is_unusable() {
        assert!(is_usable(SECRET));
        for wrong in ["", "whsec_", "whsec_AAAA", "not base64!"] {
            assert!(!is_usable(wrong), "{wrong}");
        }
    }
}
