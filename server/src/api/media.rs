//! Footage for players.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::caller::{Caller, Person};
use super::files::pour;
use super::ingest::{self, judge_recording};
use super::input::{Pairs, Path};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::interactions::SILENCE_MS;
use crate::media::{Piece, Reel, playlist};
use crate::time::{now_ms, rfc3339};

/// A player waits so long for the next fragment, and then asks again.
const BLOCK: Duration = Duration::from_secs(6);
/// Fragments that one request may ask for: more than a run of ten minutes has.
const MOST: u32 = 1000;

pub async fn recording(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Answer {
    let person = match caller {
        Caller::Recorder(from) => return ingest::holdings(&app, &from, &id).await,
        Caller::Person(person) => person,
    };
    may_watch(&app, &person, &id).await?;
    let about = app.db.recording(&id).await?.ok_or_else(Problem::not_found)?;
    let tracks: std::collections::BTreeSet<String> =
        app.db.fragments(&id).await?.into_iter().map(|held| held.name.track).collect();
    Ok(Json(json!({
        "recording": id, "agent": about.agent, "place": about.place, "started": about.started.map(rfc3339),
        "ended": about.ended.map(rfc3339), "closed": about.closed, "live": about.live(), "bytes": about.bytes,
        "tracks": tracks,
    }))
    .into_response())
}

pub async fn fragments(
    State(app): State<App>,
    caller: Caller,
    method: Method,
    Path((id, track, part, numbers)): Path<(String, String, String, String)>,
) -> Answer {
    let person = match caller {
        Caller::Recorder(from) if method == Method::HEAD => {
            return ingest::head_fragment(&app, &from, &id, &track, &part, &numbers).await;
        }
        // Who steals a recorder's token is not to see what it recorded.
        Caller::Recorder(_) => {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "A recorder asks with HEAD, and gets no footage",
            ));
        }
        Caller::Person(person) => person,
    };
    let numbers = numbers.strip_suffix(".m4s").or(numbers.strip_suffix(".mp4")).unwrap_or(&numbers);
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let first = ingest::fragment_name(&id, &track, &part, first)?;
    let last = ingest::fragment_name(&id, &track, &part, last)?.number;
    if last < first.number || last - first.number >= MOST {
        return Err(Problem::not_found());
    }
    may_watch(&app, &person, &id).await?;
    let held = app.db.fragments_between(&id, &first, last).await?;
    if held.len() != (last - first.number) as usize + 1 {
        return Err(Problem::not_found());
    }
    let size = held.iter().map(|held| held.size).sum::<u64>();
    let recording: Arc<str> = id.into();
    let pieces = held.iter().map(|held| Piece::whole(&recording, held)).collect();
    let mut response = pour(&app, pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    response.headers_mut().insert(header::CONTENT_LENGTH, size.into());
    Ok(response)
}

/// `_HLS_msn` and `_HLS_part` wait for what is not there yet.
pub async fn hls(
    State(app): State<App>,
    person: Person,
    Path((id, name)): Path<(String, String)>,
    query: Pairs,
) -> Answer {
    let track = name.strip_suffix(".m3u8").ok_or_else(Problem::not_found)?;
    may_watch(&app, &person, &id).await?;
    app.seen(&person, "watched", &id).await?;
    let number = |name: &str| query.get(name).map(|text| text.parse::<u32>().map(|number| number as usize));
    let number = |name: &str| {
        number(name).transpose().map_err(|_| Problem::bad_request(format!("`{name}` is not a number")))
    };
    let (piece, part) = (number("_HLS_msn")?, number("_HLS_part")?);
    let mut progress = app.ingest.progress();
    let mut left = 20;
    loop {
        progress.mark_unchanged();
        let reel = reel(&app, &id, track).await?.ok_or_else(Problem::not_found)?;
        let (text, extent) = playlist(&reel);
        let is_there = match (piece, part) {
            (None, _) => true,
            (Some(piece), None) => extent.runs > piece,
            (Some(piece), Some(part)) => extent.runs > piece || extent.runs == piece && extent.parts > part,
        };
        left -= 1;
        if is_there || !reel.live || left == 0 {
            return Ok(([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl")], text).into_response());
        }
        if !matches!(timeout(BLOCK, progress.changed()).await, Ok(Ok(()))) {
            left = 1;
        }
    }
}

/// `None`: it has no such track.
pub async fn reel(app: &App, id: &str, track: &str) -> Answer<Option<Reel>> {
    let about = app.db.recording(id).await?.ok_or_else(Problem::not_found)?;
    let held = app.db.fragments(id).await?;
    if !held.iter().any(|held| held.name.track == track) {
        return Ok(None);
    }
    Ok(Some(Reel::new(about.started.unwrap_or(0), about.live(), track, held)))
}

pub async fn may_watch(app: &App, person: &Person, recording: &str) -> Answer<()> {
    judge_recording(recording)?;
    let scope = app.db.scope(person).await?;
    match app.db.sees_recording(&scope, recording).await? {
        true => Ok(()),
        false => Err(Problem::not_found()),
    }
}

/// Who is recorded now.
pub async fn live(State(app): State<App>, person: Person) -> Answer<Json<Value>> {
    let scope = app.db.scope(&person).await?;
    let recordings = app.db.live(&scope, now_ms() - SILENCE_MS).await?;
    Ok(Json(json!({ "recordings": recordings })))
}
