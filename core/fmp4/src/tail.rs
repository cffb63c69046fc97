//! The samples of a fragment that is not complete yet, in an append-only file.
//!
//! A fragment lasts a second, so a killed worker would lose up to a second. Therefore it appends every sample
//! to the tail as soon as it has it, and starts the tail over when the fragment is on disk. Appending is one
//! `write`, not synced: a process that dies leaves its writes with the kernel. (A power loss takes the tail,
//! and with it at most one fragment, the most that may be lost by our promise.)
//!
//! ```text
//! head    "dkrltail" | fragment number u32 | crc32 of the 12 bytes before
//! record  "smpl" | size u32 | flags u32 | pts u64 | dts u64 | duration u64 | crc32 of all that and the data | data
//! still   "stil" | until u64 | crc32 of the 12 bytes before
//! ```
//!
//! On a still screen no sample comes for long. A still record says up to when the last sample's picture is
//! known to have been shown.
//!
//! Big-endian; times in nanoseconds on the recording's timeline; bit 0 of the flags marks a keyframe. The
//! head names the fragment that the tail will become, so that a tail left beside its complete fragment is
//! recognized. Nothing after the first record that is torn or does not match its checksum counts.

use crc32fast::Hasher;

use crate::Sample;

const MAGIC: [u8; 8] = *b"dkrltail";
const RECORD_MAGIC: [u8; 4] = *b"smpl";
const STILL_MAGIC: [u8; 4] = *b"stil";
const KEYFRAME: u32 = 1;

/// Length of the head, in bytes.
pub const HEAD: usize = 16;
/// Length of a record without its data, in bytes.
pub const RECORD: usize = 40;
/// Length of a still record, in bytes.
pub const STILL: usize = 16;

/// The readable part of a tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail<'a> {
    /// The fragment that these samples would have become.
    pub fragment: u32,
    pub samples: Vec<Sample<'a>>,
    /// The last sample lasts at least until then; 0 if that is unknown.
    pub still_until_ns: u64,
    /// Bytes after the last whole record.
    pub torn: usize,
}

/// The first bytes of a tail, for the fragment of this number.
pub fn tail_head(fragment: u32) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&fragment.to_be_bytes());
    let crc = crc32fast::hash(&head[..12]);
    head[12..].copy_from_slice(&crc.to_be_bytes());
    head
}

/// The bytes before a sample's data. Write the two with one vectored write.
pub fn tail_record(sample: &Sample<'_>) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let size = u32::try_from(sample.data.len()).unwrap_or(u32::MAX);
    record[..4].copy_from_slice(&RECORD_MAGIC);
    record[4..8].copy_from_slice(&size.to_be_bytes());
    record[8..12].copy_from_slice(&if sample.keyframe { KEYFRAME } else { 0 }.to_be_bytes());
    record[12..20].copy_from_slice(&sample.pts_ns.to_be_bytes());
    record[20..28].copy_from_slice(&sample.dts_ns.to_be_bytes());
    record[28..36].copy_from_slice(&sample.duration_ns.to_be_bytes());
    let crc = checksum(&record[..36], sample.data);
    record[36..].copy_from_slice(&crc.to_be_bytes());
    record
}

/// The record that the last sample's picture was shown until then.
pub fn still_record(until_ns: u64) -> [u8; STILL] {
    let mut record = [0; STILL];
    record[..4].copy_from_slice(&STILL_MAGIC);
    record[4..12].copy_from_slice(&until_ns.to_be_bytes());
    let crc = crc32fast::hash(&record[..12]);
    record[12..].copy_from_slice(&crc.to_be_bytes());
    record
}

/// The whole records of a tail, up to the first torn one. `None` if even the head is not ours.
pub fn read_tail(bytes: &[u8]) -> Option<Tail<'_>> {
    let (head, mut rest) = bytes.split_first_chunk::<HEAD>()?;
    let fragment = u32::from_be_bytes(*head.get(8..)?.first_chunk()?);
    if tail_head(fragment) != *head {
        return None;
    }
    let (mut samples, mut still_until_ns) = (Vec::new(), 0);
    loop {
        if let Some((sample, behind)) = record(rest) {
            samples.push(sample);
            rest = behind;
        } else if let Some((until_ns, behind)) = still(rest) {
            still_until_ns = until_ns;
            rest = behind;
        } else {
            return Some(Tail { fragment, samples, still_until_ns, torn: rest.len() });
        }
    }
}

fn still(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (record, behind) = bytes.split_first_chunk::<STILL>()?;
    let until_ns = u64::from_be_bytes(*record.get(4..)?.first_chunk()?);
    (still_record(until_ns) == *record).then_some((until_ns, behind))
}

fn record(bytes: &[u8]) -> Option<(Sample<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<RECORD>()?;
    let number = |at: usize| Some(u32::from_be_bytes(*head.get(at..)?.first_chunk()?));
    let time = |at: usize| Some(u64::from_be_bytes(*head.get(at..)?.first_chunk()?));
    let (data, behind) = rest.split_at_checked(number(4)? as usize)?;
    let intact = head.starts_with(&RECORD_MAGIC) && checksum(&head[..36], data) == number(36)?;
    let keyframe = number(8)? & KEYFRAME != 0;
    let sample = Sample { pts_ns: time(12)?, dts_ns: time(20)?, duration_ns: time(28)?, keyframe, data };
    intact.then_some((sample, behind))
}

fn checksum(head: &[u8], data: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(head);
    hasher.update(data);
    hasher.finalize()
}
