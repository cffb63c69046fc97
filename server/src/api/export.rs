//! Exports footage as one file: a recording, or what is shown of an interaction.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use deskreel_fmp4::{FragmentInfo, ParameterSets};
use deskreel_model::{InteractionId, RecordingId};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use utoipa::ToSchema;

use super::files::send;
use super::input::{JsonBody, Path};
use super::interactions::may_see;
use super::media::{may_watch, reel};
use super::openapi::{
    BeyondTheEnd, BodyProblems, CallerProblems, InteractionPath, NoMovie, NoRoom, NotFound, RecordingPath,
    Unprocessable,
};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::interactions::Segment;
use crate::fragments::StoredFragment;
use crate::manifest::TRACK;
use crate::media::{ClipBuilder, Reel, ServedFile, Span, Take, TakeFragment, Turn, progressive, turns};
use crate::people::Person;
use crate::schema::Text;
use crate::time::now_ms;

/// Bytes of a fragment that are read for its tables. If it has hundreds of frames, all of it is read then.
const START: u64 = 4096;
/// Fragments whose tables are read at once.
const AHEAD: usize = 16;

/// A stretch of one recording's media time.
struct Stretch {
    recording: RecordingId,
    from_ns: u64,
    to_ns: u64,
}

/// A stretch with the footage that shows it.
struct ClipSource {
    recording: Arc<RecordingId>,
    reel: Reel,
    from_ns: u64,
    to_ns: u64,
}

/// Returns a recording as one MP4, with byte ranges.
#[utoipa::path(
    get,
    path = "/recordings/{recording}/movie.mp4",
    operation_id = "getMovie",
    tag = "media",
    params(
        RecordingPath,
        ("Range" = Option<String>, Header, description = "RFC 9110; ignored if it cannot be read"),
    ),
    responses(
        (status = 200, description = "Footage", content_type = "video/mp4"),
        (status = 206, description = "A range of it", content_type = "video/mp4"),
        CallerProblems, NotFound, BeyondTheEnd, Unprocessable, NoMovie, NoRoom,
    ),
)]
pub async fn recording(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let id = may_watch(&app, &person, &id).await?;
    app.audit_look(&person, "watched", id.as_str()).await?;
    let reel = reel(&app, &id, TRACK).await?.ok_or_else(Problem::not_found)?;
    let tag = format!("\"{}-{}\"", reel.parts.len(), reel.runs().map(|(_, run)| run.size()).sum::<u64>());
    let recording = Arc::new(id);
    let file = match progressive(&recording, &reel) {
        Some(file) => file,
        None => clip(&app, vec![ClipSource { recording, reel, from_ns: 0, to_ns: u64::MAX }]).await?,
    };
    send(&app, &file, &headers, &tag)
}

#[derive(Deserialize, ToSchema)]
pub struct Export {
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    recording: Option<RecordingId>,
    #[serde(default)]
    #[schema(default = 0, maximum = 18446744073709551615u64)]
    from_ms: u64,
    #[serde(default)]
    #[schema(maximum = 18446744073709551615u64)]
    to_ms: Option<u64>,
}

/// Exports footage as one MP4, which begins and ends with the frames that are on screen then.
///
/// Exports one recording, with times from its media time zero; or the interaction,
/// with times from its beginning, showing the screen of the agent who has the customer.
#[utoipa::path(
    post,
    path = "/interactions/{interaction}/export",
    operation_id = "exportClip",
    tag = "media",
    params(InteractionPath),
    request_body = Export,
    responses(
        (status = 200, description = "Footage", content_type = "video/mp4"),
        CallerProblems, BodyProblems, NotFound, NoMovie, NoRoom,
    ),
)]
pub async fn interaction(
    State(app): State<App>,
    person: Person,
    Path(interaction): Path<InteractionId>,
    JsonBody(wanted): JsonBody<Export>,
) -> Answer {
    let scope = may_see(&app, &person, &interaction).await?;
    let summary = app.db.summary(&scope, &interaction).await?.ok_or_else(Problem::not_found)?;
    let segments = app.db.segments(&scope, std::slice::from_ref(&interaction)).await?;
    let stretches = stretches(&wanted, &segments, summary.outline.started_ms)?;
    let subject = interaction.as_str();
    app.db.audit(person.name.as_str(), "exported", subject, Some(&describe(&wanted))).await?;
    let mut sources = Vec::with_capacity(stretches.len());
    for Stretch { recording, from_ns, to_ns } in stretches {
        let recording = may_watch(&app, &person, recording.as_str()).await?;
        // One of several recordings may be without this track.
        let Some(reel) = reel(&app, &recording, TRACK).await? else { continue };
        let (recording, reel) = (Arc::new(recording), reel.cut(from_ns, to_ns));
        sources.push(ClipSource { recording, reel, from_ns, to_ns });
    }
    let file = clip(&app, sources).await?;
    let mut response = send(&app, &file, &HeaderMap::new(), "\"export\"")?;
    let name = wanted.recording.as_ref().map_or(interaction.as_str(), RecordingId::as_str);
    let name = name.replace(|one: char| !one.is_ascii_alphanumeric() && !"._-".contains(one), "_");
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.mp4\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn stretches(wanted: &Export, segments: &[Segment], started: i64) -> Answer<Vec<Stretch>> {
    let (from, to) = (wanted.from_ms, wanted.to_ms);
    let Some(recording) = &wanted.recording else { return Ok(shown(segments, started, from, to)) };
    if !segments.iter().any(|segment| segment.recording.as_ref() == Some(recording)) {
        let title = "The recording does not belong to this interaction";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title));
    }
    let ns = |ms: u64| ms.saturating_mul(1_000_000);
    let (from_ns, to_ns) = (ns(from), to.map_or(u64::MAX, ns));
    Ok(vec![Stretch { recording: recording.clone(), from_ns, to_ns }])
}

/// The export, for the audit log.
fn describe(Export { recording, from_ms, to_ms }: &Export) -> String {
    let times = format!("{from_ms}-{}", to_ms.map_or("end".to_owned(), |to| to.to_string()));
    match recording {
        Some(recording) => format!("{recording} {times}"),
        None => times,
    }
}

/// The footage that is shown of an interaction, in milliseconds from its beginning.
fn shown(segments: &[Segment], started: i64, from: u64, to: Option<u64>) -> Vec<Stretch> {
    let moment = |ms: u64| started.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX));
    let (from, to) = (moment(from), to.map_or(i64::MAX, moment));
    let span = |segment: &'_ Segment| {
        let (begin, end) = (segment.from.max(from), segment.to.unwrap_or_else(now_ms).min(to));
        (segment.has_footage && begin < end).then_some((begin, end))
    };
    let spans: Vec<Span> = segments
        .iter()
        .filter_map(|segment| {
            let ((from, to), recording) = span(segment).zip(segment.recording.as_ref())?;
            Some(Span { recording, role: &segment.role, from, to })
        })
        .collect();
    let zero = |recording: &RecordingId| {
        let of = segments.iter().find(|segment| segment.recording.as_ref() == Some(recording));
        of.and_then(|segment| segment.zero).unwrap_or(started)
    };
    let media_ns = |at: i64, zero: i64| u64::try_from(at - zero).unwrap_or(0).saturating_mul(1_000_000);
    let stretch = |Turn { recording, from, to }: &Turn| {
        let zero = zero(recording);
        let (from_ns, to_ns) = (media_ns(*from, zero), media_ns(*to, zero));
        Stretch { recording: (*recording).clone(), from_ns, to_ns }
    };
    turns(&spans).iter().map(stretch).collect()
}

/// Reads the tables of every fragment, and lays all of them out in sequence.
async fn clip(app: &App, sources: Vec<ClipSource>) -> Answer<ServedFile> {
    let unreadable = |_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The footage cannot be read");
    let _turn = app.export_turn().await?;
    let mut clip = ClipBuilder::default();
    // Headers come first: whether keyframes need their parameter sets depends on all of them.
    let mut configs = Vec::new();
    for ClipSource { recording, reel, .. } in &sources {
        for part in &reel.parts {
            let header = app.store.get_range(recording, &part.header.sha256, 0..part.header.size).await?;
            let config = deskreel_fmp4::read_header(&header).map_err(unreadable)?.config;
            let config = clip.add_config(config);
            configs.push(config.map_err(|why| Problem::new(StatusCode::NOT_IMPLEMENTED, why))?);
        }
    }
    let mut configs = configs.into_iter();
    let mut takes = Vec::with_capacity(sources.len());
    for ClipSource { recording, reel, from_ns, to_ns } in sources {
        let mut stored = Vec::new();
        for (part, config) in reel.parts.into_iter().zip(configs.by_ref()) {
            let fragments = part.runs.into_iter().flat_map(|run| run.fragments);
            stored.extend(fragments.map(|(fragment, _)| (fragment, config)));
        }
        let read = |(fragment, config)| {
            read_fragment(app, &recording, fragment, config, clip.parameter_sets(config))
        };
        let fragments = stream::iter(stored).map(read).buffered(AHEAD).try_collect().await?;
        takes.push(Take { recording, from_ns, to_ns, fragments });
    }
    let file = clip.build(&takes).map_err(unreadable)?;
    file.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "There is no footage"))
}

/// Reads a fragment's tables, and the beginnings of its keyframes if parameter sets are to be inserted there.
async fn read_fragment(
    app: &App,
    recording: &RecordingId,
    stored: StoredFragment,
    config: usize,
    sets: Option<&ParameterSets>,
) -> Answer<TakeFragment> {
    let read = |range| app.store.get_range(recording, &stored.sha256, range);
    let mut start = read(0..stored.size.min(START)).await?;
    let mut info = deskreel_fmp4::read_fragment_start(&start, stored.size);
    if info.is_err() && stored.size > START {
        start = read(0..stored.size).await?;
        info = deskreel_fmp4::read_fragment_start(&start, stored.size);
    }
    let info: FragmentInfo =
        info.map_err(|_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The footage cannot be read"))?;
    let mut set_offsets = Vec::new();
    let mut at = info.payload;
    for sample in &info.samples {
        if let (true, Some(sets)) = (sample.keyframe, sets) {
            let end = at + sample.size.min(ParameterSets::START);
            let beginning = match start.get(at..end) {
                Some(beginning) => Bytes::copy_from_slice(beginning),
                None => read(at as u64..end as u64).await?,
            };
            set_offsets.push(sets.place(&beginning));
        }
        at += sample.size;
    }
    Ok(TakeFragment { stored, config, info, set_offsets })
}
