//! Searches interactions, and shows one.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use deskreel_model::{AgentId, CallId, InteractionId, Place, RecordingId};
use serde::Serialize;
use utoipa::ToSchema;

use super::input::{Pairs, Path};
use super::openapi::{BadRequest, CallerProblems, InteractionPath, NoRoom, NotFound, SearchQuery};
use super::problem::{Answer, Problem};
use crate::account::AccountView;
use crate::app::App;
use crate::db::annotations::Note;
use crate::db::interactions::{Call, Filter, Outline, Segment, Summary};
use crate::db::scope::Scope;
use crate::manifest::{Manifest, ManifestTrack};
use crate::people::Person;
use crate::schema::Time;
use crate::time::{self, rfc3339};

const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 500;
/// Conditions on attached data and tags that one search may have.
const CONDITIONS: usize = 16;

#[derive(Serialize, ToSchema)]
pub struct InteractionPage {
    interactions: Vec<Summary>,
    /// `cursor` of the next page.
    next: Option<String>,
}

/// Finds interactions, newest first.
///
/// All conditions must match. `attached.KEY` asks for attached data.
/// Any other key is 400.
#[utoipa::path(
    get,
    path = "/interactions",
    operation_id = "findInteractions",
    tag = "interactions",
    params(SearchQuery),
    responses(
        (status = 200, description = "Newest first", body = InteractionPage),
        BadRequest, CallerProblems,
    ),
)]
pub async fn find(State(app): State<App>, person: Person, query: Pairs) -> Answer<Json<InteractionPage>> {
    let filter = filter(&query)?;
    let scope = app.db.scope(&person).await?;
    let mut interactions = app.db.find(&scope, &filter).await?;
    let more = interactions.len() > filter.limit as usize;
    interactions.truncate(filter.limit as usize);
    let last = interactions.last().filter(|_| more);
    let next = last.map(|last| cursor(last.outline.started_ms, &last.outline.interaction));
    Ok(Json(InteractionPage { interactions, next }))
}

fn filter(query: &Pairs) -> Answer<Filter> {
    let mut filter = Filter { limit: PAGE, ..Filter::default() };
    for (key, value) in &query.0 {
        let wrong = || Problem::bad_request(format!("`{}` is not a value of `{}`", short(value), short(key)));
        let number = || value.parse().ok().filter(|number: &i64| *number >= 0).ok_or_else(wrong);
        let at = || time::parse(value).ok_or_else(wrong);
        let text = || Some(value.clone());
        match key.as_str() {
            "agent" => filter.agent = Some(value.as_str().into()),
            "group" => filter.group = text(),
            "call" => filter.call = Some(value.as_str().into()),
            "label" => filter.label = text(),
            "media" => filter.media = text(),
            "direction" => filter.direction = text(),
            "role" => filter.role = text(),
            "from" => filter.from = Some(at()?),
            "to" => filter.to = Some(at()?),
            "min_ms" => filter.min_ms = Some(number()?),
            "max_ms" => filter.max_ms = Some(number()?),
            "tag" => {
                let (name, value) =
                    value.split_once('=').map_or((value.as_str(), None), |(n, v)| (n, Some(v)));
                filter.tags.push((name.to_owned(), value.map(str::to_owned)));
            }
            "cursor" => filter.after = Some(read_cursor(value).ok_or_else(wrong)?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
                filter.limit = limit.ok_or_else(wrong)?;
            }
            key => match key.strip_prefix("attached.") {
                Some(name) => filter.attached.push((name.to_owned(), value.clone())),
                None => {
                    let title = format!("There is no search condition `{}`", short(key));
                    return Err(Problem::bad_request(title));
                }
            },
        }
        if filter.attached.len() + filter.tags.len() > CONDITIONS {
            return Err(Problem::bad_request("The search has too many conditions"));
        }
    }
    Ok(filter)
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

fn cursor(started: i64, interaction: &InteractionId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{started}:{interaction}"))
}

fn read_cursor(text: &str) -> Option<(i64, InteractionId)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (started, interaction) = text.split_once(':')?;
    if interaction.contains('\0') {
        return None;
    }
    Some((started.parse().ok()?, interaction.into()))
}

/// An interaction with everything that belongs to it.
#[derive(Serialize, ToSchema)]
#[schema(as = Interaction)]
pub struct WholeInteraction {
    #[serde(flatten)]
    outline: Outline,
    segments: Vec<SegmentView>,
    calls: Vec<Call>,
    footage: Vec<FootageView>,
    notes: Vec<Note>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Segment)]
pub struct SegmentView {
    #[schema(value_type = String)]
    agent: AgentId,
    #[schema(value_type = Option<String>)]
    place: Option<Place>,
    #[schema(value_type = Option<String>)]
    recording: Option<RecordingId>,
    #[schema(value_type = Option<String>)]
    call: Option<CallId>,
    role: String,
    #[schema(value_type = Time)]
    from: String,
    #[schema(value_type = Option<Time>)]
    to: Option<String>,
    /// From media time zero of the recording.
    #[schema(minimum = 0)]
    offset_ms: i64,
    duration_ms: Option<i64>,
    why: String,
    /// For each moment, whether there is footage, and why not.
    account: Vec<AccountView>,
}

/// The footage of a segment, by its manifest as soon as there is one.
#[derive(Serialize, ToSchema)]
#[schema(as = Footage)]
pub struct FootageView {
    #[schema(value_type = String)]
    recording: RecordingId,
    #[schema(value_type = String)]
    agent: AgentId,
    #[schema(value_type = Time)]
    started: String,
    #[schema(value_type = Option<Time>)]
    ended: Option<String>,
    live: bool,
    /// Tracks with stored footage, in the order in which players show them.
    tracks: Vec<String>,
    withheld: Vec<WithheldView>,
    gaps: Vec<GapView>,
    /// Known once the recording is closed.
    still: Vec<StillView>,
    parts: Vec<PartView>,
    /// Why there is no footage.
    missing: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Withheld)]
pub struct WithheldView {
    from_ms: f64,
    to_ms: Option<f64>,
    capture: String,
    why: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Gap)]
pub struct GapView {
    track: String,
    from_ms: f64,
    to_ms: f64,
    cause: String,
}

/// A stretch in which nothing moved.
#[derive(Serialize, ToSchema)]
#[schema(as = Still)]
pub struct StillView {
    track: String,
    from_ms: f64,
    to_ms: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Part)]
pub struct PartView {
    track: String,
    number: u32,
    codec: Option<String>,
    width: Option<u32>,
    height: Option<u32>,
}

/// Returns one interaction with its segments, calls, footage and notes.
#[utoipa::path(
    get,
    path = "/interactions/{interaction}",
    operation_id = "showInteraction",
    tag = "interactions",
    params(InteractionPath),
    responses(
        (status = 200, description = "With everything that belongs to it", body = WholeInteraction),
        CallerProblems, NotFound, NoRoom,
    ),
)]
pub async fn one(
    State(app): State<App>,
    person: Person,
    Path(id): Path<InteractionId>,
) -> Answer<Json<WholeInteraction>> {
    let scope = may_see(&app, &person, &id).await?;
    let Summary { outline, .. } = app.db.summary(&scope, &id).await?.ok_or_else(Problem::not_found)?;
    app.audit_look(&person, "saw", id.as_str()).await?;
    let segments = app.db.segments(&scope, std::slice::from_ref(&id)).await?;
    let mut footage = Vec::new();
    let mut described: Vec<&RecordingId> = Vec::new();
    for segment in &segments {
        let Some(recording) = &segment.recording else { continue };
        if !described.contains(&recording) {
            described.push(recording);
            footage.push(describe(&app, segment, recording).await?);
        }
    }
    let calls = app.db.calls(&id).await?;
    let notes = app.db.notes(&id).await?;
    let segments = segments.into_iter().map(SegmentView::from).collect();
    Ok(Json(WholeInteraction { outline, segments, calls, footage, notes }))
}

impl From<Segment> for SegmentView {
    fn from(segment: Segment) -> SegmentView {
        SegmentView {
            offset_ms: segment.zero.map_or(0, |zero| (segment.from - zero).max(0)),
            duration_ms: segment.to.map(|to| to - segment.from),
            from: rfc3339(segment.from),
            to: segment.to.map(rfc3339),
            agent: segment.agent,
            place: segment.place,
            recording: segment.recording,
            call: segment.call,
            role: segment.role,
            why: segment.why,
            account: segment.account.iter().map(AccountView::from).collect(),
        }
    }
}

async fn describe(app: &App, segment: &Segment, recording: &RecordingId) -> Answer<FootageView> {
    let manifest = app.db.documents(recording).await?.manifest;
    let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_str(&text).ok());
    let zero = segment.zero.unwrap_or(segment.from);
    let mut view = FootageView {
        recording: recording.clone(),
        agent: segment.agent.clone(),
        started: rfc3339(zero),
        ended: None,
        live: segment.live,
        tracks: app.db.tracks(recording).await?,
        withheld: Vec::new(),
        gaps: Vec::new(),
        still: Vec::new(),
        parts: Vec::new(),
        missing: segment.missing(),
    };
    if let Some(manifest) = manifest {
        let end = zero + i64::try_from(manifest.end_ns() / 1_000_000).unwrap_or(0);
        view.ended = Some(rfc3339(end));
        view.add(manifest);
    }
    Ok(view)
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

impl GapView {
    pub fn of(track: &ManifestTrack) -> impl Iterator<Item = GapView> {
        track.gaps.iter().map(|gap| GapView {
            track: track.name.clone(),
            from_ms: ms(gap.from),
            to_ms: ms(gap.to),
            cause: gap.cause.clone(),
        })
    }
}

impl PartView {
    pub fn of(track: &ManifestTrack) -> impl Iterator<Item = PartView> {
        track.parts.iter().map(|part| PartView {
            track: track.name.clone(),
            number: part.number,
            codec: part.codec.clone(),
            width: part.width,
            height: part.height,
        })
    }
}

impl FootageView {
    fn add(&mut self, manifest: Manifest) {
        for one in manifest.withheld {
            let (from_ms, to_ms) = (ms(one.from), one.to.map(ms));
            self.withheld.push(WithheldView { from_ms, to_ms, capture: one.capture, why: one.why });
        }
        for track in manifest.tracks {
            for (from, to) in track.still() {
                let (from_ms, to_ms) = (ms(from), ms(to));
                self.still.push(StillView { track: track.name.clone(), from_ms, to_ms });
            }
            self.gaps.extend(GapView::of(&track));
            self.parts.extend(PartView::of(&track));
        }
    }
}

/// The person's scope, if they may see the interaction.
pub async fn may_see(app: &App, person: &Person, interaction: &InteractionId) -> Answer<Scope> {
    let scope = app.db.scope(person).await?;
    match app.db.sees_interaction(&scope, interaction).await? {
        true => Ok(scope),
        false => Err(Problem::not_found()),
    }
}
