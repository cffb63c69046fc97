//! What a sink gets next, and what its answer means.

use std::time::{Duration, Instant};

use deskreel_contract::{Answer, FinishedRecording, FragmentDelivery};
use deskreel_model::{PartNumber, RecordingId, SinkName, layout};

use super::book::{End, Entry, Held};
use super::tray::{Facts, Key};
use super::{Outbox, queue, sealed_manifest};
use crate::Error;
use crate::account::What;
use crate::files::Durable;

#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Deliver(Item),
    /// Something waits, and this is when to ask again, unless something new comes.
    WaitUntil(Instant),
    /// Nothing, until something new comes.
    Idle,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    Fragment(FragmentDelivery),
    Finish(FinishedRecording),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    Answered(Answer),
    /// It takes no fragments, only whole recordings.
    TakesWhole,
    /// It could not answer.
    Failed(String),
}

impl Item {
    /// Id of the recording.
    pub fn recording(&self) -> &str {
        match self {
            Item::Fragment(delivery) => &delivery.recording,
            Item::Finish(recording) => &recording.id,
        }
    }
}

impl Outbox {
    /// What to deliver to a sink now. It stays the next one until it has been [`answered`](Self::answered).
    pub fn next(&mut self, sink: &SinkName, now: Instant) -> Next {
        let owed: Vec<RecordingId> = self.owed(sink);
        let Some(tray) = self.trays.get(sink).filter(|_| !owed.is_empty()) else { return Next::Idle };
        if let Some(until) = tray.waits_until(now) {
            return Next::WaitUntil(until);
        }
        let mut until: Option<Instant> = None;
        for recording in tray.in_order(owed) {
            if self.held_back(sink, &recording, now).is_none()
                && let Some(item) = self.item(sink, &recording, now)
            {
                return Next::Deliver(item);
            }
            // Asked again: reading its manifest may have failed just now.
            until = until.into_iter().chain(self.held_back(sink, &recording, now)).min();
        }
        until.map_or(Next::Idle, Next::WaitUntil)
    }

    /// What the sink said to an item. An error means that it could not be written down: the same item is next again,
    /// after a pause.
    pub fn answered(
        &mut self,
        sink: &SinkName,
        item: &Item,
        reply: Reply,
        now: Instant,
    ) -> Result<(), Error> {
        let known = self.book.recordings.keys().find(|id| id.as_str() == item.recording()).cloned();
        // Else it has been dropped meanwhile, or its sink has.
        let (Some(recording), true) = (known, self.trays.contains_key(sink)) else { return Ok(()) };
        match (reply, item) {
            (Reply::Answered(Answer::Acknowledged { .. }), Item::Fragment(delivery)) => {
                self.has_fragment(sink, &recording, delivery, now)
            }
            (Reply::Answered(Answer::Acknowledged { place }), Item::Finish(_)) => {
                self.ends(sink, recording, End::Delivered { place }, now)
            }
            (Reply::Answered(Answer::Refused { reason }), _) => {
                self.ends(sink, recording, End::Refused { reason }, now)
            }
            (Reply::Answered(Answer::RetryAfter { seconds, reason }), _) => {
                self.failed(sink, &recording, reason, Duration::from_secs(seconds.into()), now);
                Ok(())
            }
            (Reply::TakesWhole, Item::Fragment(_)) => {
                if let Some(tray) = self.trays.get_mut(sink) {
                    tray.takes_whole = true;
                    tray.queues.clear();
                }
                Ok(())
            }
            (Reply::TakesWhole, Item::Finish(_)) => {
                let error = "it takes no recordings".to_owned();
                self.failed(sink, &recording, error, Duration::ZERO, now);
                Ok(())
            }
            (Reply::Failed(error), _) => {
                self.failed(sink, &recording, error, Duration::ZERO, now);
                Ok(())
            }
        }
    }

    /// Oldest first.
    fn owed(&self, sink: &SinkName) -> Vec<RecordingId> {
        let is_owed = |id: &RecordingId, held: &Held| held.owes(sink) && !self.leaving.contains(id);
        let held = self.book.recordings.iter().filter(|(id, held)| is_owed(id, held));
        held.map(|(recording, _)| recording.clone()).collect()
    }

    fn held_back(&self, sink: &SinkName, recording: &RecordingId, now: Instant) -> Option<Instant> {
        let stuck = self.trays.get(sink)?.stuck(recording)?;
        Some(stuck.not_before).filter(|until| *until > now)
    }

    fn item(&mut self, sink: &SinkName, recording: &RecordingId, now: Instant) -> Option<Item> {
        let held = self.book.recordings.get(recording)?;
        let tray = self.trays.get_mut(sink)?;
        let got = held.sinks.get(sink);
        let folder = self.directory.join(recording.as_str());
        if !tray.takes_whole {
            if held.sealed.is_some() && !tray.queues.contains_key(recording) {
                match sealed_manifest(&*self.files, &self.directory, recording) {
                    Ok((manifest, _)) => {
                        // One list in memory is enough; a recording of hours names ten thousand files.
                        let recordings = &self.book.recordings;
                        let is_sealed =
                            |id: &RecordingId| recordings.get(id).is_some_and(|held| held.sealed.is_some());
                        tray.queues.retain(|id, queue| queue.is_empty() || !is_sealed(id));
                        tray.queues.insert(recording.clone(), queue(&manifest, got));
                    }
                    Err(error) => {
                        let chance = self.chance.next();
                        tray.holds_back(recording, with_source(&error), Duration::ZERO, now, chance);
                        return None;
                    }
                }
            }
            if let Some(queue) = tray.queues.get(recording).filter(|queue| !queue.is_empty()) {
                let has_header = |key: &Key| got.is_some_and(|got| got.has(&key.track, key.part, 0));
                let (key, facts) = queue.iter().find(|(key, _)| key.number == 0 || has_header(key))?;
                return Some(Item::Fragment(delivery(&folder, recording, key, facts)));
            }
        }
        held.sealed?;
        let about = held.released.clone()?;
        Some(Item::Finish(FinishedRecording { id: recording.to_string(), directory: folder, about }))
    }

    fn has_fragment(
        &mut self,
        sink: &SinkName,
        recording: &RecordingId,
        delivery: &FragmentDelivery,
        now: Instant,
    ) -> Result<(), Error> {
        let FragmentDelivery { track, part, number, size, .. } = delivery;
        let (part, track) = (PartNumber(*part), track.clone());
        let key = Key { part, number: *number, track: track.clone() };
        let (numbers, bytes) = ((*number, *number), *size);
        let entry = Entry::Acknowledged {
            recording: recording.clone(),
            sink: sink.clone(),
            track,
            part,
            numbers,
            bytes,
        };
        self.written(sink, recording, entry, Durable::Later, now)?;
        let Some(tray) = self.trays.get_mut(sink) else { return Ok(()) };
        tray.queues.get_mut(recording).map(|queue| queue.remove(&key));
        tray.succeeded(recording);
        tray.counts.files += 1;
        tray.counts.bytes += bytes;
        Ok(())
    }

    /// The sink's last word on a recording.
    fn ends(&mut self, sink: &SinkName, recording: RecordingId, end: End, now: Instant) -> Result<(), Error> {
        let is_refused = matches!(end, End::Refused { .. });
        let what = match end.clone() {
            End::Delivered { place } => What::Delivered { sink: sink.clone(), place },
            End::Refused { reason } => What::Refused { sink: sink.clone(), reason },
        };
        self.account.tell(&*self.files, &recording, what, Durable::Now);
        let entry = end.entry(recording.clone(), sink.clone());
        self.written(sink, &recording, entry, Durable::Now, now)?;
        let Some(tray) = self.trays.get_mut(sink) else { return Ok(()) };
        tray.succeeded(&recording);
        tray.forget(&recording);
        let counted = if is_refused { &mut tray.counts.refused } else { &mut tray.counts.recordings };
        *counted += 1;
        Ok(())
    }

    /// Delivering again at once what cannot be written down would go round and round.
    fn written(
        &mut self,
        sink: &SinkName,
        recording: &RecordingId,
        entry: Entry,
        durable: Durable,
        now: Instant,
    ) -> Result<(), Error> {
        let written = self.write(vec![entry], durable);
        if let Err(error) = &written {
            let error = format!("its answer cannot be written down: {}", with_source(error));
            self.failed(sink, recording, error, Duration::ZERO, now);
        }
        written
    }

    fn failed(
        &mut self,
        sink: &SinkName,
        recording: &RecordingId,
        error: String,
        floor: Duration,
        now: Instant,
    ) {
        let chance = self.chance.next();
        if let Some(tray) = self.trays.get_mut(sink) {
            tray.failed(recording, error, floor, now, chance);
        }
    }
}

fn delivery(folder: &std::path::Path, recording: &RecordingId, key: &Key, facts: &Facts) -> FragmentDelivery {
    let Key { part, number, track } = key;
    let file = match number {
        0 => layout::init_file(track, *part),
        number => layout::fragment_file(track, *part, *number),
    };
    FragmentDelivery {
        id: format!("{recording}/{track}/{}/{number}", part.0),
        path: folder.join(file),
        sha256: facts.sha256.clone(),
        recording: recording.to_string(),
        track: track.clone(),
        part: part.0,
        number: *number,
        size: facts.size,
    }
}

fn with_source(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
