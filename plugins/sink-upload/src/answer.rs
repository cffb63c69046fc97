//! The meaning of the server's responses: the table in docs/server-api.md, as code.

use deskreel_http::{MUCH_LATER, SLOWLY, Trouble, retry_after};

/// Seconds until the next try, at least, if the server does not say: it, or the network, may be back soon.
/// The host waits longer from one failure to the next, and delivers other recordings meanwhile. So this is
/// also the pause after an answer that makes no sense: it may have been a single one.
pub const SOON: u32 = 1;

/// The head of a response, and its problem in words.
#[derive(Debug, Default, Clone)]
pub struct ResponseHead {
    pub status: u16,
    pub retry_after: Option<String>,
    pub repr_digest: Option<String>,
    pub location: Option<String>,
    pub title: Option<String>,
}

/// Checks that the server has stored the sent bytes. `own` is their digest, in the form of the header.
pub fn judge_put(head: &ResponseHead, own: &str) -> Result<(), Trouble> {
    if !matches!(head.status, 200 | 201) {
        return Err(trouble(head));
    }
    match head.repr_digest.as_deref() {
        Some(theirs) if theirs.trim() == own => Ok(()),
        Some(_) => Err(Trouble::later(SOON, "the server has stored other bytes than were sent")),
        None => Err(Trouble::later(
            SOON,
            "the server does not report the digest of the stored bytes (Repr-Digest)",
        )),
    }
}

/// What a response without a problem of ours says about the way to the server. `length` is that of the body.
pub fn foreign(status: u16, length: u64) -> Option<String> {
    (status == 413).then(|| {
        let size = length.div_ceil(1000);
        format!("a proxy before the server refuses bodies of this size ({size} kB); raise its limit")
    })
}

/// The trouble in a response that is not a success. Anything that a person can repair is tried again: waiting
/// loses nothing.
pub fn trouble(head: &ResponseHead) -> Trouble {
    // A response to `HEAD` has no title.
    let why = head.title.as_deref().unwrap_or(match head.status {
        401 => "the token is missing, wrong or expired",
        403 => "the token is not for this recording",
        404 => "there is no recording server at this address",
        507 => "no room",
        _ => "",
    });
    let reason = match why {
        "" => format!("the server answers {}", head.status),
        why => format!("the server answers {}: {why}", head.status),
    };
    let later = |default| Trouble::later(retry_after(head.retry_after.as_deref(), default), reason.clone());
    match head.status {
        409 | 410 => Trouble::never(reason),
        507 => later(SLOWLY),
        // A proxy on the way may have too low a limit: a body that is too large today may pass tomorrow, and
        // smaller ones pass now.
        400 | 413 | 422 | 429 | 500.. => later(SOON),
        // A success of another kind than was asked for.
        200..=299 => Trouble::later(SOON, format!("{reason}, which is no answer to this request")),
        300..=399 => {
            let to = head.location.as_deref().unwrap_or("elsewhere");
            let reason = format!("the server redirects to {to}; `server` must name the right one");
            Trouble::later(MUCH_LATER, reason)
        }
        _ => Trouble::later(MUCH_LATER, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16) -> ResponseHead {
        ResponseHead { status, ..ResponseHead::default() }
    }

    #[test]
    fn only_the_same_digest_acknowledges() {
        let with = |status, digest: Option<&str>| {
            judge_put(
                &ResponseHead { repr_digest: digest.map(str::to_owned), ..head(status) },
                "sha-256=:AAAA:",
            )
        };
        assert_eq!(with(200, Some("sha-256=:AAAA:")), Ok(()));
        assert_eq!(with(201, Some("sha-256=:AAAA:")), Ok(()));
        for (status, digest) in [
            (200, None),
            (201, Some("sha-256=:BBBB:")),
            (204, Some("sha-256=:AAAA:")),
            (202, Some("sha-256=:AAAA:")),
            (500, Some("sha-256=:AAAA:")),
        ] {
            let outcome = with(status, digest);
            assert!(matches!(outcome, Err(Trouble::Later { .. })), "{status} {digest:?}: {outcome:?}");
        }
    }

    #[test]
    fn only_failures_that_waiting_cannot_repair_are_final() {
        for status in 100..=599 {
            let is_final = matches!(trouble(&head(status)), Trouble::Never { .. });
            assert_eq!(is_final, [409, 410].contains(&status), "{status}");
        }
    }

    #[test]
    fn the_server_says_how_long_to_wait_within_reason() {
        let wait = |status, text: &str| match trouble(&ResponseHead {
            retry_after: Some(text.to_owned()),
            ..head(status)
        }) {
            Trouble::Later { seconds, .. } => seconds,
            never => panic!("{never:?}"),
        };
        assert_eq!(wait(503, "7"), 7);
        assert_eq!(wait(429, "0"), 0);
        assert_eq!(wait(429, "999999"), 3600);
        assert_eq!(wait(503, "Fri, 31 Dec 1999 23:59:59 GMT"), SOON);
        assert_eq!((wait(500, "7"), wait(413, "7")), (7, 7));
        assert_eq!((wait(507, ""), wait(413, "")), (60, SOON));
        assert_eq!(wait(401, ""), 300);
        // Such as the answer to another request.
        assert!((200..300).all(|status| wait(status, "") == SOON));
    }

    #[test]
    fn an_answer_that_is_not_the_servers_says_who_refuses() {
        let text = "a proxy before the server refuses bodies of this size (812 kB); raise its limit";
        assert_eq!(foreign(413, 811_300).as_deref(), Some(text));
        assert_eq!(foreign(502, 811_300), None);
    }

    #[test]
    fn a_redirect_names_the_cure() {
        let head = ResponseHead { location: Some("https://new.example/".into()), ..head(301) };
        let Trouble::Later { reason, .. } = trouble(&head) else { panic!("given up") };
        assert_eq!(reason, "the server redirects to https://new.example/; `server` must name the right one");
    }
}
