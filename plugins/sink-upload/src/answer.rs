//! What an answer of the server means. The table in docs/server-api.md, as code.

/// Seconds until the next try, at least, where the server does not say: it, or the network, may be back soon. The host
/// waits longer from one failure to the next.
pub const SOON: u32 = 1;
/// Something must be made room for.
pub const SLOWLY: u32 = 60;
/// Somebody must mend something.
pub const MUCH_LATER: u32 = 300;
/// The longest that a server can keep us waiting.
const LONGEST: u32 = 3600;

/// Why something did not go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    Later { seconds: u32, reason: String },
    Never { reason: String },
}

impl Trouble {
    pub fn later(seconds: u32, reason: impl Into<String>) -> Self {
        Trouble::Later { seconds, reason: reason.into() }
    }

    pub fn never(reason: impl Into<String>) -> Self {
        Trouble::Never { reason: reason.into() }
    }
}

/// The head of an answer, and its problem in words.
#[derive(Debug, Default, Clone)]
pub struct Said {
    pub status: u16,
    pub retry_after: Option<String>,
    pub repr_digest: Option<String>,
    pub location: Option<String>,
    pub title: Option<String>,
}

/// Whether what was put is there. `own` is the digest of what was sent, in the form of the header.
pub fn judge_put(said: &Said, own: &str) -> Result<(), Trouble> {
    if !matches!(said.status, 200 | 201) {
        return Err(trouble(said));
    }
    match said.repr_digest.as_deref() {
        Some(theirs) if theirs.trim() == own => Ok(()),
        Some(_) => Err(Trouble::later(SOON, "the server has stored something else than it was sent")),
        None => Err(Trouble::later(MUCH_LATER, "the server does not say what it has stored (Repr-Digest)")),
    }
}

/// Of any answer that is no success. What somebody can mend is asked again: nothing is lost by waiting.
pub fn trouble(said: &Said) -> Trouble {
    // An answer to `HEAD` has no title.
    let why = said.title.as_deref().unwrap_or(match said.status {
        401 => "the token is missing, wrong or expired",
        403 => "the token is not for this recording",
        404 => "there is no recording server at this address",
        507 => "no room",
        _ => "",
    });
    let reason = match why {
        "" => format!("the server answers {}", said.status),
        why => format!("the server answers {}: {why}", said.status),
    };
    let asked = said.retry_after.as_deref().and_then(|text| text.trim().parse::<u32>().ok());
    match said.status {
        409 | 410 => Trouble::never(reason),
        // Somebody in between may have set a limit that is too low: what is too large today may pass tomorrow.
        413 | 507 => Trouble::later(asked.unwrap_or(SLOWLY).min(LONGEST), reason),
        400 | 422 | 429 | 500.. => Trouble::later(asked.unwrap_or(SOON).min(LONGEST), reason),
        300..=399 => {
            let to = said.location.as_deref().unwrap_or("elsewhere");
            let reason = format!("the server sends us to {to}; `server` must name the right one");
            Trouble::later(MUCH_LATER, reason)
        }
        _ => Trouble::later(MUCH_LATER, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16) -> Said {
        Said { status, ..Said::default() }
    }

    #[test]
    fn only_the_same_digest_acknowledges() {
        let with = |status, digest: Option<&str>| {
            judge_put(&Said { repr_digest: digest.map(str::to_owned), ..said(status) }, "sha-256=:AAAA:")
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
    fn only_what_cannot_mend_itself_is_given_up() {
        for status in 300..=599 {
            let is_final = matches!(trouble(&said(status)), Trouble::Never { .. });
            assert_eq!(is_final, [409, 410].contains(&status), "{status}");
        }
    }

    #[test]
    fn the_server_says_how_long_to_wait_within_reason() {
        let wait = |status, text: &str| match trouble(&Said {
            retry_after: Some(text.to_owned()),
            ..said(status)
        }) {
            Trouble::Later { seconds, .. } => seconds,
            never => panic!("{never:?}"),
        };
        assert_eq!(wait(503, "7"), 7);
        assert_eq!(wait(429, "0"), 0);
        assert_eq!(wait(429, "999999"), 3600);
        assert_eq!(wait(503, "Fri, 31 Dec 1999 23:59:59 GMT"), SOON);
        assert_eq!((wait(500, "7"), wait(413, "7")), (7, 7));
        assert_eq!(wait(507, ""), 60);
        assert_eq!(wait(401, ""), 300);
    }

    #[test]
    fn a_redirect_says_what_to_mend() {
        let said = Said { location: Some("https://new.example/".into()), ..said(301) };
        let Trouble::Later { reason, .. } = trouble(&said) else { panic!("given up") };
        assert_eq!(reason, "the server sends us to https://new.example/; `server` must name the right one");
    }
}
