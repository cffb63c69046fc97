//! Footage for players.

use std::ops::Range;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::caller::{Caller, Person};
use super::ingest::{self, judge_recording};
use super::input::{Input, Pairs, Path};
use super::interactions::may_see;
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::interactions::SILENCE_MS;
use crate::media::{Movie, Piece, Reel, playlist};
use crate::time::{now_ms, rfc3339};

/// A player waits so long for the next fragment, and then asks again.
const BLOCK: Duration = Duration::from_secs(6);
/// Fragments that one request may ask for: more than a run of ten minutes has.
const MOST: u32 = 1000;
/// The track that players show.
const TRACK: &str = "video";

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
    let pieces = held.into_iter().map(|held| (Piece::Object(held.sha256, held.size), 0..held.size));
    let mut response = pour(&app, &id, pieces.collect()).into_response();
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
        let reel = reel(&app, &id, track).await?;
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

pub async fn movie(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    may_watch(&app, &person, &id).await?;
    app.seen(&person, "watched", &id).await?;
    let reel = reel(&app, &id, TRACK).await?;
    let tag = format!("\"{}-{}\"", reel.parts.len(), reel.runs().map(|(_, run)| run.size()).sum::<u64>());
    send(&app, &id, &reel, &headers, &tag)
}

#[derive(Deserialize)]
pub struct Export {
    recording: String,
    #[serde(default)]
    from_ms: u64,
    #[serde(default)]
    to_ms: Option<u64>,
}

/// From the last keyframe before `from_ms` to the end of the run at `to_ms`.
pub async fn export(
    State(app): State<App>,
    person: Person,
    Path(interaction): Path<String>,
    Input(wanted): Input<Export>,
) -> Answer {
    let scope = may_see(&app, &person, &interaction).await?;
    let segments = app.db.segments(&scope, std::slice::from_ref(&interaction)).await?;
    let Export { recording, from_ms, to_ms } = wanted;
    if !segments.iter().any(|segment| segment.recording.as_deref() == Some(recording.as_str())) {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The recording is none of this interaction",
        ));
    }
    may_watch(&app, &person, &recording).await?;
    let stretch = format!("{recording} {from_ms}-{}", to_ms.map_or("end".to_owned(), |to| to.to_string()));
    app.db.audit(&person.name, "exported", &interaction, Some(&stretch)).await?;
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let reel = reel(&app, &recording, TRACK).await?.cut(ns(from_ms), to_ms.map_or(u64::MAX, ns));
    let mut response = send(&app, &recording, &reel, &HeaderMap::new(), "\"export\"")?;
    let name = format!("attachment; filename=\"{recording}.mp4\"");
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

async fn reel(app: &App, id: &str, track: &str) -> Answer<Reel> {
    let about = app.db.recording(id).await?.ok_or_else(Problem::not_found)?;
    let held = app.db.fragments(id).await?;
    if !held.iter().any(|held| held.name.track == track) {
        return Err(Problem::not_found());
    }
    Ok(Reel::new(about.started.unwrap_or(0), about.live(), track, held))
}

/// The whole, or the range that is asked for.
fn send(app: &App, id: &str, reel: &Reel, headers: &HeaderMap, tag: &str) -> Answer {
    let movie = Movie::new(reel).map_err(|why| {
        let empty = reel.parts.is_empty();
        let status = if empty { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::NOT_IMPLEMENTED };
        Problem::new(status, why)
    })?;
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let same = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let (status, range) = match range.filter(|_| same).map(|text| byte_range(text, movie.size)) {
        None | Some(Wanted::All) => (StatusCode::OK, 0..movie.size),
        Some(Wanted::Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Wanted::Nothing) => {
            let mut response =
                Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "The file ends before that").into_response();
            content_range(response.headers_mut(), &format!("bytes */{}", movie.size));
            return Ok(response);
        }
    };
    let mut response = (status, pour(app, id, movie.pieces(range.clone()))).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        content_range(headers, &format!("bytes {}-{}/{}", range.start, range.end - 1, movie.size));
    }
    Ok(response)
}

fn content_range(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Also where several ranges are asked for, or none that can be read: a server may answer so.
    All,
    Some(Range<u64>),
    Nothing,
}

fn byte_range(text: &str, size: u64) -> Wanted {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|text| text.split_once('-')) else {
        return Wanted::All;
    };
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) if to.is_empty() => from..size,
        (Err(_), Ok(last)) if from.is_empty() => size.saturating_sub(last)..size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Some(range) }
}

/// One object after the other, two ahead; never more in memory.
fn pour(app: &App, id: &str, pieces: Vec<(Piece, Range<u64>)>) -> Body {
    let (app, id) = (app.clone(), id.to_owned());
    let read = move |(piece, range): (Piece, Range<u64>)| {
        let (app, id) = (app.clone(), id.clone());
        async move {
            match piece {
                Piece::Bytes(bytes) => {
                    let (from, to) = (range.start as usize, range.end as usize);
                    Ok(bytes.get(from..to).map(Bytes::copy_from_slice).unwrap_or_default())
                }
                Piece::Object(sha256, _) => app.store.get_range(&id, &sha256, range).await,
            }
        }
    };
    Body::from_stream(stream::iter(pieces).map(read).buffered(2).map_err(std::io::Error::other))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        for (text, wanted) in [
            ("bytes=0-9", Wanted::Some(0..10)),
            ("bytes=90-", Wanted::Some(90..100)),
            ("bytes=-5", Wanted::Some(95..100)),
            ("bytes=-500", Wanted::Some(0..100)),
            ("bytes=50-18446744073709551615", Wanted::Some(50..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-3", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("lines=0-9", Wanted::All),
        ] {
            assert_eq!(byte_range(text, 100), wanted, "{text}");
        }
    }
}
