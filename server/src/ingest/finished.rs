//! One finished file of another recorder becomes a recording like any other: it is cut into fragments of ours, which are kept the
//! way that fragments are kept, and a manifest is written over them.
//!
//! The same file gives the same fragments. Whatever a crash left undone, the repetition begins anew.

use axum::body::Bytes;
use deskreel_fmp4::finished::{Footage, FragmentSamples, LARGEST_TABLE, Outline, Reader, Unfit};
use deskreel_fmp4::{TIMESCALE, codec_string, header, nanos, ticks};
use deskreel_model::manifest as model;
use deskreel_model::{MediaTime, PartNumber, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Closing, Ingest};
use crate::db::arrivals::{Beginning, Entry};
use crate::db::recorders::Recorder;
use crate::db::recordings::{Held, Name, Times};
use crate::error::{Error, Result};
use crate::manifest::{About, Manifest, TRACK, Whole};
use crate::secret::hex;
use crate::store::Original;
use crate::time;

/// Bytes of a fragment, unless fragments may have fewer: a second of 128 Mbit/s, or one frame of noise in 4K.
const LARGEST: u64 = 16 << 20;
/// Fragments that are read and written at one time, so that they share the syncs of the disk.
const AT_ONCE: usize = 4;
/// Tables that are read at one time, unless they would have more bytes together than one may have.
const TABLES_AT_ONCE: u64 = 16;

/// A file that is here as a whole, and is what its digest says.
#[derive(Debug)]
pub struct Arrived {
    pub original: Original,
    pub outline: Outline,
    /// Bytes.
    pub size: u64,
    pub sha256: String,
    /// Bytes that a fragment may have.
    pub largest_upload: u64,
}

/// When the first frame was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    at_ms: i64,
    /// Nanoseconds.
    uncertainty: u64,
}

/// What came of a file.
#[derive(Debug)]
pub enum Taking {
    New(Box<Manifest>),
    Unfit(Unfit),
    /// Nobody said when it began.
    NoTime,
    OtherFile,
    Mixed,
    Deleted,
    NotYours,
}

/// As was said about the recording, or else as its name has it.
pub fn began(about: Option<&str>, recording: &str) -> Option<Began> {
    let about: Option<About> = about.and_then(|text| serde_json::from_str(text).ok());
    let said = about.and_then(|about| time::parse(&about.from?));
    let said = said.map(|at_ms| Began { at_ms, uncertainty: 1_000_000 });
    let named = || time::of_recording(recording).map(|at_ms| Began { at_ms, uncertainty: 1_000_000_000 });
    said.or_else(named)
}

impl Ingest {
    /// Once this returns `New`, all of it is durable.
    pub async fn file(&self, from: &Recorder, recording: &str, file: &Arrived) -> Result<Taking> {
        let footage = match footage(file).await? {
            Ok(footage) => footage,
            Err(unfit) => return Ok(Taking::Unfit(unfit)),
        };
        // What a fragment has beside its frames is 16 bytes a frame, and there are few.
        let pieces = match footage.fragments(LARGEST.min(file.largest_upload / 8 * 7)) {
            Ok(pieces) => pieces,
            Err(unfit) => return Ok(Taking::Unfit(unfit)),
        };
        let mut write = self.db.write().await?;
        match write.begin_file(recording, (&from.recorder, &from.place), &file.sha256).await? {
            Beginning::Begun => {}
            // By another server, just now; its manifest is the one that this one would write.
            Beginning::Closed => return self.closed(recording).await,
            Beginning::OtherFile => return Ok(Taking::OtherFile),
            Beginning::Mixed => return Ok(Taking::Mixed),
            Beginning::Deleted => return Ok(Taking::Deleted),
            Beginning::NotYours => return Ok(Taking::NotYours),
        }
        let (_, about) = write.documents(recording).await?;
        let Some(began) = began(about.as_deref(), recording) else { return Ok(Taking::NoTime) };
        write.commit().await?;

        let bytes = vec![Bytes::from(header(&footage.config).map_err(unwritable)?)];
        let init = match self.cut(from, recording, file, 0, bytes, None).await? {
            Ok(held) => held,
            Err(refused) => return Ok(refused),
        };
        let cut = stream::iter(pieces.into_iter().zip(1..))
            .map(|(piece, number)| self.piece(from, recording, file, &footage, piece, number))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let fragments = match cut.into_iter().collect::<Result<Vec<model::Fragment>, Taking>>() {
            Ok(fragments) => fragments,
            Err(refused) => return Ok(refused),
        };
        let text = manifest(recording, file, &footage, began, file_of(&init), fragments)?;
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(match self.close(from, recording, &text, &manifest, Some(&file.sha256)).await? {
            Closing::New | Closing::Same => Taking::New(Box::new(manifest)),
            Closing::Deleted => Taking::Deleted,
            Closing::NotYours => Taking::NotYours,
            Closing::Missing(_) | Closing::Refused(_) => Taking::Mixed,
        })
    }

    async fn closed(&self, recording: &str) -> Result<Taking> {
        let (manifest, _) = self.db.documents(recording).await?;
        let manifest = manifest.and_then(|text| serde_json::from_str(&text).ok());
        let manifest =
            manifest.ok_or_else(|| Error::Corrupt(format!("{recording} is closed without a manifest")))?;
        Ok(Taking::New(Box::new(manifest)))
    }

    async fn piece(
        &self,
        from: &Recorder,
        recording: &str,
        file: &Arrived,
        footage: &Footage,
        piece: FragmentSamples,
        number: u32,
    ) -> Result<Result<model::Fragment, Taking>> {
        let mut bytes = vec![Bytes::from(footage.fragment_head(number, &piece).map_err(unwritable)?)];
        bytes.extend(file.original.ranges(&footage.byte_ranges(&piece)).await?);
        let infos = footage.sample_infos(&piece);
        let (Some(first), Some(last)) = (infos.first(), infos.last()) else {
            return Err(Error::Corrupt("a fragment without frames".to_owned()));
        };
        // As it is read from the fragment: in whole ticks.
        let start_ns = nanos(ticks(first.dts_ns));
        let duration_ns = nanos(ticks(last.dts_ns + last.duration_ns)) - start_ns;
        let times = Times { start_ns, duration_ns, keyframe: first.keyframe };
        let held = self.cut(from, recording, file, number, bytes, Some(times)).await?;
        Ok(held.map(|held| model::Fragment {
            number,
            file: file_of(&held),
            start: MediaTime(start_ns),
            duration_ns,
            frames: u32::try_from(infos.len()).unwrap_or(u32::MAX),
            starts_with_keyframe: first.keyframe,
            salvaged: false,
        }))
    }

    /// Keeps what was cut, or says why that is over.
    async fn cut(
        &self,
        from: &Recorder,
        recording: &str,
        file: &Arrived,
        number: u32,
        bytes: Vec<Bytes>,
        times: Option<Times>,
    ) -> Result<Result<Held, Taking>> {
        let mut hash = Sha256::new();
        bytes.iter().for_each(|some| hash.update(some));
        let held = Held {
            name: Name { track: TRACK.to_owned(), part: 1, number },
            size: bytes.iter().map(|some| some.len() as u64).sum(),
            sha256: hex(&hash.finalize()),
            times,
        };
        let bytes = bytes.into_iter().collect();
        Ok(match self.keep(from, recording, held.clone(), bytes, Some(&file.sha256)).await? {
            Entry::New | Entry::Same => Ok(held),
            Entry::Deleted => Err(Taking::Deleted),
            Entry::NotYours => Err(Taking::NotYours),
            Entry::Other | Entry::Closed | Entry::Mixed => Err(Taking::Mixed),
        })
    }
}

/// Reads the tables, which takes a second where they are as large as they may be.
async fn footage(file: &Arrived) -> Result<Result<Footage, Unfit>> {
    let Arrived { original, outline, size, .. } = file;
    let (moov, size) = (original.range(outline.moov.clone()).await?, *size);
    let mut reader = match apart(move || Reader::new(&moov, size)).await? {
        Ok(reader) => reader,
        Err(unfit) => return Ok(Err(unfit)),
    };
    let largest = outline.moofs.iter().map(|place| place.end - place.start).max().unwrap_or(1);
    let at_once = (LARGEST_TABLE / largest.max(1)).clamp(1, TABLES_AT_ONCE) as usize;
    let mut tables = stream::iter(outline.moofs.clone())
        .map(|place| async move { Ok::<_, Error>((place.start, original.range(place).await?)) })
        .buffered(at_once);
    while let Some((at, moof)) = tables.try_next().await? {
        if let Err(unfit) = reader.moof(at, &moof) {
            return Ok(Err(unfit));
        }
    }
    apart(move || reader.footage()).await
}

/// On a thread of its own, so that other requests are answered meanwhile.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::GoingDown)
}

fn unwritable(error: deskreel_fmp4::Error) -> Error {
    Error::Corrupt(error.to_string())
}

/// Named as it would be on a recorder's disk.
fn file_of(held: &Held) -> model::FileRef {
    let name = match held.name.number {
        0 => "init.mp4".to_owned(),
        number => format!("{number:06}.m4s"),
    };
    model::FileRef { file: format!("{TRACK}/part-0001/{name}"), size: held.size, sha256: held.sha256.clone() }
}

/// docs/recording-format.md, with `file` beside what all have.
fn manifest(
    recording: &str,
    file: &Arrived,
    footage: &Footage,
    began: Began,
    init: model::FileRef,
    fragments: Vec<model::Fragment>,
) -> Result<String> {
    let unknown = || "unknown".to_owned();
    let encoded = footage.frames() as u64;
    let ended = fragments.last().map(model::Fragment::end);
    let part = model::Part {
        number: PartNumber::FIRST,
        cause: model::Cause::Start,
        source: model::PluginUse { plugin: unknown(), version: String::new() },
        encoder: model::EncoderUse {
            plugin: unknown(),
            version: String::new(),
            candidate: unknown(),
            memory: model::Memory::default(),
            gpu: None,
            cannot: Vec::new(),
            refused: Vec::new(),
        },
        codec: codec_string(&footage.config),
        width: footage.config.width,
        height: footage.config.height,
        fps: 0,
        timescale: TIMESCALE,
        init,
        fragments,
        frames: model::FrameCounts { captured: encoded, encoded, ..Default::default() },
    };
    let corrupt = |error: serde_json::Error| Error::Corrupt(error.to_string());
    let anchor = model::Anchor {
        media: MediaTime(footage.zero_ns),
        utc: Utc(Timestamp::from_millisecond(began.at_ms).unwrap_or_default()),
        uncertainty_ns: began.uncertainty,
    };
    let id = serde_json::from_value(json!(recording)).map_err(corrupt)?;
    let mut manifest = model::Manifest::new(id, unknown(), &[TRACK.to_owned()], anchor);
    manifest.writer = concat!("deskreel-server ", env!("CARGO_PKG_VERSION")).to_owned();
    manifest.outcome = Some(model::Outcome::Finished);
    manifest.ended = ended;
    manifest.tracks.iter_mut().for_each(|track| track.parts.push(part.clone()));
    let mut manifest = serde_json::to_value(manifest).map_err(corrupt)?;
    let whole = Whole { size: file.size, sha256: file.sha256.clone(), left_out: footage.left_out.clone() };
    if let Value::Object(members) = &mut manifest {
        members.insert("file".to_owned(), serde_json::to_value(whole).map_err(corrupt)?);
    }
    Ok(manifest.to_string())
}
