//! How a recording leaves the spool. The steps are told in the outbox's documentation.

use std::path::PathBuf;

use deskreel_model::{RecordingId, SinkName};

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
        let done = self.book.recordings.iter().filter(|(_, held)| self.is_done(held) || held.is_empty());
        let done: Vec<RecordingId> = done.map(|(recording, _)| recording.clone()).collect();
        done.iter().map(|recording| self.leave(recording)).collect()
    }

    /// Takes out a sealed recording that somebody has not got, for want of room. A running one is refused.
    pub fn evict(&mut self, recording: &RecordingId, why: &str) -> Result<Leaving, Error> {
        let held = self.book.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if held.sealed.is_none() {
            return Err(Error::Unsealed { path: self.directory.join(recording.as_str()) });
        }
        if !self.is_done(held) && !held.is_empty() {
            let owed: Vec<SinkName> =
                self.trays.keys().filter(|sink| !held.is_delivered_to(sink)).cloned().collect();
            self.account.tell(
                &*self.files,
                recording,
                What::Dropped { why: why.to_owned(), owed },
                Durable::Now,
            );
            return self.gone(recording);
        }
        self.leave(recording)
    }

    /// Every sink has it. Without sinks that is never so.
    pub(super) fn is_done(&self, held: &Held) -> bool {
        let has_it = |sink| held.is_delivered_to(sink);
        held.sealed.is_some() && !self.trays.is_empty() && self.trays.keys().all(has_it)
    }

    fn leave(&mut self, recording: &RecordingId) -> Result<Leaving, Error> {
        let is_empty = self.book.recordings.get(recording).is_some_and(Held::is_empty);
        let what = match is_empty {
            true => What::Dropped { why: "there is no footage in it".into(), owed: Vec::new() },
            false => What::Removed,
        };
        self.account.tell(&*self.files, recording, what, Durable::Now);
        self.gone(recording)
    }

    fn gone(&mut self, recording: &RecordingId) -> Result<Leaving, Error> {
        let leaving = self.directory.join(format!("{LEAVING}{recording}"));
        match self.files.rename(&self.directory.join(recording.as_str()), &leaving) {
            // It went before, and only the line in the journal is missing.
            Err(error) if error.is_not_found() => {}
            renamed => renamed?,
        }
        self.write(vec![Entry::Left { recording: recording.clone() }], Durable::Now)?;
        self.trays.values_mut().for_each(|tray| tray.forget(recording));
        Ok(Leaving { recording: recording.clone(), folder: leaving })
    }
}
