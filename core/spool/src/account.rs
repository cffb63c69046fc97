//! The account of expected recordings: for each one that was commanded, what became of it, so that every one is there
//! or it says why not.
//!
//! `<directory>/account.jsonl` has one JSON object a line, in the order of time, and is for people and programs to
//! read. It is never rewritten: at 10 MB it becomes `account.jsonl.1`, that becomes `.2`, and what was `.5` goes. A
//! crash may leave a line twice, since a line is written before the journal says that it was. A line that could not
//! be written (no room) waits in memory and goes before the next one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deskreel_model::manifest::{FrameCounts, Outcome, Track};
use deskreel_model::{Manifest, RecordingId, SinkName, Utc};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::disk::Disk;
use crate::files::{Durable, Files};
use crate::journal::LineFile;

pub const ACCOUNT: &str = "account.jsonl";
/// Bytes at which a new file begins; about 60 000 lines, months of calls.
const ROTATE_AT: u64 = 10_000_000;
/// Older files that are kept.
const KEPT: u32 = 5;
/// Lines that wait at most; beyond, the oldest goes. A disk that stays full must not fill the memory.
const WAITING: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub at: Utc,
    pub recording: RecordingId,
    #[serde(flatten)]
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A recording was wanted; from here on it is expected.
    Commanded {
        agent: Option<String>,
        why: String,
    },
    /// It has a folder.
    Began,
    NotBegun {
        cause: NotBegun,
        detail: String,
    },
    Sealed {
        outcome: Outcome,
        /// Of all tracks together.
        frames: FrameCounts,
        gaps: u64,
        /// Milliseconds of all gaps.
        gaps_ms: u64,
        /// Of headers and fragments.
        bytes: u64,
    },
    Delivered {
        sink: SinkName,
        place: String,
    },
    /// The sink will never take it; it stays in the spool.
    Refused {
        sink: SinkName,
        reason: String,
    },
    /// It left the spool though somebody had not got it, or nobody could.
    Dropped {
        why: String,
        /// Who had not got it.
        owed: Vec<SinkName>,
    },
    /// Every sink has it, and it has left the spool.
    Removed,
}

/// Why a recording that was wanted did not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotBegun {
    /// Too little room on the disk.
    Disk,
    /// The spool has all that it may hold.
    Quota,
    Worker,
    Plugin,
    Config,
    /// The recorder ended first.
    RecorderEnded,
}

/// What became of one recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fate {
    pub began: bool,
    pub not_begun: Option<NotBegun>,
    pub sealed: Option<Outcome>,
    /// Where each sink has it.
    pub delivered: BTreeMap<SinkName, String>,
    pub refused: BTreeMap<SinkName, String>,
    pub dropped: Option<String>,
    pub removed: bool,
}

impl Fate {
    /// It is with its sinks, or there is a sentence that says why not. Otherwise it has to be in the spool.
    pub fn is_told(&self) -> bool {
        self.removed || self.dropped.is_some() || self.not_begun.is_some()
    }
}

pub fn fates(lines: &[Line]) -> BTreeMap<RecordingId, Fate> {
    let mut fates: BTreeMap<RecordingId, Fate> = BTreeMap::new();
    for Line { recording, what, .. } in lines {
        let fate = fates.entry(recording.clone()).or_default();
        match what.clone() {
            What::Commanded { .. } => {}
            What::Began => fate.began = true,
            What::NotBegun { cause, .. } => fate.not_begun = Some(cause),
            What::Sealed { outcome, .. } => fate.sealed = Some(outcome),
            What::Delivered { sink, place } => drop(fate.delivered.insert(sink, place)),
            What::Refused { sink, reason } => drop(fate.refused.insert(sink, reason)),
            What::Dropped { why, .. } => fate.dropped = Some(why),
            What::Removed => fate.removed = true,
        }
    }
    fates
}

/// Every line that there still is, oldest first. What is no line is left out.
pub fn read(directory: &Path) -> Result<Vec<Line>, Error> {
    read_with(&Disk::new(), directory, KEPT)
}

/// Of the two newest files: what may still be open at a start.
pub(crate) fn newest(files: &dyn Files, directory: &Path) -> Result<Vec<Line>, Error> {
    read_with(files, directory, 1)
}

fn read_with(files: &dyn Files, directory: &Path, oldest: u32) -> Result<Vec<Line>, Error> {
    let path = directory.join(ACCOUNT);
    let mut lines = Vec::new();
    for path in (1..=oldest).rev().map(|age| aged(&path, age)).chain([path.clone()]) {
        let bytes = files.read(&path)?.unwrap_or_default();
        // A line without its end is torn, and cut off before the next is written, even if it reads.
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
    /// Could not be written yet.
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

    /// Writes a line now or, where that fails, with the next one: what is told here must not stop what is done.
    pub fn tell(&mut self, files: &dyn Files, recording: &RecordingId, what: What, durable: Durable) {
        let at = Utc(jiff::Timestamp::now());
        let line = Line { at, recording: recording.clone(), what };
        if let Ok(json) = serde_json::to_string(&line) {
            self.waiting.push(json + "\n");
        }
        if self.waiting.len() > WAITING {
            self.waiting.remove(0);
        }
        // What is left waiting is tried again; `waiting` tells how much that is.
        let _ = self.write_waiting(files, durable);
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn write_waiting(&mut self, files: &dyn Files, durable: Durable) -> Result<(), Error> {
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

    /// From the oldest on, so that a crash in between leaves a number out and no file twice.
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

/// What its manifest says of a sealed recording.
pub(crate) fn sealed(manifest: &Manifest, outcome: Outcome, bytes: u64) -> What {
    let frames = manifest.tracks.iter().map(Track::frames).fold(FrameCounts::default(), |a, b| FrameCounts {
        captured: a.captured + b.captured,
        encoded: a.encoded + b.encoded,
        skipped: a.skipped + b.skipped,
        lost: a.lost + b.lost,
    });
    let gaps = manifest.tracks.iter().flat_map(|track| &track.gaps);
    let gaps_ms = gaps.clone().map(|gap| (gap.to - gap.from).as_millis() as u64).sum();
    What::Sealed { outcome, frames, gaps: gaps.count() as u64, gaps_ms, bytes }
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
        let what = What::Commanded { agent: None, why: "a call".into() };
        account.tell(&Disk::new(), &recording(&number.to_string()), what, Durable::Now);
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
    fn a_line_that_finds_no_room_waits_for_the_next() {
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
    fn a_torn_line_is_cut_and_a_fate_is_told_by_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        tell(&mut Account::open(&Disk::new(), folder.path()).unwrap(), 1);
        let path = folder.path().join(ACCOUNT);
        let whole = fs::read(&path).unwrap();
        let told = |rest: &[u8]| {
            fs::write(&path, [&whole[..], rest].concat()).unwrap();
            read(folder.path()).unwrap().len()
        };
        assert_eq!([told(&whole[..whole.len() - 1]), told(&whole[..20])], [1, 1]);
        let mut account = Account::open(&Disk::new(), folder.path()).unwrap();
        let full = What::NotBegun { cause: NotBegun::Disk, detail: "12 MB are left".into() };
        account.tell(&Disk::new(), &recording("2"), full, Durable::Now);
        let fates = fates(&read(folder.path()).unwrap());
        assert_eq!(fates.len(), 2);
        assert!(!fates[&recording("1")].is_told() && fates[&recording("2")].is_told());
    }
}
