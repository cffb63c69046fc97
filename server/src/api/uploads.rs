//! Uploads from recorders: fragments, `about` and manifests (docs/server-api.md). `ingest.rs` keeps them.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::RecordingId;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::input::Path;
use super::openapi::{
    CallerProblems, Deleted, MissingFragments, NotFound, NumberPath, PartPath, RecordingPath, UploadHeaders,
    UploadProblems,
};
use super::problem::{Answer, Problem};
use super::upload_body::{Checked, Refusal, acknowledgement, admit, content_length, read};
use crate::app::App;
use crate::db::recorders::Recorder;
use crate::db::recordings::RecordingState;
use crate::db::uploads::FragmentOutcome;
use crate::error::Result;
use crate::fragments::{FragmentName, StoredFragment};
use crate::ingest::{AboutOutcome, Body, ManifestOutcome};
use crate::names::{has_nul, parse_recording};
use crate::schema::{Digest, Sha256};

type FragmentPath = Path<(String, String, String, String)>;

/// Uploads a fragment; number 0 is the header.
#[utoipa::path(
    put,
    path = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}",
    operation_id = "putFragment",
    tag = "recorder",
    params(PartPath, NumberPath, UploadHeaders),
    request_body(content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It was there already", headers(("Repr-Digest" = Digest))),
        (status = 201, description = "It is stored now", headers(("Repr-Digest" = Digest))),
        UploadProblems,
    ),
)]
pub async fn put_fragment(
    State(app): State<App>,
    from: Recorder,
    Path((recording, track, part, number)): FragmentPath,
    request: Request,
) -> Answer {
    let target = match fragment_name(&recording, &track, &part, &number) {
        Ok((recording, name)) => check_fragment(&app, &from, recording, name).await,
        Err(problem) => Err(Refusal::AfterBody(problem)),
    };
    let (request, Target { recording, name, present }) = admit(&app, request, target).await?;
    let _memory = app.upload_memory.reserve(&from.id, content_length(request.headers())?).await?;
    let body = read(&app, request).await?;
    let sha256 = body.sha256.clone();
    let outcome = match present {
        Present::Nothing => keep_fragment(&app, &from, &recording, name, body).await?,
        Present::Fragment(present) if present == sha256 => FragmentOutcome::Same,
        Present::Fragment(_) => FragmentOutcome::Other,
        Present::ClosedWithoutIt => FragmentOutcome::Closed,
    };
    answer(outcome, &sha256)
}

/// A fragment that may be uploaded.
struct Target {
    recording: RecordingId,
    name: FragmentName,
    present: Present,
}

/// What the index has under a fragment's name before the body is read.
enum Present {
    Nothing,
    /// A fragment with this digest.
    Fragment(String),
    /// The recording is closed, and does not have it.
    ClosedWithoutIt,
}

async fn check_fragment(
    app: &App,
    from: &Recorder,
    recording: RecordingId,
    name: FragmentName,
) -> Checked<Target> {
    let Some((state, digest)) = app.db.state_and_digest(&recording, &name).await? else {
        return Ok(Target { recording, name, present: Present::Nothing });
    };
    check_writable(from, &state).map_err(Refusal::AfterBody)?;
    if state.file.is_some() {
        return Err(Refusal::AfterBody(is_cut_from_file()));
    }
    let present = match digest {
        Some(sha256) => Present::Fragment(sha256),
        None if state.closed => Present::ClosedWithoutIt,
        None => Present::Nothing,
    };
    Ok(Target { recording, name, present })
}

async fn keep_fragment(
    app: &App,
    from: &Recorder,
    recording: &RecordingId,
    name: FragmentName,
    body: Body,
) -> Answer<FragmentOutcome> {
    let size = body.size;
    check_room(app)?;
    if is_over_quota(app, from, size).await? {
        return Err(quota_reached());
    }
    let outcome = app.ingest.fragment(from, recording, name, body).await?;
    if outcome == FragmentOutcome::New {
        app.metrics.uploads.inc();
        app.metrics.uploaded_bytes.inc_by(size);
    }
    Ok(outcome)
}

/// Whether this many more bytes exceed the quota of the recorder's recordings that are not closed.
pub(super) async fn is_over_quota(app: &App, from: &Recorder, bytes: u64) -> Result<bool> {
    let Some(quota) = app.config.graph.server.quota else { return Ok(false) };
    Ok(app.db.open_bytes(&from.id).await?.saturating_add(bytes) > quota)
}

/// Refuses footage while rows still fit.
pub(super) fn check_room(app: &App) -> Answer<()> {
    app.disks.check().map_err(|full| {
        tracing::warn!(%full, "refused an upload");
        let title = "The server's disk is full";
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, title).detail(full.to_string()).retry_after(60)
    })
}

pub(super) fn quota_reached() -> Problem {
    let title = "This recorder has reached its quota of recordings that are not closed";
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, title).retry_after(60)
}

fn answer(outcome: FragmentOutcome, sha256: &str) -> Answer {
    match outcome {
        FragmentOutcome::New => Ok(acknowledgement(StatusCode::CREATED, sha256)),
        FragmentOutcome::Same => Ok(acknowledgement(StatusCode::OK, sha256)),
        FragmentOutcome::Other => Err(conflict("A fragment with other bytes has this name")),
        FragmentOutcome::Closed => {
            Err(conflict("The recording is closed, and its manifest does not name this fragment"))
        }
        FragmentOutcome::Deleted => Err(deleted()),
        FragmentOutcome::NotYours => Err(not_yours()),
        FragmentOutcome::Mixed => Err(is_cut_from_file()),
    }
}

/// Tells a recorder that a fragment is stored. It never gets the bytes.
#[utoipa::path(
    head,
    path = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}",
    operation_id = "headFragment",
    tag = "recorder",
    params(PartPath, NumberPath),
    responses(
        (
            status = 200,
            description = "To a recorder, with its digest",
            headers(("Repr-Digest" = Digest), ("Content-Length" = usize)),
        ),
        CallerProblems, NotFound, Deleted,
    ),
)]
pub async fn head_fragment(
    app: &App,
    from: &Recorder,
    recording: &str,
    track: &str,
    part: &str,
    number: &str,
) -> Answer {
    let (recording, name) = fragment_name(recording, track, part, number)?;
    let state = app.db.state(&recording).await?.ok_or_else(Problem::not_found)?;
    check_writable(from, &state)?;
    let stored = app.db.fragment(&recording, &name).await?.ok_or_else(Problem::not_found)?;
    let mut response = acknowledgement(StatusCode::OK, &stored.sha256);
    response.headers_mut().insert(header::CONTENT_LENGTH, stored.size.into());
    Ok(response)
}

/// Says whose recording it is.
///
/// Each field is optional, and there may be others.
#[utoipa::path(
    put,
    path = "/recordings/{recording}/about",
    operation_id = "describeRecording",
    tag = "recorder",
    params(RecordingPath, UploadHeaders),
    request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "It replaced the one before", headers(("Repr-Digest" = Digest))),
        (status = 201, description = "It is stored now", headers(("Repr-Digest" = Digest))),
        UploadProblems,
    ),
)]
pub async fn put_about(
    State(app): State<App>,
    from: Recorder,
    Path(recording): Path<String>,
    request: Request,
) -> Answer {
    let Document { recording, text, sha256 } = read_document(&app, &from, &recording, request).await?;
    if !serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.is_object()) {
        return Err(conflict("The body is not a JSON object"));
    }
    match app.ingest.about(&from, &recording, &text).await? {
        AboutOutcome::New => Ok(acknowledgement(StatusCode::CREATED, &sha256)),
        AboutOutcome::Replaced => Ok(acknowledgement(StatusCode::OK, &sha256)),
        AboutOutcome::Deleted => Err(deleted()),
        AboutOutcome::NotYours => Err(not_yours()),
    }
}

/// Closes a recording.
///
/// The body is the recording's `manifest.json`, byte for byte. After 409 with `missing`,
/// send those fragments first.
#[utoipa::path(
    put,
    path = "/recordings/{recording}/manifest",
    operation_id = "closeRecording",
    tag = "recorder",
    params(RecordingPath, UploadHeaders),
    request_body(content = Object, content_type = "application/json"),
    responses(
        (status = 200, description = "It was there already", headers(("Repr-Digest" = Digest))),
        (status = 201, description = "It is stored now", headers(("Repr-Digest" = Digest))),
        UploadProblems,
        (
            status = 409,
            description = "Something else has this name, or fragments are missing",
            body = MissingFragments,
            content_type = "application/problem+json",
        ),
    ),
)]
pub async fn put_manifest(
    State(app): State<App>,
    from: Recorder,
    Path(recording): Path<String>,
    request: Request,
) -> Answer {
    let Document { recording, text, sha256 } = read_document(&app, &from, &recording, request).await?;
    match app.ingest.manifest(&from, &recording, &text).await? {
        ManifestOutcome::New => Ok(acknowledgement(StatusCode::CREATED, &sha256)),
        ManifestOutcome::Same => Ok(acknowledgement(StatusCode::OK, &sha256)),
        ManifestOutcome::Refused(why) => Err(conflict(why)),
        ManifestOutcome::Deleted => Err(deleted()),
        ManifestOutcome::NotYours => Err(not_yours()),
        ManifestOutcome::Missing(names) => {
            let title = match names.len() {
                1 => "1 fragment is missing".to_owned(),
                count => format!("{count} fragments are missing"),
            };
            Err(conflict(title).with("missing", json!(names)))
        }
    }
}

/// What the server has of a recording, for its recorder.
#[derive(Serialize, ToSchema)]
#[schema(as = Held)]
pub struct Holdings {
    #[schema(value_type = String)]
    recording: RecordingId,
    closed: bool,
    fragments: Vec<HeldFragment>,
    /// Digest of the finished file that it is cut from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Sha256)]
    file: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub struct HeldFragment {
    track: String,
    #[schema(minimum = 1)]
    part: u32,
    number: u32,
    size: u64,
    #[schema(value_type = Sha256)]
    sha256: String,
}

impl From<StoredFragment> for HeldFragment {
    fn from(StoredFragment { name, size, sha256, .. }: StoredFragment) -> HeldFragment {
        let FragmentName { track, part, number } = name;
        HeldFragment { track, part, number, size, sha256 }
    }
}

pub async fn holdings(app: &App, from: &Recorder, recording: &str) -> Answer<Response> {
    let recording = recording_id(recording)?;
    let state = app.db.state(&recording).await?.ok_or_else(Problem::not_found)?;
    check_writable(from, &state)?;
    let stored = app.db.fragments(&recording).await?;
    let fragments = stored.into_iter().map(HeldFragment::from).collect();
    Ok(Json(Holdings { recording, closed: state.closed, fragments, file: state.file }).into_response())
}

/// A body that is text.
struct Document {
    recording: RecordingId,
    text: String,
    sha256: String,
}

async fn read_document(app: &App, from: &Recorder, recording: &str, request: Request) -> Answer<Document> {
    let checked = check_recording(app, from, recording).await;
    let (request, recording) = admit(app, request, checked).await?;
    let _memory = app.upload_memory.reserve(&from.id, content_length(request.headers())?).await?;
    let body = read(app, request).await?;
    let text = String::from_utf8(body.chunks.concat()).ok().filter(|text| !has_nul(text));
    let text = text.ok_or_else(|| conflict("The body is not UTF-8 text, or contains the character NUL"))?;
    Ok(Document { recording, text, sha256: body.sha256 })
}

async fn check_recording(app: &App, from: &Recorder, recording: &str) -> Checked<RecordingId> {
    let recording = recording_id(recording).map_err(Refusal::AfterBody)?;
    if let Some(state) = app.db.state(&recording).await? {
        check_writable(from, &state).map_err(Refusal::AfterBody)?;
    }
    Ok(recording)
}

/// Whether this recorder may upload to a recording in this state.
pub(super) fn check_writable(from: &Recorder, state: &RecordingState) -> Result<(), Problem> {
    match state {
        state if state.recorder != from.id => Err(not_yours()),
        state if state.deleted => Err(deleted()),
        _ => Ok(()),
    }
}

pub(super) fn conflict(title: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, title)
}

pub(super) fn deleted() -> Problem {
    Problem::new(StatusCode::GONE, "The recording was deleted here, and is not accepted again")
}

pub(super) fn not_yours() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "This recording belongs to another recorder")
}

fn is_cut_from_file() -> Problem {
    conflict("This recording is cut from a finished file, and takes no fragments")
}

pub(super) fn recording_id(text: &str) -> Answer<RecordingId> {
    let wrong = || Problem::new(StatusCode::NOT_FOUND, "This is not the name of a recording");
    parse_recording(text).ok_or_else(wrong)
}

pub(super) fn fragment_name(
    recording: &str,
    track: &str,
    part: &str,
    number: &str,
) -> Answer<(RecordingId, FragmentName)> {
    let recording = recording_id(recording)?;
    let wrong = || Problem::new(StatusCode::NOT_FOUND, "This is not the name of a fragment");
    Ok((recording, FragmentName::parse(track, part, number).ok_or_else(wrong)?))
}
