//! How a recording leaves the spool. The steps are told in the outbox's documentation.

use std::path::PathBuf;

use deskreel_model::RecordingId;

use super::book::{Entry, Held};
use super::{Outbox, unknown};
use crate::Error;
use crate::account::What;
use crate::disk::Disk;
use crate::files::{Durable, Files};

/// Before the id, in the name of a folder that is being deleted.
pub(super) const LEAVING: &str = ".deleting-";

/// A folder that belongs to no recording any more. Dropped undeleted, it goes at the next start.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Leaving {
    pub recording: RecordingId,
    pub(super) folder: PathBuf,
}

impl Leaving {
    /// Needs no outbox, since it may take a second for a recording of hours.
    pub fn delete(self) -> Result<(), Error> {
        self.delete_with(&Disk::new())
    }

    pub(super) fn delete_with(self, files: &dyn Files) -> Result<(), Error> {
        files.remove_tree(&self.folder)
    }
}

impl Outbox {
    /// Takes out of the spool what every sink has, and what has no footage. An error is about one recording, which
    /// stays for another call.
    pub fn take_out(&mut self) -> Vec<Result<Leaving, Error>> {
        let leaves = |(id, held): &(&RecordingId, &Held)| {
            self.is_done(held) || held.is_empty() || self.leaving.contains(id)
        };
        let done = self.book.recordings.iter().filter(leaves);
        let done: Vec<RecordingId> = done.map(|(recording, _)| recording.clone()).collect();
        done.iter().map(|recording| self.leave(recording, "")).collect()
    }

    /// Takes out a sealed recording that somebody has not got, for want of room. A running one is refused. After an
    /// error it is delivered no more, and [`take_out`](Self::take_out) tries again.
    pub fn evict(&mut self, recording: &RecordingId, why: &str) -> Result<Leaving, Error> {
        let held = self.book.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if held.sealed.is_none() {
            return Err(Error::Unsealed { path: self.directory.join(recording.as_str()) });
        }
        self.leave(recording, why)
    }

    /// Every sink has it. Without sinks that is never so.
    pub(super) fn is_done(&self, held: &Held) -> bool {
        let has_it = |sink| held.is_delivered_to(sink);
        held.sealed.is_some() && !self.trays.is_empty() && self.trays.keys().all(has_it)
    }

    /// `why` is of use where somebody has not got it.
    fn leave(&mut self, recording: &RecordingId, why: &str) -> Result<Leaving, Error> {
        let held = self.book.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        let what = if held.is_empty() {
            What::Dropped { why: "there is no footage in it".into(), owed: Vec::new() }
        } else if self.is_done(held) {
            What::Removed
        } else {
            let owed = self.trays.keys().filter(|sink| !held.is_delivered_to(sink));
            What::Dropped { why: why.to_owned(), owed: owed.cloned().collect() }
        };
        if self.leaving.insert(recording.clone()) {
            self.account.tell(&*self.files, recording, what, Durable::Now);
        }
        let leaving = self.directory.join(format!("{LEAVING}{recording}"));
        match self.files.rename(&self.directory.join(recording.as_str()), &leaving) {
            // It went before, and only the line in the journal is missing.
            Err(error) if error.is_not_found() => {}
            renamed => renamed?,
        }
        self.write(vec![Entry::Left { recording: recording.clone() }], Durable::Now)?;
        self.leaving.remove(recording);
        self.trays.values_mut().for_each(|tray| tray.forget(recording));
        Ok(Leaving { recording: recording.clone(), folder: leaving })
    }
}
