//! Opening the outbox: makes journal and disk agree, whatever the last process was doing when it ended.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use deskreel_model::{RecordingId, SinkName};

use super::departure::{Departure, LEAVING};
use super::journal_state::{JournalEntry, JournalState};
use super::sink_backlog::{Jitter, SinkBacklog};
use super::{JOURNAL, Outbox, SMALL, content, queue, sealed_manifest};
use crate::Error;
use crate::account::{self, Account, AccountEvent, NoStartCause, fates};
use crate::disk::Disk;
use crate::files::{Durability, Files};
use crate::journal::Journal;
use crate::recording_dir::own;
use crate::recover::parse_id;

/// A difference between the journal and the disk at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartupFinding {
    /// A sealed recording that the journal did not know. It is in the outbox now, not yet released.
    TakenIn { recording: RecordingId },
    /// It was sealed after the journal's last entry on it.
    Sealed { recording: RecordingId },
    /// It has no outcome although nothing records it: recovery could not seal it.
    Unsealed { recording: RecordingId },
    /// It was not delivered to every sink, and is no longer on disk.
    Gone { recording: RecordingId },
    /// It was wanted, and the recorder ended before it began.
    NeverBegan { recording: RecordingId },
    /// Its manifest cannot be read; it stays in its place and is not delivered.
    Unreadable { recording: RecordingId, reason: String },
    /// Lines of the journal with a wrong checksum. Their content is found out again if it matters.
    Damaged { lines: usize },
    /// Files of a deleted recording that could not be removed. The next start tries again.
    Undeleted { recording: RecordingId, reason: String },
}

impl Outbox {
    /// Takes ownership of the spool in `directory`, to deliver to `sinks`. Call it when nothing records there
    /// and [`recover`](crate::recover()) has sealed everything it could. `seed` is for the jitter and differs
    /// on each PC.
    pub fn open(
        directory: &Path,
        sinks: &[SinkName],
        seed: u64,
    ) -> Result<(Outbox, Vec<StartupFinding>), Error> {
        std::fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        let owned = own(directory)?;
        let (mut outbox, findings) = Outbox::open_with(Box::new(Disk::new()), directory, sinks, seed)?;
        outbox._owned = Some(owned);
        Ok((outbox, findings))
    }

    pub(super) fn open_with(
        files: Box<dyn Files>,
        directory: &Path,
        sinks: &[SinkName],
        seed: u64,
    ) -> Result<(Outbox, Vec<StartupFinding>), Error> {
        let (journal, read) = Journal::open::<JournalEntry>(&*files, directory.join(JOURNAL))?;
        let mut state = JournalState::default();
        read.entries.into_iter().for_each(|entry| state.apply(entry));
        let mut outbox = Outbox {
            directory: directory.to_owned(),
            account: Account::open(&*files, directory)?,
            files,
            journal,
            state,
            backlogs: sinks.iter().map(|sink| (sink.clone(), SinkBacklog::default())).collect(),
            leaving: BTreeSet::new(),
            unwritten: Vec::new(),
            chance: Jitter(seed),
            rewrite_at: SMALL,
            small: SMALL,
            _owned: None,
        };
        let mut findings = Vec::new();
        if read.damaged > 0 {
            findings.push(StartupFinding::Damaged { lines: read.damaged });
        }
        outbox.compare_with_disk(&mut findings)?;
        outbox.explain(&mut findings)?;
        Ok((outbox, findings))
    }

    fn compare_with_disk(&mut self, findings: &mut Vec<StartupFinding>) -> Result<(), Error> {
        let names = self.files.names(&self.directory)?;
        for name in &names {
            if let Some((recording, _)) = name.strip_prefix(LEAVING).and_then(parse_id) {
                self.note(JournalEntry::Left { recording: recording.clone() });
                let leaving = Departure { recording: recording.clone(), folder: self.directory.join(name) };
                if let Err(error) = leaving.delete_with(&*self.files) {
                    findings.push(StartupFinding::Undeleted { recording, reason: error.to_string() });
                }
            }
        }
        let lost: Vec<RecordingId> = self
            .state
            .recordings
            .keys()
            .filter(|id| !names.iter().any(|name| name == id.as_str()))
            .cloned()
            .collect();
        for recording in lost {
            let owed = self.backlogs.keys().cloned().collect();
            let what = AccountEvent::Dropped { why: "its folder is gone".into(), owed };
            self.account.write(&*self.files, &recording, what, Durability::Now);
            self.note(JournalEntry::Left { recording: recording.clone() });
            findings.push(StartupFinding::Gone { recording });
        }
        for (recording, _) in names.iter().filter_map(|name| parse_id(name)) {
            let spooled = self.state.recordings.get(&recording);
            let is_known = spooled.is_some();
            if spooled.is_some_and(|spooled| spooled.sealed.is_some())
                || (!is_known && self.files.is_owned(&self.directory.join(recording.as_str())))
            {
                continue;
            }
            findings.extend(self.take_in(recording, is_known));
        }
        Ok(())
    }

    /// Handles a folder that the journal does not know, or knows as running.
    fn take_in(&mut self, recording: RecordingId, is_known: bool) -> Option<StartupFinding> {
        match sealed_manifest(&*self.files, &self.directory, &recording) {
            Ok((manifest, _)) if manifest.recording != recording => {
                let reason = format!("it says that it is {}", manifest.recording);
                Some(StartupFinding::Unreadable { recording, reason })
            }
            Ok((manifest, outcome)) => {
                let content = content(&queue(&manifest, None));
                let what = account::sealed(&manifest, outcome, content.bytes);
                self.account.write(&*self.files, &recording, what, Durability::Later);
                self.note(JournalEntry::Sealed { recording: recording.clone(), content });
                Some(match is_known {
                    true => StartupFinding::Sealed { recording },
                    false => StartupFinding::TakenIn { recording },
                })
            }
            Err(Error::Unsealed { .. }) => is_known.then_some(StartupFinding::Unsealed { recording }),
            Err(error) => Some(StartupFinding::Unreadable { recording, reason: error.to_string() }),
        }
    }

    /// Writes the last line for each recording that the account expects and the spool does not have.
    fn explain(&mut self, findings: &mut Vec<StartupFinding>) -> Result<(), Error> {
        for (recording, fate) in fates(&account::newest(&*self.files, &self.directory)?) {
            let is_there = self.state.recordings.contains_key(&recording)
                || self.files.read(&self.directory.join(recording.as_str()).join("manifest.json"))?.is_some();
            if fate.is_explained() || is_there {
                continue;
            }
            let what = match fate.began {
                false => AccountEvent::NotBegun {
                    cause: NoStartCause::RecorderEnded,
                    detail: "the recorder ended before the recording began".into(),
                },
                true => AccountEvent::Dropped {
                    why: "it is not in the spool, and the recorder ended before it could say why".into(),
                    owed: Vec::new(),
                },
            };
            let began = fate.began;
            self.account.write(&*self.files, &recording, what, Durability::Now);
            findings.push(if began {
                StartupFinding::Gone { recording }
            } else {
                StartupFinding::NeverBegan { recording }
            });
        }
        Ok(())
    }

    /// Applies a finding on disk; it counts even if there is no room to record it.
    fn note(&mut self, entry: JournalEntry) {
        if self.write(vec![entry.clone()], Durability::Now).is_err() {
            self.state.apply(entry.clone());
            self.unwritten.push(entry);
        }
    }
}

/// The text is for a log.
impl fmt::Display for StartupFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartupFinding::TakenIn { recording } => {
                write!(f, "{recording} was not in the journal; it is delivered too")
            }
            StartupFinding::Sealed { recording } => {
                write!(f, "{recording} was sealed without an entry in the journal")
            }
            StartupFinding::Unsealed { recording } => write!(f, "{recording} could not be sealed, and stays"),
            StartupFinding::Gone { recording } => {
                write!(f, "{recording} is no longer in the spool, and not every sink has it")
            }
            StartupFinding::NeverBegan { recording } => {
                write!(f, "{recording} was wanted, and the recorder ended before it began")
            }
            StartupFinding::Unreadable { recording, reason } => {
                write!(f, "{recording} cannot be delivered: its manifest cannot be read: {reason}")
            }
            StartupFinding::Damaged { lines } => write!(f, "{lines} lines of the journal are damaged"),
            StartupFinding::Undeleted { recording, reason } => {
                write!(f, "the rest of {recording} cannot be deleted: {reason}")
            }
        }
    }
}
