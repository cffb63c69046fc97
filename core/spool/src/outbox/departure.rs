//! Removes recordings from the spool. The outbox's documentation lists the steps.

use std::path::PathBuf;

use deskreel_model::RecordingId;

use super::journal_state::{JournalEntry, SpooledRecording};
use super::{Outbox, unknown};
use crate::Error;
use crate::account::AccountEvent;
use crate::disk::Disk;
use crate::files::{Durability, Files};

/// Prefix of the name of a folder that is being deleted; the id follows.
pub(super) const LEAVING: &str = ".deleting-";

/// The folder of a recording that has left the spool. If this is dropped without `delete`, the folder is
/// deleted at the next start.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Departure {
    pub recording: RecordingId,
    pub(super) folder: PathBuf,
}

impl Departure {
    /// Deletes the folder. Apart from the outbox, since it may take a second for a recording of hours.
    pub fn delete(self) -> Result<(), Error> {
        self.delete_with(&Disk::new())
    }

    pub(super) fn delete_with(self, files: &dyn Files) -> Result<(), Error> {
        files.remove_tree(&self.folder)
    }
}

impl Outbox {
    /// Takes out of the spool the recordings that every sink has, and those without footage. An error
    /// concerns one recording, which stays for another call.
    pub fn take_out(&mut self) -> Vec<Result<Departure, Error>> {
        let leaves = |(id, spooled): &(&RecordingId, &SpooledRecording)| {
            self.is_done(spooled) || spooled.is_empty() || self.leaving.contains(id)
        };
        let done = self.state.recordings.iter().filter(leaves);
        let done: Vec<RecordingId> = done.map(|(recording, _)| recording.clone()).collect();
        done.iter().map(|recording| self.leave(recording, "")).collect()
    }

    /// Takes out a sealed recording for lack of room, even if some sink does not have it. A running one is
    /// refused. After an error the recording is no longer delivered, and [`take_out`](Self::take_out) tries
    /// again.
    pub fn evict(&mut self, recording: &RecordingId, why: &str) -> Result<Departure, Error> {
        let spooled = self.state.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        if spooled.sealed.is_none() {
            return Err(Error::Unsealed { path: self.directory.join(recording.as_str()) });
        }
        self.leave(recording, why)
    }

    /// Returns whether every sink has it; false without sinks.
    pub(super) fn is_done(&self, spooled: &SpooledRecording) -> bool {
        let has_it = |sink| spooled.is_delivered_to(sink);
        spooled.sealed.is_some() && !self.backlogs.is_empty() && self.backlogs.keys().all(has_it)
    }

    /// `why` is for the account, if some sink does not have the recording.
    fn leave(&mut self, recording: &RecordingId, why: &str) -> Result<Departure, Error> {
        let spooled = self.state.recordings.get(recording).ok_or_else(|| unknown(recording))?;
        let what = if spooled.is_empty() {
            AccountEvent::Dropped { why: "there is no footage in it".into(), owed: Vec::new() }
        } else if self.is_done(spooled) {
            AccountEvent::Removed
        } else {
            let owed = self.backlogs.keys().filter(|sink| !spooled.is_delivered_to(sink));
            AccountEvent::Dropped { why: why.to_owned(), owed: owed.cloned().collect() }
        };
        if self.leaving.insert(recording.clone()) {
            self.account.write(&*self.files, recording, what, Durability::Now);
        }
        let leaving = self.directory.join(format!("{LEAVING}{recording}"));
        match self.files.rename(&self.directory.join(recording.as_str()), &leaving) {
            // It was renamed before, and only the line in the journal is missing.
            Err(error) if error.is_not_found() => {}
            renamed => renamed?,
        }
        self.write(vec![JournalEntry::Left { recording: recording.clone() }], Durability::Now)?;
        self.leaving.remove(recording);
        self.backlogs.values_mut().for_each(|backlog| backlog.forget(recording));
        Ok(Departure { recording: recording.clone(), folder: leaving })
    }
}
