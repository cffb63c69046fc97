//! The meaning of the server's responses.

use deskreel_http::{MUCH_LATER, SLOWLY, Trouble, retry_after};

/// Seconds until the next try, if the server does not say: it, or the network, may be back soon.
pub const SOON: u32 = 10;

/// The head of a response.
#[derive(Debug, Default, Clone)]
pub struct ResponseHead {
    pub status: u16,
    pub retry_after: Option<String>,
    pub location: Option<String>,
}

/// The trouble in a response that is not a success. Anything that a person can repair is tried again: waiting
/// loses nothing.
pub fn trouble(method: &str, head: &ResponseHead) -> Trouble {
    let why = match head.status {
        401 | 403 => " (user, password or rights)",
        405 | 501 => " (this is not a WebDAV server)",
        409 => " (create the folder that `url` names)",
        423 => " (locked)",
        507 => " (no room)",
        _ => "",
    };
    let reason = format!("the server answers {method} with {}{why}", head.status);
    match head.status {
        413 | 414 => Trouble::never(reason),
        429 | 503 => Trouble::later(retry_after(head.retry_after.as_deref(), SOON), reason),
        423 | 507 => Trouble::later(SLOWLY, reason),
        501 => Trouble::later(MUCH_LATER, reason),
        500.. => Trouble::later(SOON, reason),
        300..=399 => {
            let to = head.location.as_deref().unwrap_or("elsewhere");
            let reason = format!("the server redirects to {to}; `url` must name the right one");
            Trouble::later(MUCH_LATER, reason)
        }
        // A success of another kind than was asked for; it may have been a single one.
        200..=299 => Trouble::later(SOON, reason),
        _ => Trouble::later(MUCH_LATER, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_waiting_cannot_repair_are_final() {
        for status in (201..=207).chain(300..=599) {
            let head = ResponseHead { status, retry_after: Some("7".into()), location: None };
            match trouble("PUT", &head) {
                Trouble::Never { .. } => assert!([413, 414].contains(&status), "{status}"),
                Trouble::Later { seconds, reason } => {
                    assert_eq!(seconds == 7, [429, 503].contains(&status), "{status}: {reason}");
                }
            }
        }
    }
}
