//! Decides what is delivered to a sink next, and handles its reply.

use std::time::{Duration, Instant};

use deskreel_contract::{Answer, FinishedRecording, FragmentDelivery};
use deskreel_model::{PartNumber, RecordingId, SinkName, layout};

use super::journal_state::{DeliveryEnd, JournalEntry, SpooledRecording};
use super::sink_backlog::{FileFacts, FileKey};
use super::{Outbox, queue, sealed_manifest};
use crate::Error;
use crate::account::AccountEvent;
use crate::files::Durability;

#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Deliver(Item),
    /// Something waits. Ask again at this time, or when something new arrives.
    WaitUntil(Instant),
    /// Nothing waits, until something new arrives.
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
    /// The sink takes no fragments, only whole recordings.
    TakesWhole,
    /// The sink could not answer, for this reason.
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
    /// Returns what to deliver to a sink now. It stays the next item until it has been
    /// [`answered`](Self::answered).
    pub fn next(&mut self, sink: &SinkName, now: Instant) -> Next {
        let owed: Vec<RecordingId> = self.owed(sink);
        let Some(backlog) = self.backlogs.get(sink).filter(|_| !owed.is_empty()) else { return Next::Idle };
        if let Some(until) = backlog.waits_until(now) {
            return Next::WaitUntil(until);
        }
        let mut until: Option<Instant> = None;
        for recording in backlog.in_order(owed) {
            if self.held_back(sink, &recording, now).is_none()
                && let Some(item) = self.item(sink, &recording, now)
            {
                return Next::Deliver(item);
            }
            // Looked up again, since reading its manifest may have failed just now.
            until = until.into_iter().chain(self.held_back(sink, &recording, now)).min();
        }
        until.map_or(Next::Idle, Next::WaitUntil)
    }

    /// Takes the sink's reply to an item. An error means that it could not be recorded: the same item is next
    /// again, after a pause.
    pub fn answered(
        &mut self,
        sink: &SinkName,
        item: &Item,
        reply: Reply,
        now: Instant,
    ) -> Result<(), Error> {
        let known = self.state.recordings.keys().find(|id| id.as_str() == item.recording()).cloned();
        // Otherwise the recording or the sink has been removed meanwhile.
        let (Some(recording), true) = (known, self.backlogs.contains_key(sink)) else { return Ok(()) };
        match (reply, item) {
            (Reply::Answered(Answer::Acknowledged { .. }), Item::Fragment(delivery)) => {
                self.has_fragment(sink, &recording, delivery, now)
            }
            (Reply::Answered(Answer::Acknowledged { place }), Item::Finish(_)) => {
                self.ends(sink, recording, DeliveryEnd::Delivered { place }, now)
            }
            (Reply::Answered(Answer::Refused { reason }), _) => {
                self.ends(sink, recording, DeliveryEnd::Refused { reason }, now)
            }
            (Reply::Answered(Answer::RetryAfter { seconds, reason }), _) => {
                self.failed(sink, &recording, reason, Duration::from_secs(seconds.into()), now);
                Ok(())
            }
            (Reply::TakesWhole, Item::Fragment(_)) => {
                if let Some(backlog) = self.backlogs.get_mut(sink) {
                    backlog.takes_whole = true;
                    backlog.queues.clear();
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

    /// Recordings that are owed to a sink, oldest first.
    fn owed(&self, sink: &SinkName) -> Vec<RecordingId> {
        let is_owed =
            |id: &RecordingId, spooled: &SpooledRecording| spooled.owes(sink) && !self.leaving.contains(id);
        let spooled = self.state.recordings.iter().filter(|(id, spooled)| is_owed(id, spooled));
        spooled.map(|(recording, _)| recording.clone()).collect()
    }

    fn held_back(&self, sink: &SinkName, recording: &RecordingId, now: Instant) -> Option<Instant> {
        let stuck = self.backlogs.get(sink)?.stuck(recording)?;
        Some(stuck.not_before).filter(|until| *until > now)
    }

    fn item(&mut self, sink: &SinkName, recording: &RecordingId, now: Instant) -> Option<Item> {
        let spooled = self.state.recordings.get(recording)?;
        let backlog = self.backlogs.get_mut(sink)?;
        let progress = spooled.sinks.get(sink);
        let folder = self.directory.join(recording.as_str());
        if !backlog.takes_whole {
            if spooled.sealed.is_some() && !backlog.queues.contains_key(recording) {
                match sealed_manifest(&*self.files, &self.directory, recording) {
                    Ok((manifest, _)) => {
                        // Only one sealed recording's files are in memory: one of hours names ten thousand.
                        let recordings = &self.state.recordings;
                        let is_sealed = |id: &RecordingId| {
                            recordings.get(id).is_some_and(|spooled| spooled.sealed.is_some())
                        };
                        backlog.queues.retain(|id, queue| queue.is_empty() || !is_sealed(id));
                        backlog.queues.insert(recording.clone(), queue(&manifest, progress));
                    }
                    Err(error) => {
                        let chance = self.chance.next();
                        backlog.delay_recording(recording, with_source(&error), Duration::ZERO, now, chance);
                        return None;
                    }
                }
            }
            if let Some(queue) = backlog.queues.get(recording).filter(|queue| !queue.is_empty()) {
                let has_header =
                    |key: &FileKey| progress.is_some_and(|progress| progress.has(&key.track, key.part, 0));
                let (key, facts) = queue.iter().find(|(key, _)| key.number == 0 || has_header(key))?;
                return Some(Item::Fragment(delivery(&folder, recording, key, facts)));
            }
        }
        spooled.sealed?;
        let about = spooled.released.clone()?;
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
        let key = FileKey { part, number: *number, track: track.clone() };
        let (numbers, bytes) = ((*number, *number), *size);
        let entry = JournalEntry::Acknowledged {
            recording: recording.clone(),
            sink: sink.clone(),
            track,
            part,
            numbers,
            bytes,
        };
        self.written(sink, recording, entry, Durability::Later, now)?;
        let Some(backlog) = self.backlogs.get_mut(sink) else { return Ok(()) };
        backlog.queues.get_mut(recording).map(|queue| queue.remove(&key));
        backlog.succeeded(recording);
        backlog.counts.files += 1;
        backlog.counts.bytes += bytes;
        Ok(())
    }

    /// The sink has delivered or refused a recording for good.
    fn ends(
        &mut self,
        sink: &SinkName,
        recording: RecordingId,
        end: DeliveryEnd,
        now: Instant,
    ) -> Result<(), Error> {
        let is_refused = matches!(end, DeliveryEnd::Refused { .. });
        let what = match end.clone() {
            DeliveryEnd::Delivered { place } => AccountEvent::Delivered { sink: sink.clone(), place },
            DeliveryEnd::Refused { reason } => AccountEvent::Refused { sink: sink.clone(), reason },
        };
        self.account.write(&*self.files, &recording, what, Durability::Now);
        let entry = end.entry(recording.clone(), sink.clone());
        self.written(sink, &recording, entry, Durability::Now, now)?;
        let Some(backlog) = self.backlogs.get_mut(sink) else { return Ok(()) };
        backlog.succeeded(&recording);
        backlog.forget(&recording);
        let counted = if is_refused { &mut backlog.counts.refused } else { &mut backlog.counts.recordings };
        *counted += 1;
        Ok(())
    }

    /// Writes an entry. If that fails, counts it as a failed delivery: delivering again at once would loop.
    fn written(
        &mut self,
        sink: &SinkName,
        recording: &RecordingId,
        entry: JournalEntry,
        durable: Durability,
        now: Instant,
    ) -> Result<(), Error> {
        let written = self.write(vec![entry], durable);
        if let Err(error) = &written {
            let error = format!("could not write down the sink's answer: {}", with_source(error));
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
        if let Some(backlog) = self.backlogs.get_mut(sink) {
            backlog.failed(recording, error, floor, now, chance);
        }
    }
}

fn delivery(
    folder: &std::path::Path,
    recording: &RecordingId,
    key: &FileKey,
    facts: &FileFacts,
) -> FragmentDelivery {
    let FileKey { part, number, track } = key;
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
