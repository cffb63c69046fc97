//! The contents of a segment in the index besides the engine's `Segment`: data of its call, and the recording
//! below it.

use std::collections::HashMap;

use deskreel_interaction::CallSummary;
use deskreel_model::{CallId, InteractionId, RecordingId};

/// The calls of some segments. The same id may be that of two calls, of different interactions.
pub type CallSummaries = HashMap<(InteractionId, CallId), CallSummary>;

/// The part of some footage that one recording covers, in milliseconds since 1970. `None` is unbounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    pub recording: Option<RecordingId>,
    pub from: Option<i64>,
    pub to: Option<i64>,
}

impl Stretch {
    /// The part of a segment that lies on this stretch.
    pub fn cut(&self, from: i64, to: Option<i64>) -> Option<(i64, Option<i64>)> {
        let from = self.from.map_or(from, |own| own.max(from));
        let to = match (self.to, to) {
            (Some(own), Some(to)) => Some(own.min(to)),
            (own, to) => own.or(to),
        };
        to.is_none_or(|to| from < to).then_some((from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_cut_when_one_recording_follows_another() {
        let id = |salt| Some(RecordingId::new(deskreel_model::Utc::MIN, salt));
        let first = Stretch { recording: id(1), from: None, to: Some(100) };
        let second = Stretch { recording: id(2), from: Some(100), to: None };
        assert_eq!(first.cut(10, Some(50)), Some((10, Some(50))));
        assert_eq!(second.cut(10, Some(50)), None);
        assert_eq!(first.cut(10, None), Some((10, Some(100))));
        assert_eq!(second.cut(10, None), Some((100, None)));
        assert_eq!(first.cut(100, Some(120)), None);
        assert_eq!(second.cut(90, Some(120)), Some((100, Some(120))));
    }
}
