//! Recordings and their fragments for players.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use deskreel_model::{AgentId, Place, RecordingId};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::caller::Caller;
use super::files::{check_stored, stream_pieces};
use super::input::{Pairs, Path};
use super::interactions::{GapView, PartView};
use super::openapi::{
    BadRequest, CallerProblems, Deleted, Lost, NoRoom, NotFound, NumbersPath, PartPath, RecordingOrHeld,
    RecordingPath,
};
use super::problem::{Answer, Problem};
use super::uploads::{self, recording_id};
use crate::app::App;
use crate::db::recordings::LiveRecording;
use crate::fragments::shown_order;
use crate::manifest::Manifest;
use crate::media::{FilePiece, Reel, playlist};
use crate::people::Person;
use crate::schema::Time;
use crate::time::rfc3339;

/// Time for which a playlist request waits for the next fragment; then the player asks again.
const BLOCK: Duration = Duration::from_secs(6);
/// Fragments that one request may ask for: more than a run of ten minutes has.
const MOST: u32 = 1000;

/// A recording, for people.
#[derive(Serialize, ToSchema)]
#[schema(as = Recording)]
pub struct RecordingView {
    #[schema(value_type = String)]
    recording: RecordingId,
    #[schema(value_type = Option<String>)]
    agent: Option<AgentId>,
    #[schema(value_type = Option<String>)]
    place: Option<Place>,
    #[schema(value_type = Option<Time>)]
    started: Option<String>,
    #[schema(value_type = Option<Time>)]
    ended: Option<String>,
    closed: bool,
    live: bool,
    #[schema(minimum = 0)]
    bytes: i64,
    /// In the order in which players show them.
    tracks: Vec<String>,
    gaps: Vec<GapView>,
    parts: Vec<PartView>,
}

/// Returns a recording; to its recorder, what the server has of it.
#[utoipa::path(
    get,
    path = "/recordings/{recording}",
    operation_id = "showRecording",
    tag = "media",
    params(RecordingPath),
    responses(
        (status = 200, description = "To people, or to its recorder", body = inline(RecordingOrHeld)),
        CallerProblems, NotFound, Deleted,
    ),
)]
pub async fn recording(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let person = match caller {
        Caller::Recorder(from) => return uploads::holdings(&app, &from, &id).await,
        Caller::Person(person) => person,
    };
    let id = may_watch(&app, &person, &id).await?;
    let recording = app.db.recording(&id).await?.ok_or_else(Problem::not_found)?;
    let tracks = app.db.tracks(&id).await?;
    let manifest = app.db.documents(&id).await?.manifest;
    let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_str(&text).ok());
    let mut view = RecordingView {
        recording: id,
        live: recording.live(),
        agent: recording.agent,
        place: recording.place,
        started: recording.started.map(rfc3339),
        ended: recording.ended.map(rfc3339),
        closed: recording.closed,
        bytes: recording.bytes,
        tracks,
        gaps: Vec::new(),
        parts: Vec::new(),
    };
    if let Some(manifest) = manifest {
        for track in &manifest.tracks {
            view.gaps.extend(GapView::of(track));
            view.parts.extend(PartView::of(track));
        }
    }
    Ok(Json(view).into_response())
}

/// Returns the bytes of a fragment or of several.
///
/// `3-7` returns several in sequence; `.m4s` or `.mp4` may follow.
#[utoipa::path(
    get,
    path = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}",
    operation_id = "getFragments",
    tag = "media",
    params(PartPath, NumbersPath),
    responses(
        (status = 200, description = "Footage", content_type = "video/mp4"),
        CallerProblems, NotFound, Lost,
    ),
)]
pub async fn fragments(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    Path((id, track, part, numbers)): Path<(String, String, String, String)>,
) -> Answer {
    let person = match caller {
        Caller::Recorder(from) if method == Method::HEAD => {
            return uploads::head_fragment(&app, &from, &id, &track, &part, &numbers).await;
        }
        // A stolen recorder token must not show what the recorder recorded.
        Caller::Recorder(_) => {
            let title = "A recorder may only use HEAD here, and gets no footage";
            return Err(Problem::new(StatusCode::FORBIDDEN, title));
        }
        Caller::Person(person) => person,
    };
    let numbers = numbers.strip_suffix(".m4s").or(numbers.strip_suffix(".mp4")).unwrap_or(&numbers);
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (_, first) = uploads::fragment_name(&id, &track, &part, first)?;
    let (_, last) = uploads::fragment_name(&id, &track, &part, last)?;
    let last = last.number;
    if last < first.number || last - first.number >= MOST {
        return Err(Problem::not_found());
    }
    let id = may_watch(&app, &person, &id).await?;
    let stored = app.db.fragments_between(&id, &first, last).await?;
    if stored.len() != (last - first.number) as usize + 1 {
        return Err(Problem::not_found());
    }
    let size = stored.iter().map(|fragment| fragment.size).sum::<u64>();
    let recording = Arc::new(id);
    let pieces: Vec<_> = stored.iter().map(|fragment| FilePiece::whole(&recording, fragment)).collect();
    check_stored(&app, &pieces).await?;
    let mut response = stream_pieces(&app, pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
    Ok(response)
}

/// Returns the HLS playlist of a track, such as `video.m3u8`.
///
/// With `_HLS_msn` and `_HLS_part`, waits for a segment or part that is not there yet.
#[utoipa::path(
    get,
    path = "/recordings/{recording}/hls/{playlist}",
    operation_id = "getPlaylist",
    tag = "media",
    params(
        RecordingPath,
        ("playlist" = String, Path, description = "The track, and `.m3u8`", example = "video.m3u8"),
        ("_HLS_msn" = Option<u32>, Query, maximum = 4294967295u32),
        ("_HLS_part" = Option<u32>, Query, maximum = 4294967295u32),
        ("joins" = Option<bool>, Query, description = "A viewer begins to watch, and wants a keyframe"),
    ),
    responses(
        (status = 200, description = "The playlist", content_type = "application/vnd.apple.mpegurl"),
        BadRequest, CallerProblems, NotFound, NoRoom,
    ),
)]
pub async fn hls(
    State(app): State<App>,
    person: Person,
    Path((id, name)): Path<(String, String)>,
    query: Pairs,
) -> Answer {
    let track = name.strip_suffix(".m3u8").ok_or_else(Problem::not_found)?;
    let id = may_watch(&app, &person, &id).await?;
    app.audit_look(&person, "watched", id.as_str()).await?;
    let (segment, part) = (number(&query, "_HLS_msn")?, number(&query, "_HLS_part")?);
    let mut joins = flag(&query, "joins")?;
    let end = Instant::now() + BLOCK;
    loop {
        let mut progress = app.ingest.progress();
        let reel = reel(&app, &id, Some(track)).await?.ok_or_else(Problem::not_found)?.1;
        let (text, extent) = playlist(&reel);
        let is_there = match (segment, part) {
            // Players take no playlist without a segment.
            (None, _) => extent.segments > 0,
            (Some(segment), None) => extent.segments > segment,
            (Some(segment), Some(part)) => (extent.segments, extent.parts) > (segment, part),
        };
        if reel.live {
            app.control.watched(&id, &person.name, std::mem::take(&mut joins));
        }
        if is_there || !reel.live || timeout_at(end, progress.of(&id)).await.is_err() {
            return Ok(([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl")], text).into_response());
        }
    }
}

fn flag(query: &Pairs, name: &str) -> Answer<bool> {
    let flag = query.get(name).map_or(Ok(false), |text| text.parse());
    flag.map_err(|_| Problem::bad_request(format!("`{name}` is neither true nor false")))
}

fn number(query: &Pairs, name: &str) -> Answer<Option<usize>> {
    let number = query.get(name).map(|text| text.parse::<u32>().map(|number| number as usize));
    number.transpose().map_err(|_| Problem::bad_request(format!("`{name}` is not a number")))
}

/// A track of a recording with its name; `track`: `None` for the first one. `None`: there is no such track.
pub async fn reel(app: &App, id: &RecordingId, track: Option<&str>) -> Answer<Option<(String, Reel)>> {
    let recording = app.db.recording(id).await?.ok_or_else(Problem::not_found)?;
    let fragments = app.db.fragments(id).await?;
    let names = fragments.iter().map(|fragment| fragment.name.track.clone()).collect();
    let found = shown_order(names).into_iter().find(|name| track.is_none_or(|track| track == name));
    Ok(found.map(|track| {
        let reel = Reel::new(recording.started.unwrap_or(0), recording.live(), &track, fragments);
        (track, reel)
    }))
}

/// The recording of this name, if the person may watch it.
pub async fn may_watch(app: &App, person: &Person, recording: &str) -> Answer<RecordingId> {
    let recording = recording_id(recording)?;
    let scope = app.db.scope(person).await?;
    match app.db.sees_recording(&scope, &recording).await? {
        true => Ok(recording),
        false => Err(Problem::not_found()),
    }
}

/// Recordings that run now.
#[derive(Serialize, ToSchema)]
pub struct LiveList {
    recordings: Vec<LiveRecording>,
}

/// Lists the recordings that run now.
#[utoipa::path(
    get,
    path = "/live",
    operation_id = "listLive",
    tag = "operations",
    responses((status = 200, description = "Those that the caller may see", body = LiveList), CallerProblems),
)]
pub async fn live(State(app): State<App>, person: Person) -> Answer<Json<LiveList>> {
    let scope = app.db.scope(&person).await?;
    let recordings = app.db.live(&scope).await?;
    Ok(Json(LiveList { recordings }))
}
