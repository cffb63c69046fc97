//! What the journal says, folded: pure.

use std::collections::BTreeMap;

use deskreel_contract::RecordingAbout;
use deskreel_model::{PartNumber, RecordingId, SinkName};
use serde::{Deserialize, Serialize};

/// A line of `outbox.journal`. What is not known to the book is ignored: a line may be older than a removal, or be
/// all that a damaged disk has left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub(super) enum Entry {
    Entered {
        recording: RecordingId,
    },
    Sealed {
        recording: RecordingId,
        #[serde(flatten)]
        content: Content,
    },
    Released {
        recording: RecordingId,
        about: RecordingAbout,
    },
    /// A sink has these files of a part; 0 is its header.
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
    /// It is not in the spool any more.
    Left {
        recording: RecordingId,
    },
}

/// What a sealed recording holds, by its manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// Headers and fragments.
    pub files: u64,
    pub bytes: u64,
    pub has_footage: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Book {
    pub recordings: BTreeMap<RecordingId, Held>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Held {
    /// None while it runs.
    pub sealed: Option<Content>,
    pub released: Option<RecordingAbout>,
    pub sinks: BTreeMap<SinkName, Got>,
}

/// What a sink has of a recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Got {
    parts: BTreeMap<(String, PartNumber), Numbers>,
    pub bytes: u64,
    pub end: Option<End>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Delivered { place: String },
    Refused { reason: String },
}

impl Book {
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Entered { recording } => drop(self.recordings.entry(recording).or_default()),
            Entry::Sealed { recording, content } => {
                self.recordings.entry(recording).or_default().sealed = Some(content);
            }
            Entry::Released { recording, about } => {
                self.held(&recording, |held| held.released = Some(about));
            }
            Entry::Acknowledged { recording, sink, track, part, numbers, bytes } => {
                self.got(&recording, sink, |got| {
                    got.parts.entry((track, part)).or_default().insert(numbers);
                    got.bytes += bytes;
                });
            }
            Entry::Delivered { recording, sink, place } => {
                self.got(&recording, sink, |got| got.ends(End::Delivered { place }));
            }
            Entry::Refused { recording, sink, reason } => {
                self.got(&recording, sink, |got| got.ends(End::Refused { reason }));
            }
            Entry::Left { recording } => drop(self.recordings.remove(&recording)),
        }
    }

    fn held(&mut self, recording: &RecordingId, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.recordings.get_mut(recording) {
            change(held);
        }
    }

    fn got(&mut self, recording: &RecordingId, sink: SinkName, change: impl FnOnce(&mut Got)) {
        self.held(recording, |held| change(held.sinks.entry(sink).or_default()));
    }

    /// The shortest journal that gives this book.
    pub fn entries(&self) -> Vec<Entry> {
        self.recordings.iter().flat_map(|(recording, held)| held.entries(recording)).collect()
    }
}

impl Held {
    /// Whether a sink may still get something of it.
    pub fn owes(&self, sink: &SinkName) -> bool {
        let has_ended = self.sinks.get(sink).is_some_and(|got| got.end.is_some());
        !has_ended && self.sealed.is_none_or(|content| content.has_footage)
    }

    pub fn is_delivered_to(&self, sink: &SinkName) -> bool {
        self.sinks.get(sink).is_some_and(|got| matches!(got.end, Some(End::Delivered { .. })))
    }

    /// Sealed, and there is nothing in it that anybody could want.
    pub fn is_empty(&self) -> bool {
        self.sealed.is_some_and(|content| !content.has_footage)
    }

    fn entries(&self, recording: &RecordingId) -> Vec<Entry> {
        let id = || recording.clone();
        let begun = match self.sealed {
            Some(content) => Entry::Sealed { recording: id(), content },
            None => Entry::Entered { recording: id() },
        };
        let released = self.released.clone().map(|about| Entry::Released { recording: id(), about });
        let got = self.sinks.iter().flat_map(|(sink, got)| got.entries(recording, sink));
        [begun].into_iter().chain(released).chain(got).collect()
    }
}

impl Got {
    pub fn has(&self, track: &str, part: PartNumber, number: u32) -> bool {
        self.parts.get(&(track.to_owned(), part)).is_some_and(|numbers| numbers.contains(number))
    }

    pub fn files(&self) -> u64 {
        self.parts.values().map(Numbers::count).sum()
    }

    /// Which files it has no longer matters.
    fn ends(&mut self, end: End) {
        *self = Got { end: Some(end), ..Got::default() };
    }

    fn entries(&self, recording: &RecordingId, sink: &SinkName) -> Vec<Entry> {
        let id = || (recording.clone(), sink.clone());
        let mut bytes = self.bytes;
        let mut entries = Vec::new();
        for ((track, part), numbers) in &self.parts {
            for numbers in &numbers.0 {
                let (recording, sink) = id();
                // All bytes with the first: only their sum is known.
                let bytes = std::mem::take(&mut bytes);
                let (track, part, numbers) = (track.clone(), *part, *numbers);
                entries.push(Entry::Acknowledged { recording, sink, track, part, numbers, bytes });
            }
        }
        let (recording, sink) = id();
        entries.extend(self.end.clone().map(|end| end.entry(recording, sink)));
        entries
    }
}

impl End {
    pub fn entry(self, recording: RecordingId, sink: SinkName) -> Entry {
        match self {
            End::Delivered { place } => Entry::Delivered { recording, sink, place },
            End::Refused { reason } => Entry::Refused { recording, sink, reason },
        }
    }
}

/// Numbers as ranges, both ends in them, in order and never touching: hours of footage are mostly one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Numbers(Vec<(u32, u32)>);

impl Numbers {
    fn insert(&mut self, (from, to): (u32, u32)) {
        let first = self.0.partition_point(|range| range.1.saturating_add(1) < from);
        let behind = self.0.partition_point(|range| range.0 <= to.saturating_add(1));
        let merge = |a: (u32, u32), b: (u32, u32)| (a.0.min(b.0), a.1.max(b.1));
        let merged = self.0.drain(first..behind.max(first)).fold((from, to), merge);
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

    use super::Numbers;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_would(inserted in prop::collection::vec((0u32..40, 0u32..4), 0..30)) {
            let (mut numbers, mut set) = (Numbers::default(), BTreeSet::new());
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
