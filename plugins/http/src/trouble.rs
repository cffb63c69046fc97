//! Why a delivery did not succeed, and when to try again.

use deskreel_sdk::prelude::*;

/// Seconds until the next try, at least, if room must be made first.
pub const SLOWLY: u32 = 60;
/// The same, if a person must repair something.
pub const MUCH_LATER: u32 = 300;
/// The longest time for which a server can put us off, in seconds.
const LONGEST: u32 = 3600;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Try again after this many seconds or more.
    Later { seconds: u32, reason: String },
    /// Another try would fail, too.
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

impl From<Trouble> for PluginError {
    fn from(trouble: Trouble) -> PluginError {
        match trouble {
            Trouble::Later { reason, .. } | Trouble::Never { reason } => PluginError::unavailable(reason),
        }
    }
}

impl From<Trouble> for Answer {
    fn from(trouble: Trouble) -> Answer {
        match trouble {
            Trouble::Later { seconds, reason } => Answer::RetryAfter { seconds, reason },
            Trouble::Never { reason } => Answer::Refused { reason },
        }
    }
}

/// The seconds in a `Retry-After` header, or `default` if it has none; one hour at most.
pub fn retry_after(header: Option<&str>, default: u32) -> u32 {
    let seconds = header.and_then(|text| text.trim().parse::<u32>().ok());
    seconds.unwrap_or(default).min(LONGEST)
}
