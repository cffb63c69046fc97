//! One finished file, from a recorder that is not ours: docs/server-api.md.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_fmp4::finished::{Scan, Unfit};
use futures_util::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::ingest::{
    conflict, content_length, deleted, digest_of, drain, holding, is_open_to, judge_recording, longest_body,
    not_yours, refuse,
};
use super::input::Path;
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::recorders::Recorder;
use crate::error::Error;
use crate::finished::{Busy, Turn};
use crate::ingest::{Arrived, Taking, began};
use crate::manifest::Manifest;
use crate::secret::hex;

pub async fn put_file(
    State(app): State<App>,
    from: Recorder,
    Path(recording): Path<String>,
    request: Request,
) -> Answer {
    let (turn, wanted) = match admit(&app, &from, &recording, request.headers()).await? {
        Admitted::Come(turn, wanted) => (turn, wanted),
        Admitted::Same(manifest) => {
            drain(&app, request).await;
            return Ok(taken(StatusCode::OK, &manifest));
        }
        Admitted::Refused(problem) => return Err(refuse(&app, request, problem).await),
    };
    let arrived = take(&app, request, &wanted).await?;
    // It goes on though nobody waits any more: who comes again finds it done.
    let work = tokio::spawn(async move {
        let _turn = turn;
        let cut = match app.files.cut().await {
            Ok(_permit) => app.ingest.file(&from, &recording, &arrived).await,
            Err(error) => Err(error),
        };
        arrived.original.remove().await;
        let taking = cut?;
        if let Taking::New(manifest) = &taking {
            app.metrics.uploads.inc_by(manifest.named().count() as u64);
            app.metrics.uploaded_bytes.inc_by(arrived.size);
        }
        Ok::<_, Error>(taking)
    });
    match work.await.map_err(|_| Error::GoingDown)?? {
        Taking::New(manifest) => Ok(taken(StatusCode::CREATED, &manifest)),
        Taking::Unfit(why) => Err(unfit(&why)),
        Taking::NoTime => Err(no_time()),
        Taking::OtherFile => Err(other_file()),
        Taking::Mixed => Err(mixed()),
        Taking::Deleted => Err(deleted()),
        Taking::NotYours => Err(not_yours()),
    }
}

/// What is known before the body is read.
enum Admitted {
    /// In its turn, with this digest.
    Come(Turn, Vec<u8>),
    Same(Box<Manifest>),
    Refused(Problem),
}

async fn admit(app: &App, from: &Recorder, recording: &str, headers: &HeaderMap) -> Answer<Admitted> {
    let judged = judge_recording(recording).and_then(|()| digest_of(headers));
    let wanted = match judged {
        Ok(wanted) => wanted,
        Err(problem) => return Ok(Admitted::Refused(problem)),
    };
    let length = content_length(headers)?;
    let limit = app.config.graph.server.largest_file;
    if length > limit {
        let title = format!("A file may have {limit} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title).retry_after(60));
    }
    if let Some(standing) = app.db.standing(recording).await? {
        if let Err(problem) = is_open_to(from, &standing) {
            return Ok(Admitted::Refused(problem));
        }
        let (manifest, _) = app.db.documents(recording).await?;
        let manifest = manifest.and_then(|text| serde_json::from_str(&text).ok());
        match (standing.file, manifest) {
            (Some(file), _) if file != hex(&wanted) => return Ok(Admitted::Refused(other_file())),
            (Some(_), Some(manifest)) => return Ok(Admitted::Same(Box::new(manifest))),
            (Some(_), None) => {}
            (None, manifest) => {
                if manifest.is_some() || !app.db.fragments(recording).await?.is_empty() {
                    return Ok(Admitted::Refused(mixed()));
                }
            }
        }
    }
    let (_, about) = app.db.documents(recording).await?;
    if began(about.as_deref(), recording).is_none() {
        return Ok(Admitted::Refused(no_time()));
    }
    let turn = match app.files.begin(&from.recorder, recording, length) {
        Ok(turn) => turn,
        Err(busy) => return Ok(Admitted::Refused(wait(busy))),
    };
    if let Some(quota) = app.config.graph.server.quota
        && app.db.open_bytes(&from.recorder).await?.saturating_add(turn.of_recorder) > quota
    {
        let full = "This recorder has its quota of recordings that are not closed";
        let full = Problem::new(StatusCode::INSUFFICIENT_STORAGE, full).retry_after(60);
        return Ok(Admitted::Refused(full));
    }
    Ok(Admitted::Come(turn, wanted))
}

/// Into the store as it comes, and no slower than is allowed.
async fn take(app: &App, request: Request, wanted: &[u8]) -> Answer<Arrived> {
    let size = content_length(request.headers())?;
    let end = Instant::now() + longest_body(&app.config.graph.server, size);
    let mut stream = request.into_body().into_data_stream();
    let (mut hash, mut scan, mut unfitness) = (Sha256::new(), Scan::new(size), None);
    let mut incoming = Some(app.store.receive().await?);
    loop {
        let next = timeout_at(end, stream.next()).await.map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The upload took too long").retry_after(1)
        })?;
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| Problem::bad_request("The body ended before its length"))?;
        hash.update(&chunk);
        let Some(into) = &mut incoming else { continue };
        match scan.take(&chunk) {
            Ok(()) => into.write(&chunk).await?,
            // The rest is read, so that the answer is heard, and goes nowhere.
            Err(unfit) => (incoming, unfitness) = (None, Some(unfit)),
        }
    }
    let sha256 = hash.finalize();
    if sha256.as_slice() != wanted {
        return Err(Problem::bad_request("The body is not what its digest says"));
    }
    let outline = match unfitness {
        Some(why) => Err(why),
        None => scan.finish(),
    };
    let outline = outline.map_err(|why| unfit(&why))?;
    let Some(incoming) = incoming else { return Err(Error::GoingDown.into()) };
    let original = incoming.complete().await?;
    let largest_upload = app.config.graph.server.largest_upload;
    Ok(Arrived { original, outline, size, sha256: hex(&sha256), largest_upload })
}

fn taken(status: StatusCode, manifest: &Manifest) -> Response {
    let whole = manifest.file.as_ref();
    let sha256 = whole.map_or("", |whole| &whole.sha256);
    let left_out = whole.map_or(&[][..], |whole| &whole.left_out);
    let fragments: usize =
        manifest.tracks.iter().flat_map(|track| &track.parts).map(|part| part.fragments.len()).sum();
    let duration_ms = manifest.end_ns() / 1_000_000;
    let body = json!({
        "recording": manifest.recording, "fragments": fragments, "duration_ms": duration_ms, "left_out": left_out,
    });
    let mut response = (status, Json(body)).into_response();
    for (name, value) in holding(status, sha256).headers() {
        if name != header::CONTENT_LENGTH {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn unfit(why: &Unfit) -> Problem {
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("This file cannot be taken: {why}"));
    problem.detail(why.cure())
}

fn no_time() -> Problem {
    let cure = "put `about` with `from` first, or name the recording like 20260105T090000Z-4f2a91";
    conflict("Nobody has said when this recording began").detail(cure)
}

fn other_file() -> Problem {
    conflict("Another file is here under this name")
}

fn mixed() -> Problem {
    conflict("Fragments are here under this name, and no file can be added to them")
}

fn wait(busy: Busy) -> Problem {
    let (status, title) = match busy {
        Busy::Name => (StatusCode::SERVICE_UNAVAILABLE, "This recording is being taken just now"),
        Busy::Recorder => (StatusCode::TOO_MANY_REQUESTS, "This recorder has two files under way"),
        Busy::All => (StatusCode::SERVICE_UNAVAILABLE, "Other files are taken just now"),
    };
    Problem::new(status, title).retry_after(5)
}
