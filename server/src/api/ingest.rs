//! What recorders ask for: docs/server-api.md, word by word.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deskreel_pipeline::Server;
use futures_util::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use crate::api::input::{Path, has_nul};
use crate::api::problem::{Answer, Problem};
use crate::app::App;
use crate::db::arrivals::Entry;
use crate::db::recorders::Recorder;
use crate::db::recordings::{Held, Name, Standing};
use crate::ingest::{self, Closing};
use crate::secret::hex;

/// An upload takes no longer than `body_patience`, and a second more for so many bytes: 128 kbit/s is a poor line, less an attack.
const SLOWEST: u64 = 16 * 1024;

const CONTENT_DIGEST: &str = "content-digest";
const REPR_DIGEST: &str = "repr-digest";

type FragmentPath = Path<(String, String, String, String)>;

pub async fn put_fragment(
    State(app): State<App>,
    from: Recorder,
    Path((recording, track, part, number)): FragmentPath,
    request: Request,
) -> Answer {
    let name = match fragment_name(&recording, &track, &part, &number) {
        Ok(name) => name,
        Err(problem) => return Err(refuse(&app, request, problem).await),
    };
    let early = match early(&app, &from, &recording, &name).await? {
        Ok(early) => early,
        Err(problem) => return Err(refuse(&app, request, problem).await),
    };
    let _room = app.room(&from.recorder, content_length(request.headers())?).await?;
    let body = take(&app, request).await?;
    let entry = match early {
        Some(Early::There(sha256)) if sha256 == body.sha256 => Entry::Same,
        Some(Early::There(_)) => Entry::Other,
        Some(Early::Closed) => Entry::Closed,
        None => {
            if let Some(quota) = app.config.graph.server.quota
                && app.db.open_bytes(&from.recorder).await?.saturating_add(body.size) > quota
            {
                let full = "This recorder has its quota of recordings that are not closed";
                return Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, full).retry_after(60));
            }
            let (sha256, size) = (body.sha256.clone(), body.size);
            let entry = app.ingest.fragment(&from, &recording, name, body).await?;
            if entry == Entry::New {
                app.metrics.uploads.inc();
                app.metrics.uploaded_bytes.inc_by(size);
            }
            return answer(entry, &sha256);
        }
    };
    answer(entry, &body.sha256)
}

fn answer(entry: Entry, sha256: &str) -> Answer {
    match entry {
        Entry::New => Ok(holding(StatusCode::CREATED, sha256)),
        Entry::Same => Ok(holding(StatusCode::OK, sha256)),
        Entry::Other => Err(conflict("Other bytes are here under this name")),
        Entry::Closed => {
            Err(conflict("The recording is closed, and its manifest does not name this fragment"))
        }
        Entry::Deleted => Err(deleted()),
        Entry::NotYours => Err(not_yours()),
        Entry::Mixed => Err(is_one_file()),
    }
}

/// What is known before the body is read.
enum Early {
    /// Bytes with this digest.
    There(String),
    Closed,
}

/// Or why this recorder may not write to the recording.
async fn early(
    app: &App,
    from: &Recorder,
    recording: &str,
    name: &Name,
) -> Answer<Result<Option<Early>, Problem>> {
    let Some((standing, there)) = app.db.standing_of(recording, name).await? else { return Ok(Ok(None)) };
    if let Err(problem) = is_open_to(from, &standing) {
        return Ok(Err(problem));
    }
    if standing.file.is_some() {
        return Ok(Err(is_one_file()));
    }
    Ok(Ok(match there {
        Some(sha256) => Some(Early::There(sha256)),
        None => standing.closed.then_some(Early::Closed),
    }))
}

/// To a recorder: what is held, not the bytes.
pub async fn head_fragment(
    app: &App,
    from: &Recorder,
    recording: &str,
    track: &str,
    part: &str,
    number: &str,
) -> Answer {
    let name = fragment_name(recording, track, part, number)?;
    let standing = app.db.standing(recording).await?.ok_or_else(Problem::not_found)?;
    if standing.recorder != from.recorder {
        return Err(not_yours());
    }
    if standing.deleted {
        return Err(deleted());
    }
    let held = app.db.fragment(recording, &name).await?.ok_or_else(Problem::not_found)?;
    let mut response = holding(StatusCode::OK, &held.sha256);
    response.headers_mut().insert(header::CONTENT_LENGTH, held.size.into());
    Ok(response)
}

pub async fn put_about(
    State(app): State<App>,
    from: Recorder,
    Path(recording): Path<String>,
    request: Request,
) -> Answer {
    let (text, sha256) = document(&app, &from, &recording, request).await?;
    if !serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value.is_object()) {
        return Err(conflict("This says nothing about a recording: it is no JSON object"));
    }
    let (standing, had) = app.ingest.about(&from, &recording, &text).await?;
    if standing.recorder != from.recorder {
        return Err(not_yours());
    }
    if standing.deleted {
        return Err(deleted());
    }
    Ok(holding(if had { StatusCode::OK } else { StatusCode::CREATED }, &sha256))
}

pub async fn put_manifest(
    State(app): State<App>,
    from: Recorder,
    Path(recording): Path<String>,
    request: Request,
) -> Answer {
    let (text, sha256) = document(&app, &from, &recording, request).await?;
    match app.ingest.manifest(&from, &recording, &text).await? {
        Closing::New => Ok(holding(StatusCode::CREATED, &sha256)),
        Closing::Same => Ok(holding(StatusCode::OK, &sha256)),
        Closing::Refused(why) => Err(conflict(why)),
        Closing::Deleted => Err(deleted()),
        Closing::NotYours => Err(not_yours()),
        Closing::Missing(names) => {
            let title = match names.len() {
                1 => "1 fragment is missing".to_owned(),
                count => format!("{count} fragments are missing"),
            };
            let name = |Name { track, part, number }: &Name| json!({ "track": track, "part": part, "number": number });
            Err(conflict(title).with("missing", names.iter().map(name).collect()))
        }
    }
}

pub async fn holdings(app: &App, from: &Recorder, recording: &str) -> Answer {
    judge_recording(recording)?;
    let standing = app.db.standing(recording).await?.ok_or_else(Problem::not_found)?;
    if standing.recorder != from.recorder {
        return Err(not_yours());
    }
    if standing.deleted {
        return Err(deleted());
    }
    let fragment = |held: &Held| {
        let Name { track, part, number } = &held.name;
        json!({ "track": track, "part": part, "number": number, "size": held.size, "sha256": held.sha256 })
    };
    let held = app.db.fragments(recording).await?;
    let fragments: Vec<_> = held.iter().map(fragment).collect();
    let mut answer = json!({ "recording": recording, "closed": standing.closed, "fragments": fragments });
    if let Some(file) = standing.file {
        answer["file"] = file.into();
    }
    Ok(Json(answer).into_response())
}

/// The text of a body, from somebody who may write to this recording.
async fn document(app: &App, from: &Recorder, recording: &str, request: Request) -> Answer<(String, String)> {
    if let Err(problem) = judge_recording(recording) {
        return Err(refuse(app, request, problem).await);
    }
    if let Err(problem) = may_put(app, from, recording).await? {
        return Err(refuse(app, request, problem).await);
    }
    let _room = app.room(&from.recorder, content_length(request.headers())?).await?;
    let body = take(app, request).await?;
    let text = String::from_utf8(body.chunks.concat()).ok().filter(|text| !has_nul(text));
    let text = text.ok_or_else(|| conflict("The body is no text, or has the character NUL"))?;
    Ok((text, body.sha256))
}

/// Or why this recorder may not write to it.
async fn may_put(app: &App, from: &Recorder, recording: &str) -> Answer<Result<(), Problem>> {
    let standing = app.db.standing(recording).await?;
    Ok(standing.map_or(Ok(()), |standing| is_open_to(from, &standing)))
}

pub(super) fn is_open_to(from: &Recorder, standing: &Standing) -> Result<(), Problem> {
    match standing {
        standing if standing.recorder != from.recorder => Err(not_yours()),
        standing if standing.deleted => Err(deleted()),
        _ => Ok(()),
    }
}

/// How long a body of so many bytes may take.
pub fn longest_body(server: &Server, length: u64) -> Duration {
    server.body_patience + Duration::from_secs(length / SLOWEST)
}

/// Reads a body whole, no more than is allowed and no slower, and holds it against its digest.
async fn take(app: &App, request: Request) -> Answer<ingest::Body> {
    let wanted = match digest_of(request.headers()) {
        Ok(wanted) => wanted,
        Err(problem) => return Err(refuse(app, request, problem).await),
    };
    let length = content_length(request.headers())?;
    let limit = app.config.graph.server.largest_upload;
    if length > limit {
        let title = format!("A body may have {limit} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title).retry_after(60));
    }
    let end = Instant::now() + longest_body(&app.config.graph.server, length);
    let mut stream = request.into_body().into_data_stream();
    let (mut chunks, mut size, mut hash) = (Vec::new(), 0, Sha256::new());
    loop {
        let next = timeout_at(end, stream.next()).await.map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The upload took too long").retry_after(1)
        })?;
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| Problem::bad_request("The body ended before its length"))?;
        size += chunk.len() as u64;
        hash.update(&chunk);
        chunks.push(chunk);
    }
    let sha256 = hash.finalize();
    if sha256.as_slice() != wanted {
        return Err(Problem::bad_request("The body is not what its digest says"));
    }
    Ok(ingest::Body { chunks, size, sha256: hex(&sha256) })
}

/// Why it was for nothing, once that can be heard.
pub(super) async fn refuse(app: &App, request: Request, problem: Problem) -> Problem {
    drain(app, request).await;
    problem
}

/// Reads what is coming to its end, so that the answer is heard. Who asks before sending is answered before.
pub(super) async fn drain(app: &App, request: Request) {
    // As much as is worth the trouble; beyond it the connection breaks.
    const MOST: usize = 64 << 20;
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut stream = request.into_body().into_data_stream();
    let end = Instant::now() + app.config.graph.server.body_patience;
    let mut left = MOST;
    while let Ok(Some(Ok(chunk))) = timeout_at(end, stream.next()).await {
        let Some(rest) = left.checked_sub(chunk.len()) else { break };
        left = rest;
    }
}

pub fn content_length(headers: &HeaderMap) -> Answer<u64> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| Problem::new(StatusCode::LENGTH_REQUIRED, "Content-Length is missing"))
}

/// The SHA-256 of `Content-Digest`, which may have others beside it.
pub(super) fn digest_of(headers: &HeaderMap) -> Answer<Vec<u8>> {
    let wrong = || Problem::bad_request("Content-Digest is missing, or has no `sha-256=:<base64>:`");
    let value = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
    let member =
        value.split(',').find_map(|member| member.trim().strip_prefix("sha-256=:")?.strip_suffix(':'));
    let bytes = member.and_then(|text| STANDARD.decode(text).ok()).filter(|bytes| bytes.len() == 32);
    bytes.ok_or_else(wrong)
}

pub(super) fn holding(status: StatusCode, sha256: &str) -> Response {
    let bytes: Vec<u8> = (0..sha256.len() / 2)
        .filter_map(|at| u8::from_str_radix(sha256.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    let digest = format!("sha-256=:{}:", STANDARD.encode(bytes));
    let mut response = status.into_response();
    if let Ok(digest) = HeaderValue::from_str(&digest) {
        response.headers_mut().insert(REPR_DIGEST, digest);
    }
    response
}

pub(super) fn conflict(title: impl Into<String>) -> Problem {
    Problem::new(StatusCode::CONFLICT, title)
}

pub(super) fn deleted() -> Problem {
    Problem::new(StatusCode::GONE, "The recording was deleted here, and is not wanted again")
}

pub(super) fn not_yours() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "This recording is another recorder's")
}

fn is_one_file() -> Problem {
    conflict("This recording is cut from one file, and takes no fragments")
}

/// A recording's name becomes the name of a folder.
pub fn judge_recording(recording: &str) -> Answer<()> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let good =
        (1..=100).contains(&recording.len()) && recording.bytes().all(fits) && !recording.starts_with('.');
    if good { Ok(()) } else { Err(Problem::new(StatusCode::NOT_FOUND, "This is no name of a recording")) }
}

pub fn fragment_name(recording: &str, track: &str, part: &str, number: &str) -> Answer<Name> {
    judge_recording(recording)?;
    let good = (1..=100).contains(&track.chars().count())
        && !track.contains(|char: char| char.is_control() || char == '/');
    let track = if good { Some(track.to_owned()) } else { None };
    let name = track.zip(decimal(part).filter(|part| *part > 0)).zip(decimal(number));
    let name = name.map(|((track, part), number)| Name { track, part, number });
    name.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "This is no name of a fragment"))
}

/// Without signs and leading zeros: two names for one number would be two truths.
fn decimal(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    (number.to_string() == text && number <= i32::MAX as u32).then_some(number)
}
