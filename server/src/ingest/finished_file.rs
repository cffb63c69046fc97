//! Cuts a finished file of another recorder into fragments of ours, stores them like uploaded ones, and
//! writes a manifest over them: it becomes a recording like any other.
//!
//! The same file always yields the same fragments, so a repeated upload completes an interrupted one.

use axum::body::Bytes;
use deskreel_fmp4::finished::{Footage, FragmentSamples, LARGEST_TABLE, Outline, Reader, Unfit};
use deskreel_fmp4::{TIMESCALE, codec_string, header, nanos, ticks};
use deskreel_model::manifest as model;
use deskreel_model::{MediaTime, PartNumber, RecordingId, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Ingest, ManifestOutcome};
use crate::db::recorders::Recorder;
use crate::db::uploads::{FileStart, FragmentOutcome};
use crate::error::{Error, Result};
use crate::fragments::{FragmentName, FragmentTimes, StoredFragment, TRACK};
use crate::manifest::{About, Manifest, SourceFile};
use crate::secret::hex;
use crate::store::Original;
use crate::time;

/// Bytes of a fragment, unless uploads are limited to fewer: a second of 128 Mbit/s, or one frame of noise in
/// 4K.
const LARGEST: u64 = 16 << 20;
/// Fragments that are read and written at once, so that they share disk syncs.
const AT_ONCE: usize = 4;
/// Tables that are read at once, unless together they would exceed the limit of a single one.
const TABLES_AT_ONCE: u64 = 16;

/// A file that has arrived as a whole, and agrees with its digest.
#[derive(Debug)]
pub struct ReceivedFile {
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
pub struct StartTime {
    at_ms: i64,
    uncertainty_ns: u64,
}

/// The result of uploading a file.
#[derive(Debug)]
pub enum FileOutcome {
    New(Box<Manifest>),
    Unfit(Unfit),
    /// Neither `about` nor the recording's name says when it began.
    NoStartTime,
    OtherFile,
    Mixed,
    Deleted,
    NotYours,
}

/// The start by `about`, or else by the recording's name.
pub fn start_time(about: Option<&str>, recording: &RecordingId) -> Option<StartTime> {
    let about: Option<About> = about.and_then(|text| serde_json::from_str(text).ok());
    let stated = about.and_then(|about| time::parse(&about.from?));
    let stated = stated.map(|at_ms| StartTime { at_ms, uncertainty_ns: 1_000_000 });
    let named = || Some(StartTime { at_ms: time::of_recording(recording)?, uncertainty_ns: 1_000_000_000 });
    stated.or_else(named)
}

/// A result that ends the cutting early counts as an error within it.
type Cut<T> = Result<Result<T, FileOutcome>>;

impl Ingest {
    /// All of it is durable once this returns `New`.
    pub async fn file(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        file: &ReceivedFile,
    ) -> Result<FileOutcome> {
        let footage = match read_footage(file).await? {
            Ok(footage) => footage,
            Err(unfit) => return Ok(FileOutcome::Unfit(unfit)),
        };
        // Beside its frames a fragment has 16 bytes for each of its few frames.
        let pieces = match footage.fragments(LARGEST.min(file.largest_upload / 8 * 7)) {
            Ok(pieces) => pieces,
            Err(unfit) => return Ok(FileOutcome::Unfit(unfit)),
        };
        let start = match self.begin_file(from, recording, file).await? {
            Ok(start) => start,
            Err(outcome) => return Ok(outcome),
        };
        let cutter = Cutter { ingest: self, from, recording, file, footage: &footage };
        let (init, fragments) = match cutter.cut(pieces).await? {
            Ok(cut) => cut,
            Err(outcome) => return Ok(outcome),
        };
        let text = manifest(recording, file, &footage, start, file_ref(&init), fragments)?;
        let manifest: Manifest =
            serde_json::from_str(&text).map_err(|error| Error::Corrupt(error.to_string()))?;
        Ok(match self.close(from, recording, &text, &manifest, Some(&file.sha256)).await? {
            ManifestOutcome::New | ManifestOutcome::Same => FileOutcome::New(Box::new(manifest)),
            ManifestOutcome::Deleted => FileOutcome::Deleted,
            ManifestOutcome::NotYours => FileOutcome::NotYours,
            ManifestOutcome::Missing(_) | ManifestOutcome::Refused(_) => FileOutcome::Mixed,
        })
    }

    async fn begin_file(
        &self,
        from: &Recorder,
        recording: &RecordingId,
        file: &ReceivedFile,
    ) -> Cut<StartTime> {
        let mut write = self.db.write().await?;
        match write.begin_file(recording, from, &file.sha256).await? {
            FileStart::Started => {}
            // Another server process has just done it; its manifest is the one that we would write.
            FileStart::Closed => return Ok(Err(self.closed_file(recording).await?)),
            FileStart::OtherFile => return Ok(Err(FileOutcome::OtherFile)),
            FileStart::Mixed => return Ok(Err(FileOutcome::Mixed)),
            FileStart::Deleted => return Ok(Err(FileOutcome::Deleted)),
            FileStart::NotYours => return Ok(Err(FileOutcome::NotYours)),
        }
        let about = write.documents(recording).await?.about;
        let Some(start) = start_time(about.as_deref(), recording) else {
            return Ok(Err(FileOutcome::NoStartTime));
        };
        write.commit().await?;
        Ok(Ok(start))
    }

    async fn closed_file(&self, recording: &RecordingId) -> Result<FileOutcome> {
        let manifest = self.db.documents(recording).await?.manifest;
        let manifest = manifest.and_then(|text| serde_json::from_str(&text).ok());
        let manifest =
            manifest.ok_or_else(|| Error::Corrupt(format!("{recording} is closed without a manifest")))?;
        Ok(FileOutcome::New(Box::new(manifest)))
    }
}

/// Cuts one file.
struct Cutter<'a> {
    ingest: &'a Ingest,
    from: &'a Recorder,
    recording: &'a RecordingId,
    file: &'a ReceivedFile,
    footage: &'a Footage,
}

impl Cutter<'_> {
    /// Stores the header and all fragments.
    async fn cut(&self, pieces: Vec<FragmentSamples>) -> Cut<(StoredFragment, Vec<model::Fragment>)> {
        let bytes = vec![Bytes::from(header(&self.footage.config).map_err(unwritable)?)];
        let init = match self.keep(0, bytes, None).await? {
            Ok(init) => init,
            Err(outcome) => return Ok(Err(outcome)),
        };
        let fragments = stream::iter(pieces.into_iter().zip(1..))
            .map(|(piece, number)| self.piece(piece, number))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let fragments: Result<Vec<_>, FileOutcome> = fragments.into_iter().collect();
        Ok(fragments.map(|fragments| (init, fragments)))
    }

    async fn piece(&self, piece: FragmentSamples, number: u32) -> Cut<model::Fragment> {
        let mut bytes = vec![Bytes::from(self.footage.fragment_head(number, &piece).map_err(unwritable)?)];
        bytes.extend(self.file.original.ranges(&self.footage.byte_ranges(&piece)).await?);
        let infos = self.footage.sample_infos(&piece);
        let (Some(first), Some(last)) = (infos.first(), infos.last()) else {
            return Err(Error::Corrupt("a fragment without frames".to_owned()));
        };
        // Whole ticks, as a reader of the fragment gets them.
        let start_ns = nanos(ticks(first.dts_ns));
        let duration_ns = nanos(ticks(last.dts_ns + last.duration_ns)) - start_ns;
        let times = FragmentTimes { start_ns, duration_ns, keyframe: first.keyframe };
        let kept = self.keep(number, bytes, Some(times)).await?;
        Ok(kept.map(|kept| model::Fragment {
            number,
            file: file_ref(&kept),
            start: MediaTime(start_ns),
            duration_ns,
            frames: u32::try_from(infos.len()).unwrap_or(u32::MAX),
            starts_with_keyframe: first.keyframe,
            salvaged: false,
        }))
    }

    async fn keep(
        &self,
        number: u32,
        bytes: Vec<Bytes>,
        times: Option<FragmentTimes>,
    ) -> Cut<StoredFragment> {
        let mut hash = Sha256::new();
        bytes.iter().for_each(|chunk| hash.update(chunk));
        let fragment = StoredFragment {
            name: FragmentName { track: TRACK.to_owned(), part: 1, number },
            size: bytes.iter().map(|chunk| chunk.len() as u64).sum(),
            sha256: hex(&hash.finalize()),
            times,
        };
        let (bytes, sha256) = (bytes.into_iter().collect(), Some(self.file.sha256.as_str()));
        let kept = self.ingest.keep(self.from, self.recording, fragment.clone(), bytes, sha256);
        Ok(match kept.await? {
            FragmentOutcome::New | FragmentOutcome::Same => Ok(fragment),
            FragmentOutcome::Deleted => Err(FileOutcome::Deleted),
            FragmentOutcome::NotYours => Err(FileOutcome::NotYours),
            FragmentOutcome::Other | FragmentOutcome::Closed | FragmentOutcome::Mixed => {
                Err(FileOutcome::Mixed)
            }
        })
    }
}

/// Reads the tables. Takes a second if they are as large as is allowed.
async fn read_footage(file: &ReceivedFile) -> Result<Result<Footage, Unfit>> {
    let ReceivedFile { original, outline, size, .. } = file;
    let (moov, size) = (original.range(outline.moov.clone()).await?, *size);
    let mut reader = match on_own_thread(move || Reader::new(&moov, size)).await? {
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
    on_own_thread(move || reader.footage()).await
}

/// Keeps long work from delaying other requests.
async fn on_own_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::GoingDown)
}

fn unwritable(error: deskreel_fmp4::Error) -> Error {
    Error::Corrupt(error.to_string())
}

/// The fragment with the file name that it would have on a recorder's disk.
fn file_ref(fragment: &StoredFragment) -> model::FileRef {
    let name = match fragment.name.number {
        0 => "init.mp4".to_owned(),
        number => format!("{number:06}.m4s"),
    };
    model::FileRef {
        file: format!("{TRACK}/part-0001/{name}"),
        size: fragment.size,
        sha256: fragment.sha256.clone(),
    }
}

/// The manifest of docs/recording-format.md, with the additional member `file`.
fn manifest(
    recording: &RecordingId,
    file: &ReceivedFile,
    footage: &Footage,
    start: StartTime,
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
        utc: Utc(Timestamp::from_millisecond(start.at_ms).unwrap_or_default()),
        uncertainty_ns: start.uncertainty_ns,
    };
    let mut manifest = model::Manifest::new(recording.clone(), unknown(), &[TRACK.to_owned()], anchor);
    manifest.writer = concat!("deskreel-server ", env!("CARGO_PKG_VERSION")).to_owned();
    manifest.outcome = Some(model::Outcome::Finished);
    manifest.ended = ended;
    manifest.tracks.iter_mut().for_each(|track| track.parts.push(part.clone()));
    let mut manifest = serde_json::to_value(manifest).map_err(corrupt)?;
    let source =
        SourceFile { size: file.size, sha256: file.sha256.clone(), left_out: footage.left_out.clone() };
    if let Value::Object(members) = &mut manifest {
        members.insert("file".to_owned(), serde_json::to_value(source).map_err(corrupt)?);
    }
    Ok(manifest.to_string())
}
