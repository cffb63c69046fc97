//! Which recorder is commanded at each place. Pure.
//!
//! Two recorders at one place are a mistake: an agent sits at one of them, and nothing says at which. The one
//! that connected first is commanded while it is connected; the other is told, and Operations shows it. A
//! short break of its line does not cost the first one its place. Only one that records footage of the place
//! goes before one that records nothing: a server that has restarted must not move a running recording.

use std::collections::HashMap;
use std::time::Duration;

use deskreel_model::Place;

use crate::names::RecorderId;

/// Time for which a recorder keeps its place without a connection. It tries again at least once a minute, and
/// a dead connection is noticed within another.
const AWAY: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(super) struct Places(HashMap<Place, Holder>);

/// The recorder that is commanded at a place.
#[derive(Debug)]
struct Holder {
    recorder: RecorderId,
    /// When its line was lost, if it was.
    away_since: Option<Duration>,
}

impl Places {
    /// A recorder has connected at this place. Returns the recorder that is commanded instead, if there is
    /// one.
    pub fn connect(&mut self, place: &Place, recorder: &RecorderId, now: Duration) -> Option<RecorderId> {
        match self.0.get_mut(place) {
            Some(holder) if holder.recorder != *recorder && !holder.is_gone(now) => {
                Some(holder.recorder.clone())
            }
            _ => {
                self.take(place, recorder);
                None
            }
        }
    }

    /// Gives the place to this recorder.
    pub fn take(&mut self, place: &Place, recorder: &RecorderId) {
        self.0.insert(place.clone(), Holder { recorder: recorder.clone(), away_since: None });
    }

    /// The line of a recorder is lost.
    pub fn lose(&mut self, place: &Place, recorder: &RecorderId, now: Duration) {
        if let Some(holder) = self.0.get_mut(place).filter(|holder| holder.recorder == *recorder) {
            holder.away_since.get_or_insert(now);
        }
    }

    pub fn holds(&self, place: &Place, recorder: &RecorderId) -> bool {
        self.holder(place) == Some(recorder)
    }

    pub fn holder(&self, place: &Place) -> Option<&RecorderId> {
        self.0.get(place).map(|holder| &holder.recorder)
    }

    /// Returns whether another recorder may have the place.
    pub fn is_free(&self, place: &Place, now: Duration) -> bool {
        self.0.get(place).is_none_or(|holder| holder.is_gone(now))
    }
}

impl Holder {
    fn is_gone(&self, now: Duration) -> bool {
        self.away_since.is_some_and(|since| now.saturating_sub(since) >= AWAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_recorder_keeps_its_place_until_it_is_gone() {
        let (place, mut places) = (Place::from("pc-1"), Places::default());
        let (one, other) = (RecorderId("one".to_owned()), RecorderId("other".to_owned()));
        let at = Duration::from_secs;
        assert_eq!(places.connect(&place, &one, at(0)), None);
        assert_eq!(places.connect(&place, &other, at(5)), Some(one.clone()));
        places.lose(&place, &other, at(6));
        places.lose(&place, &one, at(10));
        places.lose(&place, &one, at(70));
        assert_eq!(places.connect(&place, &other, at(129)), Some(one.clone()));
        assert!(!places.is_free(&place, at(129)) && places.is_free(&place, at(130)));
        assert_eq!(places.connect(&place, &other, at(130)), None);
        assert!(places.holds(&place, &other));
        assert_eq!(places.connect(&place, &one, at(131)), Some(other.clone()));
        // Its line breaks, and it is back in time.
        places.lose(&place, &other, at(140));
        assert_eq!(places.connect(&place, &other, at(200)), None);
        assert!(!places.is_free(&place, at(400)));
    }
}
