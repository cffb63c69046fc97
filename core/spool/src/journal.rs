//! An append-only file of entries, from which a state is rebuilt after a crash.
//!
//! A line is an entry: eight hexadecimal digits and a space, then JSON. The digits are the CRC-32 of the
//! JSON. A line whose checksum is wrong is left out. At the end of the file, a crash or a full disk has torn
//! it, and it is cut off before anything is appended. Elsewhere it is damage, and is counted.
//!
//! After a crash, entries that were appended with [`Durability::Later`] are there up to some point: never one
//! of them without those before it, except after damage. When most lines no longer matter, the whole file is
//! written again from the state ([`Journal::rewrite`]).

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::files::{Durability, Files};

pub(crate) struct Journal {
    file: LineFile,
    lines: usize,
}

/// The entries that a journal held.
pub(crate) struct JournalContents<E> {
    pub entries: Vec<E>,
    /// Number of lines with a wrong checksum that have a good line after them.
    pub damaged: usize,
}

impl Journal {
    /// Reads the journal. A missing file is an empty journal.
    pub fn open<E: DeserializeOwned>(
        files: &dyn Files,
        path: PathBuf,
    ) -> Result<(Journal, JournalContents<E>), Error> {
        let bytes = files.read(&path)?.unwrap_or_default();
        let mut read = JournalContents { entries: Vec::new(), damaged: 0 };
        let (mut end, mut good_end, mut bad) = (0, 0, 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            end += line.len();
            match parse(line) {
                Some(entry) => {
                    read.entries.push(entry);
                    read.damaged += std::mem::take(&mut bad);
                    good_end = end;
                }
                None => bad += 1,
            }
        }
        let file = LineFile { path, length: good_end as u64, is_torn: good_end < bytes.len() };
        Ok((Journal { file, lines: read.entries.len() + read.damaged }, read))
    }

    pub fn lines(&self) -> usize {
        self.lines
    }

    /// Appends all entries with one write. After an error none of them counts.
    pub fn append<E: Serialize>(
        &mut self,
        files: &dyn Files,
        entries: &[E],
        durable: Durability,
    ) -> Result<(), Error> {
        let bytes = lines(&self.file.path, entries)?;
        self.file.append(files, &bytes, durable)?;
        self.lines += entries.len();
        Ok(())
    }

    /// Replaces all entries by these, atomically.
    pub fn rewrite<E: Serialize>(&mut self, files: &dyn Files, entries: &[E]) -> Result<(), Error> {
        let bytes = lines(&self.file.path, entries)?;
        files.replace(&self.file.path, &bytes)?;
        (self.file.length, self.file.is_torn) = (bytes.len() as u64, false);
        self.lines = entries.len();
        Ok(())
    }
}

fn lines<E: Serialize>(path: &Path, entries: &[E]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for entry in entries {
        let json = serde_json::to_string(entry)
            .map_err(|error| Error::io("write an entry to", path)(error.into()))?;
        bytes.extend(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes());
    }
    Ok(bytes)
}

fn parse<E: DeserializeOwned>(line: &[u8]) -> Option<E> {
    let (crc, json) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_once(' ')?;
    let is_whole = crc.len() == 8 && u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(json.as_bytes());
    is_whole.then(|| serde_json::from_str(json).ok())?
}

/// A file of whole lines. Whatever a failed append may have left is cut off before the next one.
pub(crate) struct LineFile {
    pub path: PathBuf,
    /// Length in bytes up to which its lines are whole.
    pub length: u64,
    /// There may be more bytes after that.
    pub is_torn: bool,
}

impl LineFile {
    pub fn append(&mut self, files: &dyn Files, bytes: &[u8], durable: Durability) -> Result<(), Error> {
        if self.is_torn {
            files.cut(&self.path, self.length)?;
        }
        self.is_torn = true;
        files.append(&self.path, bytes, durable)?;
        self.is_torn = false;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::disk::Disk;

    fn open(path: &Path) -> (Journal, Vec<String>, usize) {
        let (journal, read) = Journal::open(&Disk::new(), path.to_owned()).unwrap();
        (journal, read.entries, read.damaged)
    }

    fn three(path: &Path) -> Vec<u8> {
        let (mut journal, ..) = open(path);
        journal.append(&Disk::new(), &["one", "two", "three"], Durability::Now).unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn wherever_it_is_torn_whole_entries_stay_and_the_next_is_readable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let bytes = three(&path);
        for length in 0..bytes.len() {
            // A crash may leave zeros in place of bytes.
            for rest in [0, 30] {
                let mut torn = bytes[..length].to_vec();
                torn.resize(length + rest, 0);
                fs::write(&path, &torn).unwrap();
                let whole = torn.iter().filter(|byte| **byte == b'\n').count();
                let (mut journal, entries, damaged) = open(&path);
                assert_eq!(
                    (&entries[..], damaged),
                    (&["one", "two", "three"].map(str::to_owned)[..whole], 0)
                );
                journal.append(&Disk::new(), &["four"], Durability::Now).unwrap();
                let (_, entries, damaged) = open(&path);
                assert_eq!(
                    (entries.len(), entries.last().unwrap().as_str(), damaged),
                    (whole + 1, "four", 0)
                );
            }
        }
    }

    #[test]
    fn a_damaged_line_costs_itself_alone_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut bytes = three(&path);
        let at = bytes.windows(3).position(|bytes| bytes == b"two").unwrap();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let (journal, entries, damaged) = open(&path);
        assert_eq!((entries, damaged, journal.lines()), (vec!["one".to_owned(), "three".to_owned()], 1, 3));
    }

    #[test]
    fn a_rewritten_journal_has_the_given_entries_and_takes_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, ..) = open(&path);
        journal.append(&Disk::new(), &["one", "two"], Durability::Later).unwrap();
        journal.rewrite(&Disk::new(), &["both"]).unwrap();
        journal.append(&Disk::new(), &["three"], Durability::Now).unwrap();
        assert_eq!((open(&path).1, journal.lines()), (vec!["both".to_owned(), "three".to_owned()], 2));
    }
}
