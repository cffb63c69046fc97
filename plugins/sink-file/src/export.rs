//! Puts the file together: `ftyp`, `moov`, `mdat`, in this order, so that a player can start before it has all.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use deskreel_sdk::prelude::*;
use mp4_atom::{Encode, Ftyp, Moov, ReadFrom};

use crate::media::{self, Chunk, Media};
use crate::movie::{moov, recording_of};
use crate::recording::Recording;

/// Size, name and 64-bit size.
const MDAT_HEADER: u64 = 16;

/// Writes the recording to `path`, atomically. What lies there already is replaced only if it is an earlier export of
/// the same recording, or if `overwrite` says so.
pub fn export(directory: &Path, recording: &Recording, path: &Path, overwrite: bool) -> Result<()> {
    let mut tracks = Vec::new();
    for track in &recording.tracks {
        tracks.extend(media::read(directory, &track.parts)?);
    }
    if tracks.is_empty() {
        return Err(PluginError::failed("the recording has no footage"));
    }
    let plan = Plan::new(&recording.recording, &tracks)?;
    match existing(path) {
        Existing::None => {}
        Existing::Recording(id) if id == recording.recording => {
            // The same recording gives the same bytes, so equal tables and length mean that it is here already.
            if plan.is_in(path) {
                return Ok(());
            }
        }
        _ if overwrite => {}
        Existing::Recording(id) => {
            let message = format!("{} holds recording {id}; set `overwrite` to replace it", path.display());
            return Err(PluginError::settings(message));
        }
        Existing::Foreign => {
            let message = format!(
                "{} is there and is no export of this recording; set `overwrite` to replace it",
                path.display()
            );
            return Err(PluginError::settings(message));
        }
    }
    plan.write(path)
        .map_err(|error| PluginError::new(kind_of(&error), format!("{}: {error}", path.display())))
}

/// No room may be there later; what else can go wrong with a file is for people.
fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Unavailable,
        _ => ErrorKind::Failed,
    }
}

enum Existing {
    None,
    Recording(String),
    Foreign,
}

fn existing(path: &Path) -> Existing {
    let Ok(file) = File::open(path) else {
        return if path.exists() { Existing::Foreign } else { Existing::None };
    };
    let mut file = BufReader::new(file);
    let label = Ftyp::read_from(&mut file)
        .and_then(|_| Moov::read_from(&mut file))
        .ok()
        .and_then(|moov| recording_of(&moov).map(str::to_owned));
    label.map_or(Existing::Foreign, Existing::Recording)
}

/// Everything but the payload, and where that comes from.
struct Plan<'a> {
    head: Vec<u8>,
    /// In the order of time, over all tracks.
    chunks: Vec<(&'a Media, &'a Chunk)>,
    payload: u64,
}

impl<'a> Plan<'a> {
    fn new(recording: &str, tracks: &'a [Media]) -> Result<Plan<'a>> {
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (track, media) in tracks.iter().enumerate() {
            order.extend((0..media.chunks.len()).map(|chunk| (track, chunk)));
        }
        // Exact times of tracks with different timescales are compared crosswise.
        order.sort_by(|one, other| {
            let time = |at: &(usize, usize), scale: u32| {
                u128::from(tracks[at.0].chunks[at.1].decode) * u128::from(scale)
            };
            time(one, tracks[other.0].timescale).cmp(&time(other, tracks[one.0].timescale))
        });

        // The tables' length depends on the offsets only in that 64-bit ones are longer; begin with the payload at
        // zero and move it behind the tables until that changes nothing.
        let mut payload_at = 0;
        loop {
            let mut at = payload_at;
            let mut offsets: Vec<Vec<u64>> =
                tracks.iter().map(|media| Vec::with_capacity(media.chunks.len())).collect();
            for (track, chunk) in &order {
                offsets[*track].push(at);
                let media = &tracks[*track];
                let sizes = media.samples_of(&media.chunks[*chunk]).map(|(_, size)| u64::from(size));
                at += sizes.sum::<u64>();
            }
            let head = head(recording, tracks, &offsets, at - payload_at)?;
            let needed = head.len() as u64;
            if needed == payload_at {
                let chunk =
                    |(track, chunk): &(usize, usize)| (&tracks[*track], &tracks[*track].chunks[*chunk]);
                let chunks = order.iter().map(chunk).collect();
                return Ok(Plan { head, chunks, payload: at - payload_at });
            }
            payload_at = payload_at.max(needed);
        }
    }

    fn is_in(&self, path: &Path) -> bool {
        let length = self.head.len() as u64 + self.payload;
        let same = |file: File| -> io::Result<bool> {
            let mut found = Vec::with_capacity(self.head.len());
            let right_length = file.metadata()?.len() == length;
            file.take(self.head.len() as u64).read_to_end(&mut found)?;
            Ok(right_length && found == self.head)
        };
        File::open(path).and_then(same).unwrap_or(false)
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&folder)?;
        let temp = path.with_added_extension("tmp");
        let written = self.write_to(&temp).and_then(|()| fs::rename(&temp, path));
        if written.is_err() {
            // Its room is worth more than half a file.
            let _ = fs::remove_file(&temp);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    fn write_to(&self, temp: &Path) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(1 << 16, File::create(temp)?);
        file.write_all(&self.head)?;
        for (media, chunk) in &self.chunks {
            copy(media, chunk, &mut file)?;
        }
        file.into_inner()?.sync_all()
    }
}

/// The payload of one fragment, never more of it in memory than a buffer.
fn copy(media: &Media, chunk: &Chunk, to: &mut impl Write) -> io::Result<()> {
    let mut from = media::open(chunk)?;
    let entry = media.entries.get(chunk.entry).filter(|entry| !entry.in_band.is_empty());
    let Some(entry) = entry else {
        return whole(io::copy(&mut from, to)?, chunk.bytes);
    };
    for (sample, size) in media.samples_of(chunk) {
        let copied = if sample.keyframe {
            entry.copy_keyframe(&mut from, sample.size, to)?
        } else {
            io::copy(&mut (&mut from).take(size.into()), to)?
        };
        whole(copied, size.into())?;
    }
    Ok(())
}

/// Fragments do not change; if one did, the tables would be wrong.
fn whole(copied: u64, due: u64) -> io::Result<()> {
    match copied == due {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a fragment became shorter")),
    }
}

/// `ftyp`, `moov` and the header of the `mdat`.
fn head(recording: &str, tracks: &[Media], offsets: &[Vec<u64>], payload: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let ftyp = Ftyp {
        major_brand: b"isom".into(),
        minor_version: 512,
        compatible_brands: vec![b"isom".into(), b"iso2".into(), b"avc1".into(), b"mp41".into()],
    };
    let moov = moov(recording, tracks, offsets)?;
    let written = ftyp.encode(&mut bytes).and_then(|()| moov.encode(&mut bytes));
    written.map_err(|error| PluginError::failed(format!("the MP4 tables cannot be written: {error}")))?;
    bytes.extend(1u32.to_be_bytes());
    bytes.extend(b"mdat");
    bytes.extend((payload + MDAT_HEADER).to_be_bytes());
    Ok(bytes)
}
