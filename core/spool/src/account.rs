//! The account of wanted recordings: the fate of each one that was commanded. Every one of them is in the
//! spool, is with its sinks, or has a line here that says why not.
//!
//! `<directory>/account.jsonl` has one JSON object a line, in the order of time, for people and programs to
//! read. It is never rewritten: at 10 MB it becomes `account.jsonl.1`, that one becomes `.2`, and the former
//! `.5` is deleted. A crash may leave a line twice, since a line is written before the journal records that
//! it was. A line that could not be written, for lack of room, waits in memory and is written before the next
//! one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deskreel_model::manifest::{FrameCounts, Outcome, Track};
use deskreel_model::{Manifest, RecordingId, SinkName, Utc};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::disk::Disk;
use crate::files::{Durability, Files};
use crate::journal::LineFile;

pub const ACCOUNT: &str = "account.jsonl";
/// Size in bytes at which a new file begins: about 60 000 lines, months of calls.
const ROTATE_AT: u64 = 10_000_000;
/// Number of older files that are kept.
const KEPT: u32 = 5;
/// Most lines that wait in memory; beyond that, the oldest is dropped. A disk that stays full must not fill
/// the memory.
const WAITING: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountLine {
    pub at: Utc,
    pub recording: RecordingId,
    #[serde(flatten)]
    pub what: AccountEvent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum AccountEvent {
    /// A recording is wanted; from here on it is expected.
    Commanded {
        agent: Option<String>,
        why: String,
    },
    /// The recording has a folder.
    Began,
    NotBegun {
        cause: NoStartCause,
        detail: String,
    },
    Sealed {
        outcome: Outcome,
        /// Counts of all tracks together.
        frames: FrameCounts,
        gaps: u64,
        /// Length of all gaps together, in milliseconds.
        gaps_ms: u64,
        /// Bytes of headers and fragments.
        bytes: u64,
    },
    Delivered {
        sink: SinkName,
        place: String,
    },
    /// The sink will never take the recording, which stays in the spool.
    Refused {
        sink: SinkName,
        reason: String,
    },
    /// The recording left the spool although a sink did not have it, or because it had no footage.
    Dropped {
        why: String,
        /// Sinks that did not have it.
        owed: Vec<SinkName>,
    },
    /// Every sink has the recording, and it has left the spool.
    Removed,
}

/// Why a recording that was wanted did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoStartCause {
    /// Too little room on the disk.
    Disk,
    /// The spool holds as much as it may.
    Quota,
    Worker,
    Plugin,
    Config,
    /// The recorder ended before the recording began.
    RecorderEnded,
}

/// The fate of one recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fate {
    pub began: bool,
    pub not_begun: Option<NoStartCause>,
    pub sealed: Option<Outcome>,
    /// The place at each sink that has it.
    pub delivered: BTreeMap<SinkName, String>,
    pub refused: BTreeMap<SinkName, String>,
    pub dropped: Option<String>,
    pub removed: bool,
}

impl Fate {
    /// Returns whether it is with its sinks, or a line says why not. Otherwise it has to be in the spool.
    pub fn is_explained(&self) -> bool {
        self.removed || self.dropped.is_some() || self.not_begun.is_some()
    }
}

pub fn fates(lines: &[AccountLine]) -> BTreeMap<RecordingId, Fate> {
    let mut fates: BTreeMap<RecordingId, Fate> = BTreeMap::new();
    for AccountLine { recording, what, .. } in lines {
        let fate = fates.entry(recording.clone()).or_default();
        match what.clone() {
            AccountEvent::Commanded { .. } => {}
            AccountEvent::Began => fate.began = true,
            AccountEvent::NotBegun { cause, .. } => fate.not_begun = Some(cause),
            AccountEvent::Sealed { outcome, .. } => fate.sealed = Some(outcome),
            AccountEvent::Delivered { sink, place } => drop(fate.delivered.insert(sink, place)),
            AccountEvent::Refused { sink, reason } => drop(fate.refused.insert(sink, reason)),
            AccountEvent::Dropped { why, .. } => fate.dropped = Some(why),
            AccountEvent::Removed => fate.removed = true,
        }
    }
    fates
}

/// Reads every line that still exists, oldest first. Lines that cannot be read are left out.
pub fn read(directory: &Path) -> Result<Vec<AccountLine>, Error> {
    read_with(&Disk::new(), directory, KEPT)
}

/// Reads the two newest files: they have every recording whose fate may still be open at a start.
pub(crate) fn newest(files: &dyn Files, directory: &Path) -> Result<Vec<AccountLine>, Error> {
    read_with(files, directory, 1)
}

fn read_with(files: &dyn Files, directory: &Path, oldest: u32) -> Result<Vec<AccountLine>, Error> {
    let path = directory.join(ACCOUNT);
    let mut lines = Vec::new();
    for path in (1..=oldest).rev().map(|age| aged(&path, age)).chain([path.clone()]) {
        let bytes = files.read(&path)?.unwrap_or_default();
        // A line without its end is torn, and is cut off before the next is written, even if it can be read.
        let whole = bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        lines.extend(whole.filter_map(|line| serde_json::from_slice(line).ok()));
    }
    Ok(lines)
}

fn aged(path: &Path, age: u32) -> PathBuf {
    path.with_added_extension(age.to_string())
}

pub(crate) struct Account {
    file: LineFile,
    rotate_at: u64,
    /// Lines that could not be written yet.
    waiting: Vec<String>,
}

impl Account {
    pub fn open(files: &dyn Files, directory: &Path) -> Result<Account, Error> {
        let path = directory.join(ACCOUNT);
        let bytes = files.read(&path)?.unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let file = LineFile { path, length: whole as u64, is_torn: whole < bytes.len() };
        Ok(Account { file, rotate_at: ROTATE_AT, waiting: Vec::new() })
    }

    /// Writes a line now or, if that fails, with the next one: an account that cannot be written must not
    /// stop a recording.
    pub fn write(
        &mut self,
        files: &dyn Files,
        recording: &RecordingId,
        what: AccountEvent,
        durable: Durability,
    ) {
        let at = Utc(jiff::Timestamp::now());
        let line = AccountLine { at, recording: recording.clone(), what };
        if let Ok(json) = serde_json::to_string(&line) {
            self.waiting.push(json + "\n");
        }
        if self.waiting.len() > WAITING {
            self.waiting.remove(0);
        }
        // Lines that are left waiting are tried again; `waiting` counts them.
        let _ = self.write_waiting(files, durable);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn write_waiting(&mut self, files: &dyn Files, durable: Durability) -> Result<(), Error> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        if self.file.length >= self.rotate_at {
            self.rotate(files)?;
        }
        self.file.append(files, self.waiting.concat().as_bytes(), durable)?;
        self.waiting.clear();
        Ok(())
    }

    /// Renames the oldest file first, so that a crash in between leaves a number out, and no file twice.
    fn rotate(&mut self, files: &dyn Files) -> Result<(), Error> {
        let path = self.file.path.clone();
        if self.file.is_torn {
            files.cut(&path, self.file.length)?;
        }
        for age in (1..KEPT).rev() {
            match files.rename(&aged(&path, age), &aged(&path, age + 1)) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        files.rename(&path, &aged(&path, 1))?;
        self.file = LineFile { path, length: 0, is_torn: false };
        Ok(())
    }
}

/// The event for a sealed recording, from its manifest.
pub(crate) fn sealed(manifest: &Manifest, outcome: Outcome, bytes: u64) -> AccountEvent {
    let frames = manifest.tracks.iter().map(Track::frames).fold(FrameCounts::default(), |a, b| FrameCounts {
        captured: a.captured + b.captured,
        encoded: a.encoded + b.encoded,
        skipped: a.skipped + b.skipped,
        lost: a.lost + b.lost,
    });
    let gaps = manifest.tracks.iter().flat_map(|track| &track.gaps);
    let gaps_ms = gaps.clone().map(|gap| (gap.to - gap.from).as_millis() as u64).sum();
    AccountEvent::Sealed { outcome, frames, gaps: gaps.count() as u64, gaps_ms, bytes }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn recording(name: &str) -> RecordingId {
        serde_json::from_value(name.into()).unwrap()
    }

    fn tell(account: &mut Account, number: u64) {
        let what = AccountEvent::Commanded { agent: None, why: "a call".into() };
        account.write(&Disk::new(), &recording(&number.to_string()), what, Durability::Now);
    }

    #[test]
    fn it_begins_a_new_file_when_one_is_full_and_keeps_five() {
        let folder = tempfile::tempdir().unwrap();
        let mut account = Account::open(&Disk::new(), folder.path()).unwrap();
        account.rotate_at = 150;
        (0..20).for_each(|number| tell(&mut account, number));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6);
        let names: Vec<String> =
            read(folder.path()).unwrap().iter().map(|line| line.recording.to_string()).collect();
        // Two lines a file.
        let kept: Vec<String> = (8..20).map(|number| number.to_string()).collect();
        assert_eq!(names, kept);
    }

    #[test]
    fn a_line_without_room_waits_for_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let mut account = Account::open(&Disk::new(), folder.path()).unwrap();
        fs::create_dir(folder.path().join(ACCOUNT)).unwrap();
        tell(&mut account, 1);
        assert_eq!(account.waiting(), 1);
        fs::remove_dir(folder.path().join(ACCOUNT)).unwrap();
        tell(&mut account, 2);
        assert_eq!((account.waiting(), read(folder.path()).unwrap().len()), (0, 2));
    }

    #[test]
    fn a_torn_line_is_cut_and_a_fate_follows_from_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        tell(&mut Account::open(&Disk::new(), folder.path()).unwrap(), 1);
        let path = folder.path().join(ACCOUNT);
        let whole = fs::read(&path).unwrap();
        let lines_after = |rest: &[u8]| {
            fs::write(&path, [&whole[..], rest].concat()).unwrap();
            read(folder.path()).unwrap().len()
        };
        assert_eq!([lines_after(&whole[..whole.len() - 1]), lines_after(&whole[..20])], [1, 1]);
        let mut account = Account::open(&Disk::new(), folder.path()).unwrap();
        let full = AccountEvent::NotBegun { cause: NoStartCause::Disk, detail: "12 MB are left".into() };
        account.write(&Disk::new(), &recording("2"), full, Durability::Now);
        let fates = fates(&read(folder.path()).unwrap());
        assert_eq!(fates.len(), 2);
        assert!(!fates[&recording("1")].is_explained() && fates[&recording("2")].is_explained());
    }
}
