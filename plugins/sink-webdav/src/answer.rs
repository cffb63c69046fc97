//! What an answer of the server means.

/// Seconds until the next try, where the server does not say: it, or the network, may be back soon.
pub const SOON: u32 = 10;
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

/// The head of an answer.
#[derive(Debug, Default, Clone)]
pub struct Said {
    pub status: u16,
    pub retry_after: Option<String>,
    pub location: Option<String>,
}

/// Of any answer that is no success. What somebody can mend is asked again: nothing is lost by waiting.
pub fn trouble(did: &str, said: &Said) -> Trouble {
    let why = match said.status {
        401 | 403 => " (user, password or rights)",
        405 | 501 => " (this is no WebDAV there)",
        409 => " (the folder that `url` names must be there)",
        423 => " (locked)",
        507 => " (no room)",
        _ => "",
    };
    let reason = format!("the server answers {did} with {}{why}", said.status);
    let asked = said.retry_after.as_deref().and_then(|text| text.trim().parse::<u32>().ok());
    match said.status {
        413 | 414 => Trouble::never(reason),
        429 | 503 => Trouble::later(asked.unwrap_or(SOON).min(LONGEST), reason),
        423 | 507 => Trouble::later(SLOWLY, reason),
        501 => Trouble::later(MUCH_LATER, reason),
        500.. => Trouble::later(SOON, reason),
        300..=399 => {
            let to = said.location.as_deref().unwrap_or("elsewhere");
            let reason = format!("the server sends us to {to}; `url` must name the right one");
            Trouble::later(MUCH_LATER, reason)
        }
        _ => Trouble::later(MUCH_LATER, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_mend_itself_is_given_up() {
        for status in (201..=207).chain(300..=599) {
            let said = Said { status, retry_after: Some("7".into()), location: None };
            match trouble("PUT", &said) {
                Trouble::Never { .. } => assert!([413, 414].contains(&status), "{status}"),
                Trouble::Later { seconds, reason } => {
                    assert_eq!(seconds == 7, [429, 503].contains(&status), "{status}: {reason}");
                }
            }
        }
    }
}
