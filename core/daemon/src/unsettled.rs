//! Finds the recordings of a row of the segment table. The table knows agents and times; recordings have ids.

use std::path::PathBuf;
use std::time::Duration;

use deskreel_model::segment::Footage;
use deskreel_model::{AgentId, RecordingId, Utc};

/// How long after its end is final a recording may wait for its footage. If none has come by then, a late
/// event has revoked the command for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A recording begins a moment after the event that its footage begins with.
const SLACK: Duration = Duration::from_secs(2);

struct UnsettledRecording {
    recording: RecordingId,
    agent: AgentId,
    since: Utc,
    ended: Option<Utc>,
    folder: PathBuf,
    /// Its footage is final.
    is_settled: bool,
}

/// Recordings whose segments are not final. Pure.
#[derive(Default)]
pub struct Unsettled {
    entries: Vec<UnsettledRecording>,
}

impl Unsettled {
    pub fn began(&mut self, recording: RecordingId, agent: AgentId, since: Utc, folder: PathBuf) {
        self.entries.push(UnsettledRecording {
            recording,
            agent,
            since,
            ended: None,
            folder,
            is_settled: false,
        });
    }

    pub fn ended(&mut self, recording: &RecordingId, at: Utc) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.recording == *recording) {
            entry.ended.get_or_insert(at);
        }
        self.forget();
    }

    /// Returns the recordings of this final footage: one, or several if it was interrupted.
    pub fn settle(&mut self, footage: &Footage) -> Vec<(RecordingId, PathBuf)> {
        let end = footage.to.unwrap_or(Utc(jiff::Timestamp::MAX));
        let mut settled = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| entry.agent == footage.agent) {
            let begins_within = entry.since.plus(SLACK) >= footage.from && entry.since <= end;
            let reaches_in = entry.ended.is_none_or(|ended| ended >= footage.from);
            if begins_within && reaches_in && !entry.is_settled {
                entry.is_settled = true;
                settled.push((entry.recording.clone(), entry.folder.clone()));
            }
        }
        self.forget();
        settled
    }

    /// Removes and returns recordings that have ended and will get no footage any more. Everything before
    /// `settled` is final.
    pub fn expired(&mut self, settled: Utc) -> Vec<RecordingId> {
        let expired =
            |entry: &mut UnsettledRecording| entry.ended.is_some_and(|ended| ended.plus(PATIENCE) < settled);
        self.entries.extract_if(.., expired).map(|entry| entry.recording).collect()
    }

    /// Drops recordings that have ended and are settled.
    fn forget(&mut self) {
        self.entries.retain(|entry| !entry.is_settled || entry.ended.is_none());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(text: &str) -> Utc {
        Utc::parse(&format!("2026-01-05T{text}.000Z")).unwrap()
    }

    fn footage(from: &str, to: &str) -> Footage {
        Footage {
            agent: "ann".into(),
            place: None,
            from: at(from),
            to: Some(at(to)),
            why: String::new(),
            why_ended: None,
            withheld: Vec::new(),
            tags: Vec::new(),
            segments: Vec::new(),
        }
    }

    fn ids(settled: Vec<(RecordingId, PathBuf)>) -> Vec<RecordingId> {
        settled.into_iter().map(|(recording, _)| recording).collect()
    }

    #[test]
    fn interrupted_footage_settles_every_recording_within_it() {
        let mut unsettled = Unsettled::default();
        let [first, second, other] = [1, 2, 3].map(|salt| RecordingId::new(Utc::MIN, salt));
        unsettled.began(first.clone(), "ann".into(), at("09:00:00"), PathBuf::new());
        unsettled.ended(&first, at("09:01:00"));
        unsettled.began(second.clone(), "ann".into(), at("09:01:02"), PathBuf::new());
        unsettled.ended(&second, at("09:02:00"));
        unsettled.began(other, "ann".into(), at("09:05:00"), PathBuf::new());
        assert_eq!(ids(unsettled.settle(&footage("09:00:00", "09:02:00"))), [first, second]);
        assert!(ids(unsettled.settle(&footage("09:00:00", "09:02:00"))).is_empty(), "once");
    }

    #[test]
    fn a_recording_that_a_late_event_revoked_expires() {
        let mut unsettled = Unsettled::default();
        let recording = RecordingId::new(Utc::MIN, 1);
        unsettled.began(recording.clone(), "ann".into(), at("09:00:00"), PathBuf::new());
        assert!(unsettled.expired(at("10:00:00")).is_empty(), "it still runs");
        unsettled.ended(&recording, at("10:00:00"));
        assert!(unsettled.expired(at("10:00:04")).is_empty(), "its footage may be the next");
        assert_eq!(unsettled.expired(at("10:00:06")), [recording]);
    }
}
