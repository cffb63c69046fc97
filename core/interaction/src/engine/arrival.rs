//! The time at which an event counts, and the time up to which nothing changes any more.

use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::event::{Event, Kind};

use super::{Engine, Output};
use crate::footage::Note;

/// Time after a start of the host in which events of its absence still take their place, as a multiple of
/// the lateness of events. With the usual ten seconds that is a minute, within which feeds and recorders have
/// connected again.
const AFTER_START: u32 = 6;
/// Clocks of well-kept machines differ by less. An event that is further ahead is noted.
const EARLY: Duration = Duration::from_secs(1);

/// A time up to which nothing older than `oldest` becomes final than was already.
pub(super) struct FinalityHold {
    pub oldest: Utc,
    pub until: Utc,
}

/// The time at which an event counts.
pub(super) struct Placement {
    pub at: Utc,
    /// The time that its sender gave it, by our clock.
    pub told: Utc,
    /// It is too late for its place.
    pub is_too_late: bool,
}

impl Engine {
    /// The host has started at `now`: events of its absence still take their place for a while.
    pub(super) fn hold_finality(&mut self, now: Utc) {
        // The first start of all has missed nothing.
        let has_past = self.counts.events > 1;
        let until = now.plus(self.rules.late * AFTER_START);
        self.hold = has_past.then(|| FinalityHold { oldest: self.final_before(), until });
    }

    /// Places an event that was received at `now` by our clock: neither later than that, nor earlier than
    /// what is final.
    pub(super) fn place_event(&mut self, event: &Event, now: Utc, out: &mut impl FnMut(Output)) -> Placement {
        let offset = event.feed.as_ref().and_then(|feed| self.offsets.get(feed)).copied().unwrap_or(0);
        if let Kind::FeedClock { feed, offset_ms } = &event.kind {
            self.offsets.insert(feed.clone(), *offset_ms);
        }
        let at = if offset == 0 { event.at } else { event.at.shifted_ms(offset) };
        if at > now.plus(EARLY) {
            self.counts.early += 1;
            out(Output::Note(Note::Early { at: event.at, received: now, event: event.json.clone() }));
        }
        let (told, oldest) = (at.min(now), self.oldest(now));
        Placement { at: told.max(oldest), told, is_too_late: told < oldest }
    }

    /// The oldest time that an event may have at `now` to take its place.
    pub(super) fn oldest(&self, now: Utc) -> Utc {
        let oldest = now.minus(self.rules.late);
        let hold = self.hold.as_ref().filter(|hold| now < hold.until);
        hold.map_or(oldest, |hold| hold.oldest.min(oldest))
    }
}
