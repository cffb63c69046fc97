//! Makes one list of samples from the files of a track. Reads only headers and `moof` boxes. A frame takes 24
//! bytes of memory: 10 MB for four hours at 30 frames per second.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use deskreel_sdk::prelude::*;
use mp4_atom::{Atom, Codec, Ftyp, Header, Mdat, Moof, Moov, ReadFrom, Traf, Trak, Trex};

use crate::manifest::{File, Track};
use crate::sample_entry::SampleEntry;

/// Set in `sample_flags` of a frame that is not a keyframe (ISO/IEC 14496-12, 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// One track of the recording, with all its parts.
#[derive(Debug)]
pub struct Media {
    /// The first part's track box, without samples: handler, size, language.
    pub template: Trak,
    pub timescale: u32,
    /// The different codec configurations, in order of first use.
    pub entries: Vec<SampleEntry>,
    pub samples: Vec<Sample>,
    pub chunks: Vec<Chunk>,
}

/// One frame. Times are ticks on the recording's timeline.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    pub decode: u64,
    /// Ticks from decoding to presentation.
    pub offset: i32,
    pub duration: u32,
    /// Bytes in the fragment; a keyframe may get more in the export (`SampleEntry::in_band`).
    pub size: u32,
    pub keyframe: bool,
}

/// The samples of a fragment, contiguous in its file and in the export.
#[derive(Debug)]
pub struct Chunk {
    pub path: PathBuf,
    /// The manifest's entry for the whole file.
    pub file: File,
    /// Offset of the payload in the file.
    pub at: u64,
    pub bytes: u64,
    /// Range in the track's samples.
    pub samples: Range<usize>,
    /// Decode time of the first sample.
    pub decode: u64,
    /// Index in the track's entries.
    pub entry: usize,
}

/// Reads a track. Returns `None` if it has no footage.
pub fn read(directory: &Path, track: &Track) -> Result<Option<Media>> {
    let mut media: Option<Media> = None;
    for part in track.parts.iter().filter(|part| !part.fragments.is_empty()) {
        let header = read_header(directory, &part.init)?;
        let timescale = header.trak.mdia.mdhd.timescale;
        let media = media.get_or_insert_with(|| Media {
            template: named(header.trak.clone(), &track.name),
            timescale,
            entries: Vec::new(),
            samples: Vec::new(),
            chunks: Vec::new(),
        });
        if media.timescale != timescale {
            return Err(part.init.wrong("has another timescale than the parts before it"));
        }
        let existing = media.entries.iter().position(|entry| entry.codec == header.codec);
        let entry = existing.unwrap_or(media.entries.len());
        if existing.is_none() {
            media.entries.push(SampleEntry::alone(header.codec));
        }
        for file in &part.fragments {
            media.fragment(directory, file, &header.defaults, entry)?;
        }
    }
    if let Some(media) = &mut media
        && media.entries.len() > 1
    {
        media.entries.iter_mut().for_each(SampleEntry::make_one_of_many);
    }
    Ok(media)
}

/// With the track's name as that of its handler, which players show.
fn named(mut trak: Trak, name: &str) -> Trak {
    trak.mdia.hdlr.name = name.to_owned();
    trak
}

struct PartHeader {
    trak: Trak,
    codec: Codec,
    defaults: Trex,
}

fn read_header(directory: &Path, init: &File) -> Result<PartHeader> {
    let bytes = init.read(directory)?;
    let mut boxes = bytes.as_slice();
    Ftyp::read_from(&mut boxes).map_err(|error| unreadable(init, error))?;
    let moov = Moov::read_from(&mut boxes).map_err(|error| unreadable(init, error))?;
    let [trak] = moov.trak.as_slice() else { return Err(init.wrong("does not have exactly one track")) };
    let [codec] = trak.mdia.minf.stbl.stsd.codecs.as_slice() else {
        return Err(init.wrong("does not have exactly one codec configuration"));
    };
    let defaults = moov.mvex.as_ref().and_then(|mvex| mvex.trex.first()).cloned().unwrap_or_default();
    Ok(PartHeader { trak: trak.clone(), codec: codec.clone(), defaults })
}

impl Media {
    /// A chunk's samples, and the size of each in the export.
    pub fn samples_of<'a>(&'a self, chunk: &'a Chunk) -> impl Iterator<Item = (&'a Sample, u32)> {
        let in_band = self.entries.get(chunk.entry).map_or(0, |entry| entry.in_band.len() as u32);
        let samples = self.samples.get(chunk.samples.clone()).unwrap_or_default();
        samples.iter().map(move |sample| (sample, sample.size + if sample.keyframe { in_band } else { 0 }))
    }

    fn fragment(&mut self, directory: &Path, name: &File, defaults: &Trex, entry: usize) -> Result<()> {
        let path = name.path(directory)?;
        let mut file = fs::File::open(&path).map_err(|error| name.unreadable(&error))?;
        let length = file.metadata().map_err(|error| name.unreadable(&error))?.len();

        let moof = read_moof(&mut file).map_err(|error| unreadable(name, error))?;
        let [traf] = moof.traf.as_slice() else { return Err(name.wrong("does not have exactly one track")) };
        let [run] = traf.trun.as_slice() else {
            return Err(name.wrong("does not have exactly one run of samples"));
        };
        let Some(tfdt) = &traf.tfdt else { return Err(name.wrong("has no time")) };
        if traf.tfhd.base_data_offset.is_some() {
            return Err(name.wrong("counts its offsets from another base"));
        }
        let decode = tfdt.base_media_decode_time;
        // Offsets count from the `moof`, which is at the start of the file.
        let at = run.data_offset.and_then(|offset| u64::try_from(offset).ok());
        let at = at.ok_or_else(|| name.wrong("does not say where its samples are"))?;
        // A run without values for each sample could claim any number of samples.
        if length < at || run.samples.len() as u64 > length {
            return Err(name.wrong("ends before its samples"));
        }
        let first = self.samples.len();
        let (mut bytes, mut time) = (0, decode);
        for own in &run.samples {
            let next = sample(time, &own, traf, defaults)
                .and_then(|sample| Some((sample, time.checked_add(sample.duration.into())?)));
            let Some((sample, end)) = next else { return Err(name.wrong("has an impossible time")) };
            time = end;
            bytes += u64::from(sample.size);
            self.samples.push(sample);
        }
        if length < at.saturating_add(bytes) {
            return Err(name.wrong("ends before its samples"));
        }
        let samples = first..self.samples.len();
        self.chunks.push(Chunk { path, file: name.clone(), at, bytes, samples, decode, entry });
        Ok(())
    }
}

/// Reads up to the payload.
fn read_moof(file: &mut fs::File) -> mp4_atom::Result<Moof> {
    // In general `styp`, `sidx` and others may precede a `moof`, but never in our files; they would shift the
    // offsets.
    let moof = Moof::read_from(file)?;
    let header = Header::read_from(file)?;
    match header.kind {
        Mdat::KIND => Ok(moof),
        other => Err(mp4_atom::Error::UnexpectedBox(other)),
    }
}

/// A sample from its own values, or else the fragment's, or else the header's.
fn sample(decode: u64, own: &mp4_atom::TrunEntry, traf: &Traf, header: &Trex) -> Option<Sample> {
    let fragment = &traf.tfhd;
    let duration =
        own.duration.or(fragment.default_sample_duration).unwrap_or(header.default_sample_duration);
    let size = own.size.or(fragment.default_sample_size).unwrap_or(header.default_sample_size);
    let flags = own.flags.or(fragment.default_sample_flags).unwrap_or(header.default_sample_flags);
    let offset = i32::try_from(own.cts.unwrap_or(0)).ok()?;
    decode.checked_add_signed(offset.into())?;
    Some(Sample { decode, offset, duration, size, keyframe: flags & NON_SYNC == 0 })
}

/// A file that does not parse never will; one that could not be read may be read later.
fn unreadable(file: &File, error: mp4_atom::Error) -> PluginError {
    match error {
        mp4_atom::Error::Io(error) => file.unreadable(&error),
        other => file.wrong(format_args!("cannot be read: {other}")),
    }
}
