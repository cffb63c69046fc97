//! Footage as one file: a recording, or what is shown of an interaction.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use deskreel_fmp4::{FragmentInfo, ParameterSets};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::caller::Person;
use super::files::send;
use super::input::{Input, Path};
use super::interactions::may_see;
use super::media::{may_watch, reel};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::interactions::Segment;
use crate::db::recordings::Held;
use crate::manifest::TRACK;
use crate::media::{File, Film, Frames, Reel, Span, Take, movie, turns};
use crate::time::now_ms;

/// The tables of a fragment are shorter than this, unless it has hundreds of frames; then it is read once more.
const START: u64 = 4096;
/// Fragments that are looked into at one time.
const AHEAD: usize = 16;

pub async fn recording(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    may_watch(&app, &person, &id).await?;
    app.seen(&person, "watched", &id).await?;
    let reel = reel(&app, &id, TRACK).await?.ok_or_else(Problem::not_found)?;
    let tag = format!("\"{}-{}\"", reel.parts.len(), reel.runs().map(|(_, run)| run.size()).sum::<u64>());
    let id: Arc<str> = id.into();
    let file = match movie(&id, &reel) {
        Some(file) => file,
        None => film(&app, vec![(id, reel, 0, u64::MAX)]).await?,
    };
    send(&app, &file, &headers, &tag)
}

#[derive(Deserialize)]
pub struct Export {
    #[serde(default)]
    recording: Option<String>,
    #[serde(default)]
    from_ms: u64,
    #[serde(default)]
    to_ms: Option<u64>,
}

/// Of one recording, counted from its media time zero; or of the interaction, counted from its beginning, with the screen of
/// whoever has the customer.
pub async fn interaction(
    State(app): State<App>,
    person: Person,
    Path(interaction): Path<String>,
    Input(wanted): Input<Export>,
) -> Answer {
    let scope = may_see(&app, &person, &interaction).await?;
    let summary = app.db.summary(&scope, &interaction).await?.ok_or_else(Problem::not_found)?;
    let segments = app.db.segments(&scope, std::slice::from_ref(&interaction)).await?;
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let (from, to) = (wanted.from_ms, wanted.to_ms);
    let stretches = match &wanted.recording {
        Some(recording) => {
            if !segments.iter().any(|segment| segment.recording.as_ref() == Some(recording)) {
                let title = "The recording is none of this interaction";
                return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title));
            }
            vec![(recording.clone(), ns(from), to.map_or(u64::MAX, ns))]
        }
        None => shown(&segments, summary.started_ms, from, to),
    };
    let whole = format!("{from}-{}", to.map_or("end".to_owned(), |to| to.to_string()));
    let detail = wanted.recording.iter().fold(whole, |whole, recording| format!("{recording} {whole}"));
    app.db.audit(&person.name, "exported", &interaction, Some(&detail)).await?;
    let mut takes = Vec::with_capacity(stretches.len());
    for (recording, from_ns, to_ns) in stretches {
        may_watch(&app, &person, &recording).await?;
        // Of several, one without this track is no reason to have none.
        let Some(reel) = reel(&app, &recording, TRACK).await? else { continue };
        takes.push((Arc::from(recording), reel.cut(from_ns, to_ns), from_ns, to_ns));
    }
    let file = film(&app, takes).await?;
    let mut response = send(&app, &file, &HeaderMap::new(), "\"export\"")?;
    let name = wanted.recording.unwrap_or(interaction);
    let name = name.replace(|one: char| !one.is_ascii_alphanumeric() && !"._-".contains(one), "_");
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.mp4\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Recordings, and which media time of each, in nanoseconds.
fn shown(segments: &[Segment], started: i64, from: u64, to: Option<u64>) -> Vec<(String, u64, u64)> {
    let moment = |ms: u64| started.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
    let (from, to) = (moment(from), to.map_or(i64::MAX, moment));
    let span = |segment: &'_ Segment| {
        let (begin, end) = (segment.from.max(from), segment.to.unwrap_or_else(now_ms).min(to));
        (segment.is_there && begin < end).then_some((begin, end))
    };
    let spans: Vec<Span> = segments
        .iter()
        .filter_map(|segment| {
            let ((from, to), recording) = span(segment).zip(segment.recording.as_deref())?;
            Some(Span { recording, role: &segment.role, from, to })
        })
        .collect();
    let zero = |recording: &str| {
        let of = segments.iter().find(|segment| segment.recording.as_deref() == Some(recording));
        of.and_then(|segment| segment.zero).unwrap_or(started)
    };
    let media = |at: i64, zero: i64| u64::try_from(at - zero).unwrap_or(0).saturating_mul(1_000_000);
    let turn = |turn: &crate::media::Turn| {
        let zero = zero(turn.recording);
        (turn.recording.to_owned(), media(turn.from, zero), media(turn.to, zero))
    };
    turns(&spans).iter().map(turn).collect()
}

/// Looks into each fragment, and lays them one behind the other.
async fn film(app: &App, takes: Vec<(Arc<str>, Reel, u64, u64)>) -> Answer<File> {
    let unreadable = |_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The footage cannot be read");
    let _turn = app.exporting().await?;
    let mut film = Film::default();
    // Before any fragment: whether keyframes need their parameter sets depends on all headers.
    let mut configs = Vec::new();
    for (recording, reel, ..) in &takes {
        for part in &reel.parts {
            let header = app.store.get_range(recording, &part.header.sha256, 0..part.header.size).await?;
            let config = deskreel_fmp4::read_header(&header).map_err(unreadable)?.config;
            configs.push(film.config(config).map_err(|why| Problem::new(StatusCode::NOT_IMPLEMENTED, why))?);
        }
    }
    let mut configs = configs.into_iter();
    let mut read = Vec::with_capacity(takes.len());
    for (recording, reel, from_ns, to_ns) in takes {
        let mut held = Vec::new();
        for (part, config) in reel.parts.into_iter().zip(configs.by_ref()) {
            held.extend(part.runs.into_iter().flat_map(|run| run.fragments).map(|(held, _)| (held, config)));
        }
        let look = |(held, config)| look(app, &recording, held, config, film.sets(config));
        let fragments = stream::iter(held).map(look).buffered(AHEAD).try_collect().await?;
        read.push(Take { recording, from_ns, to_ns, fragments });
    }
    let file = film.lay(&read).map_err(unreadable)?;
    file.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "There is no footage"))
}

/// The tables of a fragment, and how its keyframes begin where that matters.
async fn look(
    app: &App,
    recording: &str,
    held: Held,
    config: usize,
    sets: Option<&ParameterSets>,
) -> Answer<Frames> {
    let read = |range| app.store.get_range(recording, &held.sha256, range);
    let mut start = read(0..held.size.min(START)).await?;
    let mut info = deskreel_fmp4::read_fragment_start(&start, held.size);
    if info.is_err() && held.size > START {
        start = read(0..held.size).await?;
        info = deskreel_fmp4::read_fragment_start(&start, held.size);
    }
    let info: FragmentInfo =
        info.map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The footage cannot be read"))?;
    let mut places = Vec::new();
    let mut at = info.payload;
    for sample in &info.samples {
        if let (true, Some(sets)) = (sample.keyframe, sets) {
            let end = at + sample.size.min(ParameterSets::START);
            let begins = match start.get(at..end) {
                Some(begins) => axum::body::Bytes::copy_from_slice(begins),
                None => read(at as u64..end as u64).await?,
            };
            places.push(sets.place(&begins));
        }
        at += sample.size;
    }
    Ok(Frames { held, config, info, places })
}
