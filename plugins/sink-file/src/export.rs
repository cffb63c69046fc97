//! Writes the file: `ftyp`, `moov`, `mdat`, in this order, so that a player can start before it has all of
//! it.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use deskreel_sdk::prelude::*;
use mp4_atom::{Encode, Ftyp, Moov, ReadFrom};

use crate::files::{Comparing, Hashing, kind_of};
use crate::manifest::{OTHER_HASH, Recording};
use crate::media::{self, Chunk, Media};
use crate::movie_tables::{moov, recording_of};

/// Bytes read or written at once.
const BUFFER: usize = 1 << 16;

/// Bytes of the size, the name and the 64-bit size.
const MDAT_HEADER: u64 = 16;

/// Writes the recording to `path`, atomically. Replaces a file there only if it is an earlier export of the
/// same recording, or if `overwrite` is set. Returns once every byte of the recording was compared with the
/// manifest's hashes.
pub fn export(directory: &Path, recording: &Recording, path: &Path, overwrite: bool) -> Result<()> {
    let mut tracks = Vec::new();
    for track in &recording.tracks {
        tracks.extend(media::read(directory, track)?);
    }
    if tracks.is_empty() {
        return Err(PluginError::failed("the recording has no footage"));
    }
    let plan = Plan::new(&recording.recording, &tracks)?;
    let wrong = |error: io::Error| PluginError::new(kind_of(&error), format!("{}: {error}", path.display()));
    match existing(path).map_err(wrong)? {
        Existing::None => {}
        Existing::Recording(id) if id == recording.recording => {
            // The same recording always becomes the same bytes.
            if plan.is_in(path).map_err(wrong)? {
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
                "{} exists and is not an export of this recording; set `overwrite` to replace it",
                path.display()
            );
            return Err(PluginError::settings(message));
        }
    }
    plan.write(path).map_err(wrong)
}

enum Existing {
    None,
    Recording(String),
    Foreign,
}

fn existing(path: &Path) -> io::Result<Existing> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Existing::None),
        file => BufReader::new(file?),
    };
    let label = Ftyp::read_from(&mut file)
        .and_then(|_| Moov::read_from(&mut file))
        .map(|moov| recording_of(&moov).map(str::to_owned));
    match label {
        Err(mp4_atom::Error::Io(error)) if kind_of(&error) == ErrorKind::Unavailable => Err(error),
        label => Ok(label.ok().flatten().map_or(Existing::Foreign, Existing::Recording)),
    }
}

/// Everything except the payload, and the source of that.
struct Plan<'a> {
    head: Vec<u8>,
    /// Ordered by time, over all tracks.
    chunks: Vec<(&'a Media, &'a Chunk)>,
    payload: u64,
}

impl<'a> Plan<'a> {
    fn new(recording: &str, tracks: &'a [Media]) -> Result<Plan<'a>> {
        let mut order: Vec<(usize, usize)> = Vec::new();
        for (track, media) in tracks.iter().enumerate() {
            order.extend((0..media.chunks.len()).map(|chunk| (track, chunk)));
        }
        // Cross-multiplied, to compare times of different timescales exactly.
        order.sort_by(|one, other| {
            let time = |at: &(usize, usize), scale: u32| {
                u128::from(tracks[at.0].chunks[at.1].decode) * u128::from(scale)
            };
            time(one, tracks[other.0].timescale).cmp(&time(other, tracks[one.0].timescale))
        });

        // The tables' length depends on the offsets only because 64-bit ones are longer. Begin with the
        // payload at zero, and move it after the tables until its position no longer changes.
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

    /// Compares the payload, too: a file may have the right tables and length but no footage.
    fn is_in(&self, path: &Path) -> io::Result<bool> {
        let file = File::open(path)?;
        if file.metadata()?.len() != self.head.len() as u64 + self.payload {
            return Ok(false);
        }
        let mut found = Comparing::new(BufReader::with_capacity(BUFFER, file));
        match self.write_all_to(&mut found) {
            Err(_) if !found.same => Ok(false),
            compared => compared.map(|()| true),
        }
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
            // Half a file is only a waste of space.
            let _ = fs::remove_file(&temp);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    fn write_to(&self, temp: &Path) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(BUFFER, File::create(temp)?);
        self.write_all_to(&mut file)?;
        file.into_inner()?.sync_all()
    }

    fn write_all_to(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.head)?;
        for (media, chunk) in &self.chunks {
            copy(media, chunk, to)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", chunk.file.file)))?;
        }
        Ok(())
    }
}

/// Copies the payload of one fragment, with no more of it in memory than a buffer. Reads the whole file,
/// since the hash is that of the whole file.
fn copy(media: &Media, chunk: &Chunk, to: &mut impl Write) -> io::Result<()> {
    let mut file = Hashing::new(File::open(&chunk.path)?);
    io::copy(&mut file.by_ref().take(chunk.at), &mut io::sink())?;
    copy_payload(media, chunk, &mut file.by_ref().take(chunk.bytes), to)?;
    match file.finish()? == chunk.file.sha256 {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, OTHER_HASH)),
    }
}

fn copy_payload(media: &Media, chunk: &Chunk, from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let entry = media.entries.get(chunk.entry).filter(|entry| !entry.in_band.is_empty());
    let Some(entry) = entry else {
        return check_length(io::copy(from, to)?, chunk.bytes);
    };
    for (sample, size) in media.samples_of(chunk) {
        let copied = if sample.keyframe {
            entry.copy_keyframe(from, sample.size, to)?
        } else {
            io::copy(&mut from.by_ref().take(size.into()), to)?
        };
        check_length(copied, size.into())?;
    }
    Ok(())
}

/// Fails if a fragment became shorter, which would make the tables wrong.
fn check_length(copied: u64, due: u64) -> io::Result<()> {
    match copied == due {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "became shorter")),
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
    written.map_err(|error| PluginError::failed(format!("could not write the MP4 tables: {error}")))?;
    bytes.extend(1u32.to_be_bytes());
    bytes.extend(b"mdat");
    bytes.extend((payload + MDAT_HEADER).to_be_bytes());
    Ok(bytes)
}
