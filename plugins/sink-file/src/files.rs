//! Hashes and compares files, and classifies their errors.

use std::io::{self, Read, Write};

use data_encoding::HEXLOWER;
use deskreel_sdk::prelude::*;
use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal, as the manifest has it.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A reader that hashes the bytes read through it.
pub struct Hashing<R> {
    from: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    pub fn new(from: R) -> Self {
        Hashing { from, hash: Sha256::new() }
    }

    /// Reads the rest, and returns the hash of the whole file.
    pub fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(HEXLOWER.encode(&self.hash.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(buffer)?;
        self.hash.update(buffer.get(..length).unwrap_or_default());
        Ok(length)
    }
}

/// A writer that fails as soon as the written bytes differ from those of a file.
pub struct Comparing<R> {
    with: R,
    there: Vec<u8>,
    pub same: bool,
}

impl<R: Read> Comparing<R> {
    pub fn new(with: R) -> Self {
        Comparing { with, there: Vec::new(), same: true }
    }
}

impl<R: Read> Write for Comparing<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.there.resize(bytes.len(), 0);
        self.same = self.same && self.with.read_exact(&mut self.there).is_ok() && self.there == bytes;
        match self.same {
            true => Ok(bytes.len()),
            false => Err(io::Error::other("the file differs")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The kind of a file error. An impossible name and footage that differs from the manifest are final.
/// Anything else (no room, no rights, an unmounted share, a failing disk) may be repaired before the next
/// try.
pub fn kind_of(error: &io::Error) -> ErrorKind {
    use io::ErrorKind::*;
    match error.kind() {
        InvalidFilename | InvalidInput | IsADirectory | NotADirectory | InvalidData | UnexpectedEof => {
            ErrorKind::Failed
        }
        _ => ErrorKind::Unavailable,
    }
}

/// The kind of an error in reading: a missing file will not come back.
pub fn kind_of_reading(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::Failed,
        _ => kind_of(error),
    }
}
