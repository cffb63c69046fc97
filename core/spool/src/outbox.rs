//! The deliveries that the spool still owes: which recording, or which fragment of it, to which sink. Nothing
//! leaves the spool before every sink has acknowledged it, except empty and evicted recordings.
//!
//! # Constraints
//!
//! - Every recording arrives at each sink, whatever is killed at whatever moment. A sink may receive again
//!   things that it already has, since it recognizes them by their ids; but none that the journal lists for
//!   it.
//! - A part's header precedes its fragments, those come in order, and `finish` comes last: once the sealed
//!   recording was [released](Outbox::released), and a sink that takes fragments has all that the manifest
//!   names.
//! - Deleting is the last step, and only for a recording that every sink has. One that a sink has refused
//!   stays, and shows in the [status](Outbox::status), until a person decides or there is no room
//!   ([`crate::capacity`]).
//! - Without sinks nothing is ever owed, and only empty recordings leave: the folder is the archive then.
//!
//! # A recording's way
//!
//! ```text
//! entered -> fragments -> sealed -> released -> delivered to each sink -> taken out -> deleted
//! ```
//!
//! Each arrow except the last two is a line in `<directory>/outbox.journal` (`journal.rs`), from which
//! `journal_state.rs` rebuilds the state. The next file of a recording is not in the journal: for a running
//! recording the daemon reports it, for a sealed one the manifest lists it. An acknowledged fragment costs
//! one unsynced line. A line is synced if losing it would cost more than a repetition: a released recording,
//! a finished or refused delivery, a departure.
//!
//! A recording is taken out in four steps: the account gets its line, the folder is renamed to
//! `.deleting-<id>`, the journal records that it has left, and then the files are deleted
//! ([`Departure::delete`]). [`Outbox::open`] repairs a crash in between, and also takes in sealed recordings
//! that are in no journal.
//!
//! # Order
//!
//! The oldest recording is delivered first and as a whole, then the next. A recording whose delivery failed
//! waits until after the others (`sink_backlog.rs`). A process owns the outbox by a lock on the directory.

mod journal_state;
mod sink_backlog;

mod delivery;
mod departure;
mod open;
mod status;

#[cfg(test)]
mod tests;

pub use delivery::{Item, Next, Reply};
pub use departure::Departure;
pub use open::StartupFinding;
pub use sink_backlog::DeliveryCounts;
pub use status::{Debt, DebtState, OldestFailure, OutboxStatus, RecordingStatus, SinkStatus, Stage};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use deskreel_contract::RecordingAbout;
use deskreel_model::manifest::{FileRef, Outcome};
use deskreel_model::{Manifest, PartNumber, RecordingId, SinkName, layout};
use deskreel_platform::locks::FolderLock;

use crate::Error;
use crate::account::{Account, AccountEvent, NoStartCause, sealed};
use crate::files::{Durability, Files};
use crate::journal::Journal;
use crate::recording_dir::parse;
use journal_state::{JournalEntry, JournalState, SealedContent, SinkProgress};
use sink_backlog::{FileFacts, FileKey, FileQueue, Jitter, SinkBacklog};

pub const JOURNAL: &str = "outbox.journal";
/// Number of lines below which the journal is never rewritten; about 600 kB.
const SMALL: usize = 4096;

pub struct Outbox {
    directory: PathBuf,
    files: Box<dyn Files>,
    journal: Journal,
    account: Account,
    state: JournalState,
    /// The present sinks. The journal may name others, of earlier pipeline files.
    backlogs: BTreeMap<SinkName, SinkBacklog>,
    /// The account has recorded that these leave, and their folders may have been renamed already.
    leaving: BTreeSet<RecordingId>,
    /// Entries found on disk at the start for which the journal had no room. They are part of the state
    /// already, and are written before any other entry, which would mean nothing without them.
    unwritten: Vec<JournalEntry>,
    chance: Jitter,
    /// Number of lines at which the next check is made whether the journal is mostly stale.
    rewrite_at: usize,
    /// `SMALL`, or less in tests.
    small: usize,
    _owned: Option<FolderLock>,
}

impl Outbox {
    /// A recording is wanted: from here on the account has to record its fate. Not synced, since the start of
    /// the recording waits for this.
    pub fn commanded(&mut self, recording: &RecordingId, agent: Option<String>, why: String) {
        self.account.write(
            &*self.files,
            recording,
            AccountEvent::Commanded { agent, why },
            Durability::Later,
        );
    }

    /// A recording that was wanted did not begin. `cause` is for programs, `detail` for people.
    pub fn not_begun(&mut self, recording: &RecordingId, cause: NoStartCause, detail: String) {
        self.account.write(
            &*self.files,
            recording,
            AccountEvent::NotBegun { cause, detail },
            Durability::Now,
        );
    }

    /// A recording has its folder and runs. Calling this again has no effect.
    pub fn entered(&mut self, recording: &RecordingId) -> Result<(), Error> {
        if self.state.recordings.contains_key(recording) {
            return Ok(());
        }
        self.account.write(&*self.files, recording, AccountEvent::Began, Durability::Later);
        self.write(vec![JournalEntry::Entered { recording: recording.clone() }], Durability::Later)
    }

    /// A file of a running recording is complete on disk; number 0 is the part's header. Files that are not
    /// reported here go to the sinks once the recording is sealed.
    pub fn fragment(
        &mut self,
        recording: &RecordingId,
        track: &str,
        part: PartNumber,
        number: u32,
        file: &FileRef,
    ) -> Result<(), Error> {
        let spooled = self.state.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        for (sink, backlog) in self.backlogs.iter_mut().filter(|(_, backlog)| !backlog.takes_whole) {
            let has_it = spooled.sinks.get(sink).is_some_and(|progress| progress.has(track, part, number));
            if spooled.sealed.is_none() && spooled.owes(sink) && !has_it {
                let key = FileKey { part, number, track: track.to_owned() };
                let facts = FileFacts { sha256: file.sha256.clone(), size: file.size };
                backlog.queues.entry(recording.clone()).or_default().insert(key, facts);
            }
        }
        Ok(())
    }

    /// A recording's manifest is on disk with its outcome. Calling this again has no effect.
    pub fn sealed(&mut self, recording: &RecordingId) -> Result<(), Error> {
        let spooled = self.state.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if spooled.sealed.is_some() {
            return Ok(());
        }
        let (manifest, outcome) = sealed_manifest(&*self.files, &self.directory, recording)?;
        self.seal(recording, &manifest, outcome)
    }

    /// A recording may be handed over as finished, as soon as it is sealed: its owner no longer changes. If
    /// this is called again, the last `about` counts until a sink has the recording.
    pub fn released(&mut self, recording: &RecordingId, about: RecordingAbout) -> Result<(), Error> {
        let spooled = self.state.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if spooled.released.as_ref() == Some(&about) {
            return Ok(());
        }
        self.write(vec![JournalEntry::Released { recording: recording.clone(), about }], Durability::Now)
    }

    /// Sealed recordings that were not released: after a restart, the daemon has to decide on them.
    pub fn unreleased(&self) -> Vec<RecordingId> {
        let spooled = self.state.recordings.iter();
        let waiting = spooled.filter(|(_, spooled)| {
            spooled.sealed.is_some() && spooled.released.is_none() && !spooled.is_empty()
        });
        waiting.map(|(recording, _)| recording.clone()).collect()
    }

    /// Replaces the sinks by those of another pipeline file. A sink does not receive again what it already
    /// has; a new one gets everything that is still in the spool.
    pub fn set_sinks(&mut self, sinks: &[SinkName]) {
        self.backlogs.retain(|name, _| sinks.contains(name));
        for sink in sinks {
            self.backlogs.entry(sink.clone()).or_default();
        }
    }

    fn seal(&mut self, recording: &RecordingId, manifest: &Manifest, outcome: Outcome) -> Result<(), Error> {
        let content = content(&queue(manifest, None));
        self.account.write(
            &*self.files,
            recording,
            sealed(manifest, outcome, content.bytes),
            Durability::Later,
        );
        self.write(vec![JournalEntry::Sealed { recording: recording.clone(), content }], Durability::Later)?;
        // From here on the manifest says which files are owed: fragments may have been salvaged or dropped.
        self.backlogs.values_mut().for_each(|backlog| drop(backlog.queues.remove(recording)));
        Ok(())
    }

    /// Writes entries to the journal, then applies them. If they cannot be written, the state does not
    /// change.
    fn write(&mut self, entries: Vec<JournalEntry>, durable: Durability) -> Result<(), Error> {
        let known = self.unwritten.len();
        let all: Vec<JournalEntry> = self.unwritten.iter().cloned().chain(entries).collect();
        self.journal.append(&*self.files, &all, durable)?;
        self.unwritten.clear();
        all.into_iter().skip(known).for_each(|entry| self.state.apply(entry));
        if self.journal.lines() >= self.rewrite_at {
            self.rewrite();
        }
        Ok(())
    }

    /// Rewrites the journal if less than a quarter of it still matters. If it cannot be replaced, the old one
    /// remains valid.
    fn rewrite(&mut self) {
        let entries = self.state.entries();
        let is_stale = entries.len() < self.journal.lines() / 4;
        if is_stale && self.journal.rewrite(&*self.files, &entries).is_ok() {
            self.rewrite_at = self.small.max(4 * entries.len());
        } else {
            self.rewrite_at = self.journal.lines() + self.small;
        }
    }
}

fn unknown(recording: &RecordingId) -> Error {
    Error::Unknown { recording: recording.clone() }
}

/// Reads a recording's manifest; fails with `Unsealed` if it has no outcome yet.
fn sealed_manifest(
    files: &dyn Files,
    directory: &Path,
    recording: &RecordingId,
) -> Result<(Manifest, Outcome), Error> {
    let folder = directory.join(recording.as_str());
    let path = folder.join(layout::MANIFEST);
    let Some(bytes) = files.read(&path)? else { return Err(Error::Unsealed { path: folder }) };
    let manifest = parse(&path, &bytes)?;
    match manifest.outcome.clone() {
        Some(outcome) => Ok((manifest, outcome)),
        None => Err(Error::Unsealed { path: folder }),
    }
}

/// All files that a manifest names, except those that a sink already has.
fn queue(manifest: &Manifest, progress: Option<&SinkProgress>) -> FileQueue {
    let mut queue = FileQueue::new();
    for track in &manifest.tracks {
        for part in &track.parts {
            let fragments = part.fragments.iter().map(|fragment| (fragment.number, &fragment.file));
            for (number, file) in [(0, &part.init)].into_iter().chain(fragments) {
                if !progress.is_some_and(|progress| progress.has(&track.name, part.number, number)) {
                    let key = FileKey { part: part.number, number, track: track.name.clone() };
                    queue.insert(key, FileFacts { sha256: file.sha256.clone(), size: file.size });
                }
            }
        }
    }
    queue
}

fn content(queue: &FileQueue) -> SealedContent {
    SealedContent {
        files: queue.len() as u64,
        bytes: queue.values().map(|facts| facts.size).sum(),
        has_footage: queue.keys().any(|key| key.number > 0),
    }
}
