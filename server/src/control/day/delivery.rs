//! Uploads of the simulated recorders: rows of fragments, then the manifest that closes a recording, by the
//! server's own ingest. The bytes do not exist; the account does not ask for them.

use deskreel_model::RecordingId;
use serde_json::{Value, json};

use super::recording::ModelRecording;
use super::seat::Seat;
use super::simulator::{FRAGMENT_MS, Simulator};
use crate::db::recorders::Recorder;
use crate::db::uploads::{FragmentOutcome, NewFragment};
use crate::fragments::{FragmentName, FragmentTimes, StoredFragment};
use crate::ingest::ManifestOutcome;

/// Nanoseconds.
const MS: i64 = 1_000_000;

impl Simulator {
    /// Every recorder that can uploads what it has.
    pub async fn deliver(&mut self) {
        if self.server.is_none() {
            return;
        }
        let mut write = self.db.write().await.expect("a transaction");
        let mut over = Vec::new();
        for (seat, one) in self.seats.iter_mut().enumerate().filter(|(_, one)| one.is_on && one.has_network) {
            let recorder = one.recorder.clone();
            for (index, recording) in one.recordings.iter_mut().enumerate().filter(|(_, one)| !one.is_closed)
            {
                for new in recording.ready_fragments(&recorder, self.now) {
                    let outcome = write.add_fragment(&new).await.expect("a fragment");
                    if outcome != FragmentOutcome::New {
                        let id = &recording.id;
                        self.differences.push(format!("{id}: a fragment is {outcome:?}; it is never stored"));
                    }
                }
                if recording.ended.is_some() {
                    over.push((seat, index));
                }
            }
        }
        write.commit().await.expect("a commit");
        for (seat, index) in over {
            let one = &mut self.seats[seat];
            let text = one.manifest(index).to_string();
            let id = one.recordings[index].id.clone();
            let outcome = self.ingest.manifest(&one.recorder, &id, &text).await.expect("a manifest");
            one.recordings[index].is_closed = true;
            if outcome != ManifestOutcome::New {
                self.differences.push(format!("{id}: its manifest is {outcome:?}"));
            }
        }
    }
}

impl ModelRecording {
    /// Length of its fragments up to `now`, complete ones only while it runs.
    fn fragment_lengths(&self, now: i64) -> Vec<i64> {
        let length = self.ended.unwrap_or(now) - self.began;
        let mut all = vec![FRAGMENT_MS; usize::try_from(length / FRAGMENT_MS).unwrap_or(0)];
        let rest = length % FRAGMENT_MS;
        all.extend((self.ended.is_some() && rest > 0).then_some(rest));
        all
    }

    fn ready_fragments(&mut self, recorder: &Recorder, now: i64) -> Vec<NewFragment> {
        let lengths = self.fragment_lengths(now);
        let header = (self.delivered == 0 && !lengths.is_empty()).then_some((0, 0));
        let new =
            lengths.iter().zip(1..).skip(self.delivered as usize).map(|(length, number)| (number, *length));
        let new: Vec<(u32, i64)> = header.into_iter().chain(new).collect();
        self.delivered = lengths.len() as u32;
        new.into_iter().map(|(number, length)| new_fragment(recorder, &self.id, number, length)).collect()
    }
}

fn new_fragment(recorder: &Recorder, recording: &RecordingId, number: u32, length: i64) -> NewFragment {
    let start_ns = (i64::from(number.saturating_sub(1)) * FRAGMENT_MS * MS) as u64;
    let times = FragmentTimes { start_ns, duration_ns: (length * MS) as u64, keyframe: true };
    let name = FragmentName { track: "video".to_owned(), part: 1, number };
    let times = (number > 0).then_some(times);
    let fragment = StoredFragment { name, size: 100, sha256: digest(number), times };
    NewFragment { recorder: recorder.clone(), recording: recording.clone(), fragment, file: None }
}

fn digest(number: u32) -> String {
    format!("digest-{number}")
}

impl Seat {
    fn manifest(&self, index: usize) -> Value {
        let recording = &self.recordings[index];
        let lengths = recording.fragment_lengths(i64::MAX);
        let fragment = |(number, length): (u32, &i64)| {
            let start = i64::from(number - 1) * FRAGMENT_MS * MS;
            let (sha256, duration_ns) = (digest(number), length * MS);
            json!({ "number": number, "sha256": sha256, "start": start, "duration_ns": duration_ns, "frames": 9 })
        };
        let fragments: Vec<Value> = (1..).zip(&lengths).map(fragment).collect();
        let parts = match fragments.is_empty() {
            true => json!([]),
            false => json!([{ "number": 1, "init": { "sha256": digest(0) }, "fragments": fragments }]),
        };
        json!({
            "recording": recording.id,
            "agent": self.agent,
            "place": self.recorder.place,
            "anchors": [{ "media": 0, "utc": self.own_time(recording.began).to_string() }],
            "tracks": [{ "name": "video", "parts": parts }],
        })
    }
}
