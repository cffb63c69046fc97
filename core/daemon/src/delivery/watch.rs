//! Whether the sinks could deliver: what each says about itself between deliveries, and calls that hang.

use std::time::{Duration, Instant};

/// Time between two checks of a sink that has nothing to deliver.
const CHECK_EVERY: Duration = Duration::from_secs(15);
/// A call of a plugin that lasts this long hangs. Exports of a shift take a minute.
const LONGEST_CALL: Duration = Duration::from_secs(900);

/// The state of one sink's plugin.
#[derive(Debug, Default)]
pub(super) struct SinkWatch {
    /// Why deliveries could not succeed, by the last check.
    objection: Option<String>,
    /// Set while the plugin works on a delivery or a check.
    busy_since: Option<Instant>,
    checked: Option<Instant>,
}

impl SinkWatch {
    pub fn call_begins(&mut self, now: Instant) {
        self.busy_since = Some(now);
    }

    pub fn call_ends(&mut self) {
        self.busy_since = None;
    }

    pub fn checked(&mut self, result: Result<(), String>, now: Instant) {
        self.objection = result.err();
        self.checked = Some(now);
    }

    /// When the next check is due.
    pub fn check_at(&self, now: Instant) -> Instant {
        self.checked.map_or(now, |checked| checked + CHECK_EVERY)
    }

    /// Why deliveries could not succeed now, for people.
    pub fn problem(&self, now: Instant) -> Option<String> {
        let hangs = self.busy_since.is_some_and(|since| now.saturating_duration_since(since) >= LONGEST_CALL);
        match hangs {
            true => Some(format!("it has not answered for {} min", LONGEST_CALL.as_secs() / 60)),
            false => self.objection.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_checked_at_once_and_then_now_and_then() {
        let (now, mut watch) = (Instant::now(), SinkWatch::default());
        assert_eq!(watch.check_at(now), now);
        watch.checked(Err("no token".into()), now);
        assert_eq!((watch.check_at(now), watch.problem(now)), (now + CHECK_EVERY, Some("no token".into())));
        watch.checked(Ok(()), now);
        assert_eq!(watch.problem(now), None);
    }

    #[test]
    fn a_call_without_an_end_is_a_problem() {
        let (now, mut watch) = (Instant::now(), SinkWatch::default());
        watch.call_begins(now);
        assert_eq!(watch.problem(now + LONGEST_CALL / 2), None);
        assert_eq!(watch.problem(now + LONGEST_CALL), Some("it has not answered for 15 min".into()));
        watch.call_ends();
        assert_eq!(watch.problem(now + LONGEST_CALL), None);
    }
}
