//! Exports footage as one file: a recording, or what is shown of an interaction.

use std::collections::BTreeMap;
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
use super::input::{JsonBody, Pairs, Path};
use super::interactions::may_see;
use super::media::{may_watch, reel};
use super::openapi::{
    BadRequest, BeyondTheEnd, BodyProblems, CallerProblems, InteractionPath, Lost, NoMovie, NoRoom, NotFound,
    RecordingPath, Unprocessable,
};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::interactions::Segment;
use crate::fragments::{StoredFragment, TRACK};
use crate::manifest::{Manifest, ManifestGap};
use crate::media::{
    ClipBuilder, Hole, Reel, ReelPart, ServedFile, Span, Take, TakeFragment, TakeHole, Turn, holes,
    progressive, turns,
};
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

/// A stretch with the footage that shows it, of the whole track.
struct ClipSource {
    recording: Arc<RecordingId>,
    reel: Reel,
    gaps: Vec<ManifestGap>,
    from_ns: u64,
    to_ns: u64,
}

impl ClipSource {
    /// `None`: the recording has no such track.
    async fn open(app: &App, stretch: Stretch, track: Option<&str>) -> Answer<Option<(String, ClipSource)>> {
        let Stretch { recording, from_ns, to_ns } = stretch;
        let Some((track, reel)) = reel(app, &recording, track).await? else { return Ok(None) };
        let manifest = app.db.documents(&recording).await?.manifest;
        let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_str(&text).ok());
        let tracks = manifest.map(|manifest| manifest.tracks).unwrap_or_default();
        let gaps = tracks.into_iter().find(|one| one.name == track).map(|track| track.gaps);
        let gaps = gaps.unwrap_or_default();
        Ok(Some((track, ClipSource { recording: Arc::new(recording), reel, gaps, from_ns, to_ns })))
    }

    fn holes(&self) -> Vec<Hole> {
        holes(&self.reel, &self.gaps, self.from_ns, self.to_ns)
    }
}

/// Returns a recording as one MP4, with byte ranges.
#[utoipa::path(
    get,
    path = "/recordings/{recording}/movie.mp4",
    operation_id = "getMovie",
    tag = "media",
    params(
        RecordingPath,
        ("track" = Option<String>, Query, description = "The first one if it is left out", example = "video"),
        ("Range" = Option<String>, Header, description = "RFC 9110; ignored if it cannot be read"),
    ),
    responses(
        (status = 200, description = "Footage", content_type = "video/mp4"),
        (status = 206, description = "A range of it", content_type = "video/mp4"),
        BadRequest, CallerProblems, NotFound, Lost, BeyondTheEnd, Unprocessable, NoMovie, NoRoom,
    ),
)]
pub async fn recording(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    query: Pairs,
    headers: HeaderMap,
) -> Answer {
    let id = may_watch(&app, &person, &id).await?;
    app.audit_look(&person, "watched", id.as_str()).await?;
    let whole = Stretch { recording: id, from_ns: 0, to_ns: u64::MAX };
    let opened = ClipSource::open(&app, whole, query.get("track")).await?;
    let (track, source) = opened.ok_or_else(Problem::not_found)?;
    let runs = source.reel.runs().map(|(_, run)| run.size()).sum::<u64>();
    let holes = source.holes();
    let tag = format!("\"{}-{runs}-{}\"", source.reel.parts.len(), holes.len());
    let file = match progressive(&source.recording, &source.reel).filter(|_| holes.is_empty()) {
        Some(file) => file,
        None => clip(&app, &track, vec![source]).await?,
    };
    send(&app, &file, &headers, &tag).await
}

#[derive(Deserialize, ToSchema)]
pub struct Export {
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    recording: Option<RecordingId>,
    /// The track of each recording; the first one if it is left out, or if a recording has no such track.
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    track: Option<String>,
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
/// In a gap, a slate has the reason and the time (UTC).
/// H.265 and AV1 have no slates: the gap is left out.
#[utoipa::path(
    post,
    path = "/interactions/{interaction}/export",
    operation_id = "exportClip",
    tag = "media",
    params(InteractionPath),
    request_body = Export,
    responses(
        (status = 200, description = "Footage", content_type = "video/mp4"),
        CallerProblems, BodyProblems, NotFound, Lost, NoMovie, NoRoom,
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
    let mut name = wanted.track.clone();
    for stretch in stretches {
        may_watch(&app, &person, stretch.recording.as_str()).await?;
        let tracks = app.db.tracks(&stretch.recording).await?;
        let track = wanted.track.as_ref().filter(|track| tracks.contains(track)).or(tracks.first());
        let opened = ClipSource::open(&app, stretch, track.map(String::as_str)).await?;
        let Some((track, source)) = opened else { continue };
        name.get_or_insert(track);
        sources.push(source);
    }
    let file = clip(&app, name.as_deref().unwrap_or(TRACK), sources).await?;
    let mut response = send(&app, &file, &HeaderMap::new(), "\"export\"").await?;
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
fn describe(Export { recording, track, from_ms, to_ms }: &Export) -> String {
    let times = format!("{from_ms}-{}", to_ms.map_or("end".to_owned(), |to| to.to_string()));
    let track = track.iter().map(|track| format!("{track} "));
    recording.iter().map(|recording| format!("{recording} ")).chain(track).chain([times]).collect()
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
async fn clip(app: &App, track: &str, sources: Vec<ClipSource>) -> Answer<ServedFile> {
    let _turn = app.export_turn().await?;
    let mut clip = ClipBuilder::default();
    // Headers and slates come first: whether keyframes need their parameter sets depends on all of them.
    let mut described = Vec::with_capacity(sources.len());
    for source in sources {
        described.push(describe_source(app, &mut clip, source).await?);
    }
    let mut takes = Vec::with_capacity(described.len());
    for DescribedSource { source, configs, holes } in described {
        let ClipSource { recording, reel, from_ns, to_ns, .. } = source;
        let fragments = reel.cut(from_ns, to_ns).parts.into_iter().flat_map(|part| {
            let config = configs.get(&part.number).copied();
            let fragments = part.runs.into_iter().flat_map(|run| run.fragments);
            fragments.filter_map(move |(fragment, _)| Some((fragment, config?)))
        });
        let read = |(fragment, config)| {
            read_fragment(app, &recording, fragment, config, clip.parameter_sets(config))
        };
        let fragments = stream::iter(fragments.collect::<Vec<_>>());
        let fragments = fragments.map(read).buffered(AHEAD).try_collect().await?;
        takes.push(Take { recording, from_ns, to_ns, fragments, holes });
    }
    let file = clip.build(track, &takes).map_err(|_| unreadable())?;
    file.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "There is no footage"))
}

/// A source with the configurations of its parts by their numbers, and its holes.
struct DescribedSource {
    source: ClipSource,
    configs: BTreeMap<u32, usize>,
    holes: Vec<TakeHole>,
}

async fn describe_source(app: &App, clip: &mut ClipBuilder, source: ClipSource) -> Answer<DescribedSource> {
    let holes = source.holes();
    let overlaps = |part: &ReelPart| {
        let mut runs = part.runs.iter();
        runs.any(|run| run.end_ns() > source.from_ns && run.start_ns() < source.to_ns)
    };
    let needed = source.reel.parts.iter().filter(|part| {
        // A slate has the size of the pictures before it.
        overlaps(part) || holes.iter().any(|hole| hole.part == part.number)
    });
    let mut configs = BTreeMap::new();
    for part in needed {
        let header = &part.header;
        let header = app.store.get_range(&source.recording, &header.sha256, 0..header.size).await?;
        let config = deskreel_fmp4::read_header(&header).map_err(|_| unreadable())?.config;
        let config = clip.add_config(config).map_err(|why| Problem::new(StatusCode::NOT_IMPLEMENTED, why))?;
        configs.insert(part.number, config);
    }
    let zero_ms = source.reel.zero_ms;
    let slate = |hole: Hole| {
        let config = configs.get(&hole.part);
        let slate = config.and_then(|config| clip.slate(*config, &hole.lines(zero_ms)));
        TakeHole { from_ns: hole.from_ns, to_ns: hole.to_ns, slate }
    };
    let holes = holes.into_iter().map(slate).collect();
    Ok(DescribedSource { source, configs, holes })
}

fn unreadable() -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "The footage cannot be read")
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
    let info: FragmentInfo = info.map_err(|_| unreadable())?;
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
