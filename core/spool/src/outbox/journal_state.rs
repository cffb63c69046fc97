//! The entries of the journal, and the state that they add up to. Pure.

use std::collections::BTreeMap;

use deskreel_contract::RecordingAbout;
use deskreel_model::{PartNumber, RecordingId, SinkName};
use serde::{Deserialize, Serialize};

/// A line of `outbox.journal`. An entry on an unknown recording is ignored: it may be older than the
/// recording's removal, or be all that a damaged disk has left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum JournalEntry {
    Entered {
        recording: RecordingId,
    },
    Sealed {
        recording: RecordingId,
        #[serde(flatten)]
        content: SealedContent,
    },
    Released {
        recording: RecordingId,
        about: RecordingAbout,
    },
    /// A sink has these files of a part, from the first to the last number; 0 is the header.
    Acknowledged {
        recording: RecordingId,
        sink: SinkName,
        track: String,
        part: PartNumber,
        numbers: (u32, u32),
        bytes: u64,
    },
    Delivered {
        recording: RecordingId,
        sink: SinkName,
        place: String,
    },
    Refused {
        recording: RecordingId,
        sink: SinkName,
        reason: String,
    },
    /// The recording has left the spool.
    Left {
        recording: RecordingId,
    },
}

/// The content of a sealed recording, according to its manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SealedContent {
    /// Number of headers and fragments.
    pub files: u64,
    pub bytes: u64,
    pub has_footage: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct JournalState {
    pub recordings: BTreeMap<RecordingId, SpooledRecording>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SpooledRecording {
    /// `None` while the recording runs.
    pub sealed: Option<SealedContent>,
    pub released: Option<RecordingAbout>,
    pub sinks: BTreeMap<SinkName, SinkProgress>,
}

/// The part of a recording that a sink has.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SinkProgress {
    parts: BTreeMap<(String, PartNumber), NumberRanges>,
    pub bytes: u64,
    pub end: Option<DeliveryEnd>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum DeliveryEnd {
    Delivered { place: String },
    Refused { reason: String },
}

impl JournalState {
    pub fn apply(&mut self, entry: JournalEntry) {
        match entry {
            JournalEntry::Entered { recording } => drop(self.recordings.entry(recording).or_default()),
            JournalEntry::Sealed { recording, content } => {
                self.recordings.entry(recording).or_default().sealed = Some(content);
            }
            JournalEntry::Released { recording, about } => {
                self.spooled(&recording, |spooled| spooled.released = Some(about));
            }
            JournalEntry::Acknowledged { recording, sink, track, part, numbers, bytes } => {
                self.progress(&recording, sink, |progress| {
                    progress.parts.entry((track, part)).or_default().insert(numbers);
                    progress.bytes += bytes;
                });
            }
            JournalEntry::Delivered { recording, sink, place } => {
                self.progress(&recording, sink, |progress| progress.ends(DeliveryEnd::Delivered { place }));
            }
            JournalEntry::Refused { recording, sink, reason } => {
                self.progress(&recording, sink, |progress| progress.ends(DeliveryEnd::Refused { reason }));
            }
            JournalEntry::Left { recording } => drop(self.recordings.remove(&recording)),
        }
    }

    fn spooled(&mut self, recording: &RecordingId, change: impl FnOnce(&mut SpooledRecording)) {
        if let Some(spooled) = self.recordings.get_mut(recording) {
            change(spooled);
        }
    }

    fn progress(&mut self, recording: &RecordingId, sink: SinkName, change: impl FnOnce(&mut SinkProgress)) {
        self.spooled(recording, |spooled| change(spooled.sinks.entry(sink).or_default()));
    }

    /// The shortest journal that adds up to this state.
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.recordings.iter().flat_map(|(recording, spooled)| spooled.entries(recording)).collect()
    }
}

impl SpooledRecording {
    /// Returns whether a sink may still be sent something of it.
    pub fn owes(&self, sink: &SinkName) -> bool {
        let has_ended = self.sinks.get(sink).is_some_and(|progress| progress.end.is_some());
        !has_ended && self.sealed.is_none_or(|content| content.has_footage)
    }

    pub fn is_delivered_to(&self, sink: &SinkName) -> bool {
        self.sinks
            .get(sink)
            .is_some_and(|progress| matches!(progress.end, Some(DeliveryEnd::Delivered { .. })))
    }

    /// Returns whether it is sealed without footage, so that no sink is sent it.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_some_and(|content| !content.has_footage)
    }

    fn entries(&self, recording: &RecordingId) -> Vec<JournalEntry> {
        let id = || recording.clone();
        let begun = match self.sealed {
            Some(content) => JournalEntry::Sealed { recording: id(), content },
            None => JournalEntry::Entered { recording: id() },
        };
        let released = self.released.clone().map(|about| JournalEntry::Released { recording: id(), about });
        let progress = self.sinks.iter().flat_map(|(sink, progress)| progress.entries(recording, sink));
        [begun].into_iter().chain(released).chain(progress).collect()
    }
}

impl SinkProgress {
    pub fn has(&self, track: &str, part: PartNumber, number: u32) -> bool {
        self.parts.get(&(track.to_owned(), part)).is_some_and(|numbers| numbers.contains(number))
    }

    pub fn files(&self) -> u64 {
        self.parts.values().map(NumberRanges::count).sum()
    }

    /// The delivery has ended, so it no longer matters which files the sink has.
    fn ends(&mut self, end: DeliveryEnd) {
        *self = SinkProgress { end: Some(end), ..SinkProgress::default() };
    }

    fn entries(&self, recording: &RecordingId, sink: &SinkName) -> Vec<JournalEntry> {
        let id = || (recording.clone(), sink.clone());
        let mut bytes = self.bytes;
        let mut entries = Vec::new();
        for ((track, part), numbers) in &self.parts {
            for numbers in &numbers.0 {
                let (recording, sink) = id();
                // The first entry carries all bytes, since only their sum is known.
                let bytes = std::mem::take(&mut bytes);
                let (track, part, numbers) = (track.clone(), *part, *numbers);
                entries.push(JournalEntry::Acknowledged { recording, sink, track, part, numbers, bytes });
            }
        }
        let (recording, sink) = id();
        entries.extend(self.end.clone().map(|end| end.entry(recording, sink)));
        entries
    }
}

impl DeliveryEnd {
    pub fn entry(self, recording: RecordingId, sink: SinkName) -> JournalEntry {
        match self {
            DeliveryEnd::Delivered { place } => JournalEntry::Delivered { recording, sink, place },
            DeliveryEnd::Refused { reason } => JournalEntry::Refused { recording, sink, reason },
        }
    }
}

/// A set of numbers as ranges with both ends included, in order and never touching: hours of footage are
/// mostly one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct NumberRanges(Vec<(u32, u32)>);

impl NumberRanges {
    fn insert(&mut self, (from, to): (u32, u32)) {
        let first = self.0.partition_point(|range| range.1.saturating_add(1) < from);
        let after = self.0.partition_point(|range| range.0 <= to.saturating_add(1));
        let merge = |a: (u32, u32), b: (u32, u32)| (a.0.min(b.0), a.1.max(b.1));
        let merged = self.0.drain(first..after.max(first)).fold((from, to), merge);
        self.0.insert(first, merged);
    }

    fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|range| range.1 < number);
        self.0.get(at).is_some_and(|range| range.0 <= number)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|(from, to)| u64::from(to - from) + 1).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::NumberRanges;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_would(inserted in prop::collection::vec((0u32..40, 0u32..4), 0..30)) {
            let (mut numbers, mut set) = (NumberRanges::default(), BTreeSet::new());
            for (from, more) in inserted {
                numbers.insert((from, from + more));
                set.extend(from..=from + more);
            }
            prop_assert_eq!(numbers.count(), set.len() as u64);
            for number in 0..50 {
                prop_assert_eq!(numbers.contains(number), set.contains(&number));
            }
            prop_assert!(numbers.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", numbers);
        }
    }
}
