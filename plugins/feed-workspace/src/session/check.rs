//! Whether a session that is silent still exists and still hears.
//!
//! A log-out by the agent's desktop ends the workspace of every session, yet the server goes on answering
//! polls. So the current session is requested from time to time. If it is refused, the session is over. If it
//! differs from the known state, that may be a message on its way: the second request, some seconds later and
//! without a message in between, decides.

use std::time::Duration;

use serde_json::Value;

use crate::http::{Cookies, Site, Trouble};
use crate::login;

/// A message takes less than this to arrive.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// What has been found so far.
pub struct Check {
    every: Duration,
    /// The last answer differed from the known state, and no message has come since.
    is_suspect: bool,
}

impl Check {
    pub fn new(every: Duration) -> Check {
        Check { every, is_suspect: false }
    }

    /// Requests the current session when it is time.
    pub fn ask<'a>(
        &self,
        site: &'a Site,
        cookies: &'a Cookies,
    ) -> impl Future<Output = Result<Value, Trouble>> + use<'a> {
        let pause = if self.is_suspect { self.every.min(ON_ITS_WAY) } else { self.every };
        async move {
            tokio::time::sleep(pause).await;
            login::current(site, cookies).await
        }
    }

    /// A message has come, so the session hears.
    pub fn hear(&mut self) {
        self.is_suspect = false;
    }

    /// Returns the reason for which the session is over, or fails with it.
    pub fn take(
        &mut self,
        answer: Result<Value, Trouble>,
        is_different: impl FnOnce(&Value) -> bool,
    ) -> Result<Option<String>, Trouble> {
        match answer {
            Ok(user) => {
                let was_suspect = std::mem::replace(&mut self.is_suspect, is_different(&user));
                let is_deaf = was_suspect && self.is_suspect;
                Ok(is_deaf.then(|| "the session no longer gets messages".to_owned()))
            }
            Err(Trouble::LoggedOut(reason)) => {
                Err(Trouble::LoggedOut(format!("the session was logged out elsewhere: {reason}")))
            }
            // The line is the polls' concern.
            Err(_) => Ok(None),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The outcome of answers: `same`, `other` (than the known state), `message` (in between), `out`, `line`.
    fn outcome(steps: &str) -> &'static str {
        let mut check = Check::new(Duration::from_secs(60));
        for step in steps.split(' ') {
            let answer = match step {
                "message" => {
                    check.hear();
                    continue;
                }
                "out" => Err(Trouble::LoggedOut("403".to_owned())),
                "line" => Err(Trouble::Failed("no answer".to_owned())),
                _ => Ok(json!({})),
            };
            match check.take(answer, |_| step == "other") {
                Ok(None) => {}
                Ok(Some(_)) => return "deaf",
                Err(_) => return "out",
            }
        }
        "exists"
    }

    #[test]
    fn a_session_is_over_when_it_is_refused_or_misses_changes() {
        for (steps, expected) in [
            ("same same same", "exists"),
            ("same out", "out"),
            ("line line", "exists"),
            ("other same other", "exists"),
            ("other message other", "exists"),
            ("other other", "deaf"),
            ("other message other other", "deaf"),
            ("other line other", "deaf"),
        ] {
            assert_eq!(outcome(steps), expected, "{steps}");
        }
    }
}
