//! At the start: from journal and disk to one state, whatever the last process was doing when it ended.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use deskreel_model::{RecordingId, SinkName};

use super::book::{Book, Entry};
use super::leave::{LEAVING, Leaving};
use super::tray::{Chance, Tray};
use super::{JOURNAL, Outbox, SMALL, content, queue, sealed_manifest};
use crate::Error;
use crate::account::{self, Account, NotBegun, What, fates};
use crate::disk::Disk;
use crate::files::{Durable, Files, own};
use crate::journal::Journal;
use crate::recover::parse_id;

/// Something that was not as the journal had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A sealed recording that the journal did not know. It is in the outbox now, and nobody has released it.
    TakenIn { recording: RecordingId },
    /// It was sealed after the journal's last word on it.
    Sealed { recording: RecordingId },
    /// It has no outcome, though nobody records: recovery could not seal it.
    Unsealed { recording: RecordingId },
    /// It was not delivered everywhere, and is not on disk any more.
    Gone { recording: RecordingId },
    /// It was wanted, and the recorder ended before it began.
    NeverBegan { recording: RecordingId },
    /// What its manifest says cannot be read; it stays where it is and is not delivered.
    Unreadable { recording: RecordingId, reason: String },
    /// Lines of the journal that did not check. What they said is told again where it matters.
    Damaged { lines: usize },
    /// A deleted recording's files that could not be removed. They are tried again at the next start.
    Undeleted { recording: RecordingId, reason: String },
}

impl Outbox {
    /// Takes the spool in `directory` for this process, to deliver to `sinks`. To be called when nothing records
    /// there and [`recover`](crate::recover()) has sealed what it could. `seed` of the jitter differs on each PC.
    pub fn open(directory: &Path, sinks: &[SinkName], seed: u64) -> Result<(Outbox, Vec<Finding>), Error> {
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
    ) -> Result<(Outbox, Vec<Finding>), Error> {
        let (journal, read) = Journal::open::<Entry>(&*files, directory.join(JOURNAL))?;
        let mut book = Book::default();
        read.entries.into_iter().for_each(|entry| book.apply(entry));
        let mut outbox = Outbox {
            directory: directory.to_owned(),
            account: Account::open(&*files, directory)?,
            files,
            journal,
            book,
            trays: sinks.iter().map(|sink| (sink.clone(), Tray::default())).collect(),
            leaving: BTreeSet::new(),
            unwritten: Vec::new(),
            chance: Chance(seed),
            rewrite_at: SMALL,
            small: SMALL,
            _owned: None,
        };
        let mut findings = Vec::new();
        if read.damaged > 0 {
            findings.push(Finding::Damaged { lines: read.damaged });
        }
        outbox.compare_with_disk(&mut findings)?;
        outbox.explain(&mut findings)?;
        Ok((outbox, findings))
    }

    fn compare_with_disk(&mut self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        let names = self.files.names(&self.directory)?;
        for name in &names {
            if let Some((recording, _)) = name.strip_prefix(LEAVING).and_then(parse_id) {
                self.note(Entry::Left { recording: recording.clone() });
                let leaving = Leaving { recording: recording.clone(), folder: self.directory.join(name) };
                if let Err(error) = leaving.delete_with(&*self.files) {
                    findings.push(Finding::Undeleted { recording, reason: error.to_string() });
                }
            }
        }
        let lost: Vec<RecordingId> = self
            .book
            .recordings
            .keys()
            .filter(|id| !names.iter().any(|name| name == id.as_str()))
            .cloned()
            .collect();
        for recording in lost {
            let owed = self.trays.keys().cloned().collect();
            let what = What::Dropped { why: "its folder is gone".into(), owed };
            self.account.tell(&*self.files, &recording, what, Durable::Now);
            self.note(Entry::Left { recording: recording.clone() });
            findings.push(Finding::Gone { recording });
        }
        for (recording, _) in names.iter().filter_map(|name| parse_id(name)) {
            let held = self.book.recordings.get(&recording);
            let is_known = held.is_some();
            if held.is_some_and(|held| held.sealed.is_some())
                || (!is_known && self.files.is_owned(&self.directory.join(recording.as_str())))
            {
                continue;
            }
            findings.extend(self.take_in(recording, is_known));
        }
        Ok(())
    }

    /// A folder that the journal does not know, or knows as running.
    fn take_in(&mut self, recording: RecordingId, is_known: bool) -> Option<Finding> {
        match sealed_manifest(&*self.files, &self.directory, &recording) {
            Ok((manifest, _)) if manifest.recording != recording => {
                let reason = format!("it says that it is {}", manifest.recording);
                Some(Finding::Unreadable { recording, reason })
            }
            Ok((manifest, outcome)) => {
                let content = content(&queue(&manifest, None));
                let what = account::sealed(&manifest, outcome, content.bytes);
                self.account.tell(&*self.files, &recording, what, Durable::Later);
                self.note(Entry::Sealed { recording: recording.clone(), content });
                Some(match is_known {
                    true => Finding::Sealed { recording },
                    false => Finding::TakenIn { recording },
                })
            }
            Err(Error::Unsealed { .. }) => is_known.then_some(Finding::Unsealed { recording }),
            Err(error) => Some(Finding::Unreadable { recording, reason: error.to_string() }),
        }
    }

    /// Whatever the account expects and the spool has not, gets its last line.
    fn explain(&mut self, findings: &mut Vec<Finding>) -> Result<(), Error> {
        for (recording, fate) in fates(&account::newest(&*self.files, &self.directory)?) {
            let is_there = self.book.recordings.contains_key(&recording)
                || self.files.read(&self.directory.join(recording.as_str()).join("manifest.json"))?.is_some();
            if fate.is_told() || is_there {
                continue;
            }
            let what = match fate.began {
                false => What::NotBegun {
                    cause: NotBegun::RecorderEnded,
                    detail: "the recorder ended before the recording began".into(),
                },
                true => What::Dropped {
                    why: "it is not in the spool, and the recorder ended before it could say why".into(),
                    owed: Vec::new(),
                },
            };
            let began = fate.began;
            self.account.tell(&*self.files, &recording, what, Durable::Now);
            findings.push(if began {
                Finding::Gone { recording }
            } else {
                Finding::NeverBegan { recording }
            });
        }
        Ok(())
    }

    /// What was read off the disk counts even if there is no room to write it down.
    fn note(&mut self, entry: Entry) {
        if self.write(vec![entry.clone()], Durable::Now).is_err() {
            self.book.apply(entry.clone());
            self.unwritten.push(entry);
        }
    }
}

/// For a log.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::TakenIn { recording } => {
                write!(f, "{recording} was not in the journal; it is delivered too")
            }
            Finding::Sealed { recording } => {
                write!(f, "{recording} was sealed, and the journal did not know")
            }
            Finding::Unsealed { recording } => write!(f, "{recording} could not be sealed, and stays"),
            Finding::Gone { recording } => {
                write!(f, "{recording} is not in the spool any more, and not every sink has it")
            }
            Finding::NeverBegan { recording } => {
                write!(f, "{recording} was wanted, and the recorder ended before it began")
            }
            Finding::Unreadable { recording, reason } => {
                write!(f, "{recording} cannot be delivered: its manifest cannot be read: {reason}")
            }
            Finding::Damaged { lines } => write!(f, "{lines} lines of the journal are damaged"),
            Finding::Undeleted { recording, reason } => {
                write!(f, "what is left of {recording} cannot be deleted: {reason}")
            }
        }
    }
}
