//! What the spool still owes: which recording, or which fragment of it, to which sink. Nothing leaves the spool before
//! every sink has acknowledged it.
//!
//! # Constraints
//!
//! - Every recording arrives at each sink, whatever is killed when. A sink is told again what it may have got
//!   already, since it knows things by their ids; but not what the journal says that it has.
//! - A part's header goes before its fragments, those in their order, and `finish` last: once a sealed recording was
//!   [released](Outbox::released), and once a sink that takes fragments has all that the manifest names.
//! - Deleting is the last step, of a recording that every sink has. One that a sink has refused stays, and is seen in
//!   the [status](Outbox::status), until somebody decides or there is no room ([`crate::room`]).
//! - Without sinks nothing is ever owed, and nothing but empty recordings leaves: the folder is the archive then.
//!
//! # A recording's way
//!
//! ```text
//! entered -> fragments -> sealed -> released -> delivered to each sink -> taken out -> deleted
//! ```
//!
//! Each arrow but the last two is a line in `<directory>/outbox.journal` (`journal.rs`), from which `book.rs` folds
//! what is known. Which file of a recording is next is not in it: for a running recording the daemon tells that, for a
//! sealed one the manifest does. What an acknowledged fragment costs is one unsynced line; a line is synced where
//! losing it would lose more than a repetition: a released recording, a finished or refused delivery, a departure.
//!
//! A recording is taken out in four steps: the account has its line, the folder is called `.deleting-<id>`, the
//! journal says that it has left, and then the files go ([`Leaving::delete`]). A crash in between is made good by
//! [`Outbox::open`], which also takes in what lies there sealed and is in no journal.
//!
//! # Order
//!
//! The oldest recording is first, whole, and then the next; a recording whose delivery failed waits behind the others
//! (`tray.rs`). A process owns the outbox by a lock on the directory.

mod book;
mod deliver;
mod leave;
mod open;
mod status;
#[cfg(test)]
mod tests;
mod tray;

pub use deliver::{Item, Next, Reply};
pub use leave::Leaving;
pub use open::Finding;
pub use status::{Debt, DebtState, RecordingStatus, SinkStatus, Stage, Status};
pub use tray::Counts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use deskreel_contract::RecordingAbout;
use deskreel_model::manifest::{FileRef, Outcome};
use deskreel_model::{Manifest, PartNumber, RecordingId, SinkName, layout};

use crate::Error;
use crate::account::{Account, NotBegun, What, sealed};
use crate::files::{Durable, Files};
use crate::folder::parse;
use crate::journal::Journal;
use book::{Book, Content, Entry, Got};
use tray::{Chance, Facts, Key, Queue, Tray};

pub const JOURNAL: &str = "outbox.journal";
/// Lines below which the journal is never written anew; about 600 kB.
const SMALL: usize = 4096;

pub struct Outbox {
    directory: PathBuf,
    files: Box<dyn Files>,
    journal: Journal,
    account: Account,
    book: Book,
    /// Of the sinks that there are now. The book may know others, of earlier pipeline files.
    trays: BTreeMap<SinkName, Tray>,
    /// The account has said that these leave, and their folders may have other names already.
    leaving: BTreeSet<RecordingId>,
    /// Read off the disk at the start, in the book already, and there was no room for it in the journal. Goes before
    /// anything else that is written, which would mean nothing without it.
    unwritten: Vec<Entry>,
    chance: Chance,
    /// Lines at which it is looked whether the journal is mostly stale.
    rewrite_at: usize,
    small: usize,
    _owned: Option<File>,
}

impl Outbox {
    /// A recording is wanted: from here on the account has to say what becomes of it. Not synced, since a start waits
    /// for it.
    pub fn commanded(&mut self, recording: &RecordingId, agent: Option<String>, why: String) {
        self.account.tell(&*self.files, recording, What::Commanded { agent, why }, Durable::Later);
    }

    /// A recording that was wanted is not there. `cause` is for programs, `detail` for people.
    pub fn not_begun(&mut self, recording: &RecordingId, cause: NotBegun, detail: String) {
        self.account.tell(&*self.files, recording, What::NotBegun { cause, detail }, Durable::Now);
    }

    /// A recording has its folder and runs. Told again, nothing happens.
    pub fn entered(&mut self, recording: &RecordingId) -> Result<(), Error> {
        if self.book.recordings.contains_key(recording) {
            return Ok(());
        }
        self.account.tell(&*self.files, recording, What::Began, Durable::Later);
        self.write(vec![Entry::Entered { recording: recording.clone() }], Durable::Later)
    }

    /// A file of a running recording is complete on disk; number 0 is the part's header. What is not told here goes
    /// to the sinks when the recording is sealed.
    pub fn fragment(
        &mut self,
        recording: &RecordingId,
        track: &str,
        part: PartNumber,
        number: u32,
        file: &FileRef,
    ) -> Result<(), Error> {
        let held = self.book.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        for (sink, tray) in self.trays.iter_mut().filter(|(_, tray)| !tray.takes_whole) {
            let has_it = held.sinks.get(sink).is_some_and(|got| got.has(track, part, number));
            if held.sealed.is_none() && held.owes(sink) && !has_it {
                let key = Key { part, number, track: track.to_owned() };
                let facts = Facts { sha256: file.sha256.clone(), size: file.size };
                tray.queues.entry(recording.clone()).or_default().insert(key, facts);
            }
        }
        Ok(())
    }

    /// A recording's manifest is on disk with its outcome. Told again, nothing happens.
    pub fn sealed(&mut self, recording: &RecordingId) -> Result<(), Error> {
        let held = self.book.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if held.sealed.is_some() {
            return Ok(());
        }
        let (manifest, outcome) = sealed_manifest(&*self.files, &self.directory, recording)?;
        self.seal(recording, &manifest, outcome)
    }

    /// A sealed recording may be handed over as finished, or one that runs may be as soon as it is sealed: whom it
    /// belongs to does not change any more. Told again, the last word counts until a sink has the recording.
    pub fn released(&mut self, recording: &RecordingId, about: RecordingAbout) -> Result<(), Error> {
        let held = self.book.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if held.released.as_ref() == Some(&about) {
            return Ok(());
        }
        self.write(vec![Entry::Released { recording: recording.clone(), about }], Durable::Now)
    }

    /// Sealed recordings that nobody has released: after a restart, those that the daemon has to decide on.
    pub fn unreleased(&self) -> Vec<RecordingId> {
        let held = self.book.recordings.iter();
        let waiting =
            held.filter(|(_, held)| held.sealed.is_some() && held.released.is_none() && !held.is_empty());
        waiting.map(|(recording, _)| recording.clone()).collect()
    }

    /// The sinks of another pipeline file. What one has got before is not delivered to it again; a new one gets
    /// everything that is still here.
    pub fn set_sinks(&mut self, sinks: &[SinkName]) {
        self.trays.retain(|name, _| sinks.contains(name));
        for sink in sinks {
            self.trays.entry(sink.clone()).or_default();
        }
    }

    fn seal(&mut self, recording: &RecordingId, manifest: &Manifest, outcome: Outcome) -> Result<(), Error> {
        let content = content(&queue(manifest, None));
        self.account.tell(&*self.files, recording, sealed(manifest, outcome, content.bytes), Durable::Later);
        self.write(vec![Entry::Sealed { recording: recording.clone(), content }], Durable::Later)?;
        // From here on the manifest says what is owed: fragments may have been salvaged, or dropped.
        self.trays.values_mut().for_each(|tray| drop(tray.queues.remove(recording)));
        Ok(())
    }

    /// What cannot be written down is not known either.
    fn write(&mut self, entries: Vec<Entry>, durable: Durable) -> Result<(), Error> {
        let known = self.unwritten.len();
        let all: Vec<Entry> = self.unwritten.iter().cloned().chain(entries).collect();
        self.journal.append(&*self.files, &all, durable)?;
        self.unwritten.clear();
        all.into_iter().skip(known).for_each(|entry| self.book.apply(entry));
        if self.journal.lines() >= self.rewrite_at {
            self.rewrite();
        }
        Ok(())
    }

    /// Writes the journal anew if less than a quarter of it still matters. An old one that cannot be replaced does as
    /// well.
    fn rewrite(&mut self) {
        let entries = self.book.entries();
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

/// A recording's manifest; `Unsealed` if it has no outcome yet.
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

/// All files that a manifest names, but those that a sink has got.
fn queue(manifest: &Manifest, got: Option<&Got>) -> Queue {
    let mut queue = Queue::new();
    for track in &manifest.tracks {
        for part in &track.parts {
            let fragments = part.fragments.iter().map(|fragment| (fragment.number, &fragment.file));
            for (number, file) in [(0, &part.init)].into_iter().chain(fragments) {
                if !got.is_some_and(|got| got.has(&track.name, part.number, number)) {
                    let key = Key { part: part.number, number, track: track.name.clone() };
                    queue.insert(key, Facts { sha256: file.sha256.clone(), size: file.size });
                }
            }
        }
    }
    queue
}

fn content(queue: &Queue) -> Content {
    Content {
        files: queue.len() as u64,
        bytes: queue.values().map(|facts| facts.size).sum(),
        has_footage: queue.keys().any(|key| key.number > 0),
    }
}
