//! Uploads of finished files from other recorders (docs/server-api.md). `ingest/finished_file.rs` cuts them.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use deskreel_fmp4::finished::{Scan, Unfit};
use deskreel_model::RecordingId;
use serde::Serialize;
use utoipa::ToSchema;

use super::input::Path;
use super::openapi::{RecordingPath, Unprocessable, UploadHeaders, UploadProblems};
use super::problem::{Answer, Problem};
use super::upload_body::{
    Checked, Refusal, TimedBody, acknowledge, admit, content_length, digest_of, drain, too_large,
};
use super::uploads::{
    check_room, check_writable, conflict, deleted, is_over_quota, not_yours, quota_reached, recording_id,
};
use crate::app::App;
use crate::db::recorders::Recorder;
use crate::error::{Error, Result};
use crate::ingest::{FileOutcome, ReceivedFile, start_time};
use crate::limits::files::{Busy, FileSlot};
use crate::manifest::Manifest;
use crate::schema::Digest;
use crate::secret::hex;

/// Uploads a recording as one finished file.
///
/// An MP4 with H.264, H.265 or AV1. It is cut into fragments, which are its frames
/// byte for byte. `about`, sent before, says when it began. 422 says in `title` what is
/// wrong with the file, and in `detail` what helps.
#[utoipa::path(
    put,
    path = "/recordings/{recording}/file",
    operation_id = "putFile",
    tag = "recorder",
    params(RecordingPath, UploadHeaders),
    request_body(content_type = "application/octet-stream"),
    responses(
        (
            status = 200,
            description = "It was there already",
            body = TakenFile,
            headers(("Repr-Digest" = Digest)),
        ),
        (
            status = 201,
            description = "It is a closed recording now",
            body = TakenFile,
            headers(("Repr-Digest" = Digest)),
        ),
        UploadProblems, Unprocessable,
    ),
)]
pub async fn put_file(
    State(app): State<App>,
    from: Recorder,
    Path(recording): Path<String>,
    request: Request,
) -> Answer {
    let checked = check(&app, &from, &recording, request.headers()).await;
    let (request, Target { recording, digest, admission }) = admit(&app, request, checked).await?;
    let slot = match admission {
        Admission::Slot(slot) => slot,
        Admission::Same(manifest) => {
            drain(&app, request).await;
            return Ok(taken(StatusCode::OK, *manifest));
        }
    };
    let file = receive(&app, request, &digest).await?;
    // The task goes on even if the client does not wait; a repeated upload then finds the file done.
    let work = tokio::spawn(async move { cut(&app, &from, &recording, file, slot).await });
    match work.await.map_err(|_| Error::GoingDown)?? {
        FileOutcome::New(manifest) => Ok(taken(StatusCode::CREATED, *manifest)),
        FileOutcome::Unfit(why) => Err(unfit(&why)),
        FileOutcome::NoStartTime => Err(no_start_time()),
        FileOutcome::OtherFile => Err(other_file()),
        FileOutcome::Mixed => Err(mixed()),
        FileOutcome::Deleted => Err(deleted()),
        FileOutcome::NotYours => Err(not_yours()),
    }
}

async fn cut(
    app: &App,
    from: &Recorder,
    recording: &RecordingId,
    file: ReceivedFile,
    _slot: FileSlot,
) -> Result<FileOutcome> {
    let cut = match app.file_uploads.cut_turn().await {
        Ok(_permit) => app.ingest.file(from, recording, &file).await,
        Err(error) => Err(error),
    };
    file.original.remove().await;
    let outcome = cut?;
    if let FileOutcome::New(manifest) = &outcome {
        app.metrics.uploads.inc_by(manifest.named().count() as u64);
        app.metrics.uploaded_bytes.inc_by(file.size);
    }
    Ok(outcome)
}

/// A file that may be uploaded.
struct Target {
    recording: RecordingId,
    /// The SHA-256 that the client states.
    digest: Vec<u8>,
    admission: Admission,
}

enum Admission {
    Slot(FileSlot),
    /// The same file is here already, and was cut.
    Same(Box<Manifest>),
}

async fn check(app: &App, from: &Recorder, recording: &str, headers: &HeaderMap) -> Checked<Target> {
    let recording = recording_id(recording).map_err(Refusal::AfterBody)?;
    let digest = digest_of(headers)?;
    let length = content_length(headers)?;
    let limit = app.config.graph.server.largest_file;
    if length > limit {
        return Err(too_large(&format!("A file may have at most {limit} bytes")).into());
    }
    if let Some(manifest) = check_state(app, from, &recording, &digest).await? {
        return Ok(Target { recording, digest, admission: Admission::Same(manifest) });
    }
    let about = app.db.documents(&recording).await?.about;
    if start_time(about.as_deref(), &recording).is_none() {
        return Err(Refusal::AfterBody(no_start_time()));
    }
    let begun = app.file_uploads.begin(&from.id, &recording, length);
    let slot = begun.map_err(|busy| Refusal::AfterBody(wait(busy)))?;
    check_room(app).map_err(Refusal::AfterBody)?;
    if is_over_quota(app, from, slot.recorder_bytes).await? {
        return Err(Refusal::AfterBody(quota_reached()));
    }
    Ok(Target { recording, digest, admission: Admission::Slot(slot) })
}

/// Whether the recording takes this file. `Some`: it was already cut from it.
async fn check_state(
    app: &App,
    from: &Recorder,
    recording: &RecordingId,
    digest: &[u8],
) -> Checked<Option<Box<Manifest>>> {
    let Some(state) = app.db.state(recording).await? else { return Ok(None) };
    check_writable(from, &state).map_err(Refusal::AfterBody)?;
    let manifest = app.db.documents(recording).await?.manifest;
    let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_str(&text).ok());
    match state.file {
        Some(file) if file != hex(digest) => Err(Refusal::AfterBody(other_file())),
        Some(_) => Ok(manifest.map(Box::new)),
        None if manifest.is_some() || !app.db.fragments(recording).await?.is_empty() => {
            Err(Refusal::AfterBody(mixed()))
        }
        None => Ok(None),
    }
}

/// Reads a file into the store as it arrives.
async fn receive(app: &App, request: Request, digest: &[u8]) -> Answer<ReceivedFile> {
    let size = content_length(request.headers())?;
    let (mut scan, mut unfitness) = (Scan::new(size), None);
    let mut incoming = Some(app.store.receive().await?);
    let mut body = TimedBody::new(app, request, size);
    while let Some(chunk) = body.next().await? {
        let Some(into) = &mut incoming else { continue };
        match scan.take(&chunk) {
            Ok(()) => into.write(&chunk).await?,
            // The rest is read but not stored, so that the client receives the answer.
            Err(unfit) => (incoming, unfitness) = (None, Some(unfit)),
        }
    }
    let sha256 = body.finish(digest)?;
    let outline = match unfitness {
        Some(why) => Err(why),
        None => scan.finish(),
    };
    let outline = outline.map_err(|why| unfit(&why))?;
    let Some(incoming) = incoming else { return Err(Error::GoingDown.into()) };
    let original = incoming.complete().await?;
    let largest_upload = app.config.graph.server.largest_upload;
    Ok(ReceivedFile { original, outline, size, sha256, largest_upload })
}

/// A file that has become a recording.
#[derive(Serialize, ToSchema)]
#[schema(as = Cut)]
pub struct TakenFile {
    #[schema(value_type = String)]
    recording: RecordingId,
    #[schema(minimum = 1)]
    fragments: usize,
    duration_ms: u64,
    /// Tracks that were left out, such as `audio (mp4a)`.
    left_out: Vec<String>,
}

fn taken(status: StatusCode, manifest: Manifest) -> Response {
    let parts = manifest.tracks.iter().flat_map(|track| &track.parts);
    let fragments = parts.map(|part| part.fragments.len()).sum();
    let duration_ms = manifest.end_ns() / 1_000_000;
    let (sha256, left_out) = manifest.file.map(|file| (file.sha256, file.left_out)).unwrap_or_default();
    let body = TakenFile { recording: manifest.recording, fragments, duration_ms, left_out };
    acknowledge((status, Json(body)).into_response(), &sha256)
}

fn unfit(why: &Unfit) -> Problem {
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("This file cannot be used: {why}"));
    problem.detail(why.cure())
}

fn no_start_time() -> Problem {
    let cure = "put `about` with `from` first, or name the recording like 20260105T090000Z-4f2a91";
    conflict("The start of this recording is unknown").detail(cure)
}

fn other_file() -> Problem {
    conflict("This recording is cut from another file")
}

fn mixed() -> Problem {
    conflict("This recording consists of fragments, and takes no file")
}

fn wait(busy: Busy) -> Problem {
    let (status, title) = match busy {
        Busy::Recording => (StatusCode::SERVICE_UNAVAILABLE, "A file of this recording is being uploaded"),
        Busy::Recorder => (StatusCode::TOO_MANY_REQUESTS, "This recorder has two files in progress"),
        Busy::Server => (StatusCode::SERVICE_UNAVAILABLE, "The server is busy with other files"),
    };
    Problem::new(status, title).retry_after(5)
}
