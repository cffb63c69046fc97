//! Finding interactions, looking at one, and what people do to it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::{Person, Role};
use super::input::{Input, Pairs, Path, words};
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::db::annotations::{Deleting, Note, note_id};
use crate::db::interactions::{Filter, Segment};
use crate::db::visible::Scope;
use crate::manifest::{Manifest, TRACK};
use crate::time::{self, rfc3339};

const PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 500;

pub async fn find(State(app): State<App>, person: Person, query: Pairs) -> Answer<Json<Value>> {
    let filter = filter(&query)?;
    let scope = app.db.scope(&person).await?;
    let mut found = app.db.find(&scope, &filter).await?;
    let more = found.len() > filter.limit as usize;
    found.truncate(filter.limit as usize);
    let next = found.last().filter(|_| more).map(|last| cursor(last.started_ms, &last.interaction));
    Ok(Json(json!({ "interactions": found, "next": next })))
}

fn filter(query: &Pairs) -> Answer<Filter> {
    let mut filter = Filter { limit: PAGE, ..Filter::default() };
    for (key, value) in &query.0 {
        let wrong = || Problem::bad_request(format!("`{}` is not a value of `{}`", short(value), short(key)));
        let number = || value.parse().ok().filter(|number: &i64| *number >= 0).ok_or_else(wrong);
        let at = || time::parse(value).ok_or_else(wrong);
        let text = || Some(value.clone());
        match key.as_str() {
            "agent" => filter.agent = text(),
            "group" => filter.group = text(),
            "call" => filter.call = text(),
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
                    return Err(Problem::bad_request(format!("Nothing can be found by `{}`", short(key))));
                }
            },
        }
        if filter.attached.len() + filter.tags.len() > 16 {
            return Err(Problem::bad_request("These are too many conditions"));
        }
    }
    Ok(filter)
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

fn cursor(started: i64, interaction: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{started}:{interaction}"))
}

fn read_cursor(text: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (started, interaction) = text.split_once(':')?;
    if interaction.contains('\0') {
        return None;
    }
    Some((started.parse().ok()?, interaction.to_owned()))
}

pub async fn one(State(app): State<App>, person: Person, Path(id): Path<String>) -> Answer<Json<Value>> {
    let scope = may_see(&app, &person, &id).await?;
    let summary = app.db.summary(&scope, &id).await?.ok_or_else(Problem::not_found)?;
    app.seen(&person, "saw", &id).await?;
    let segments = app.db.segments(&scope, std::slice::from_ref(&id)).await?;
    let mut footage = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for segment in &segments {
        let Some(recording) = segment.recording.as_deref() else { continue };
        if !told.contains(&recording) {
            told.push(recording);
            footage.push(describe(&app, segment, recording).await?);
        }
    }
    let Value::Object(mut whole) = json!(summary) else { return Err(Problem::not_found()) };
    whole.insert("segments".to_owned(), segments.iter().map(segment).collect());
    whole.insert("calls".to_owned(), app.db.calls(&id).await?.into());
    whole.insert("footage".to_owned(), footage.into());
    whole.insert("notes".to_owned(), json!(app.db.notes(&id).await?));
    Ok(Json(Value::Object(whole)))
}

/// `offset_ms` counts from media time zero of the recording.
fn segment(segment: &Segment) -> Value {
    let offset = segment.zero.map_or(0, |zero| (segment.from - zero).max(0));
    json!({
        "agent": segment.agent, "place": segment.place, "recording": segment.recording, "call": segment.call,
        "role": segment.role, "from": rfc3339(segment.from), "to": segment.to.map(rfc3339), "offset_ms": offset,
        "duration_ms": segment.to.map(|to| to - segment.from), "why": segment.why,
    })
}

/// The footage behind a segment, by its manifest as far as there is one.
pub async fn describe(app: &App, segment: &Segment, recording: &str) -> Answer<Value> {
    let (manifest, _) = app.db.documents(recording).await?;
    let manifest: Option<Manifest> = manifest.and_then(|text| serde_json::from_str(&text).ok());
    let zero = segment.zero.unwrap_or(segment.from);
    let ms = |ns: u64| ns as f64 / 1e6;
    let (mut withheld, mut gaps, mut still, mut parts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    if let Some(manifest) = &manifest {
        for one in &manifest.withheld {
            let to = one.to.map(ms);
            withheld.push(
                json!({ "from_ms": ms(one.from), "to_ms": to, "capture": one.capture, "why": one.why }),
            );
        }
        for track in &manifest.tracks {
            for gap in &track.gaps {
                gaps.push(json!({ "from_ms": ms(gap.from), "to_ms": ms(gap.to), "cause": gap.cause }));
            }
            if track.name == TRACK {
                let stretch = |(from, to)| json!({ "from_ms": ms(from), "to_ms": ms(to) });
                still.extend(track.still().into_iter().map(stretch));
            }
            for part in &track.parts {
                parts.push(json!({
                    "track": track.name, "number": part.number, "codec": part.codec, "width": part.width,
                    "height": part.height,
                }));
            }
        }
    }
    let end =
        manifest.as_ref().map(|manifest| zero + i64::try_from(manifest.end_ns() / 1_000_000).unwrap_or(0));
    Ok(json!({
        "recording": recording, "agent": segment.agent, "started": rfc3339(zero), "ended": end.map(rfc3339),
        "live": segment.live, "withheld": withheld, "gaps": gaps, "still": still, "parts": parts,
        "missing": segment.missing,
    }))
}

#[derive(Deserialize)]
pub struct Label {
    label: String,
}

pub async fn label(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    Input(given): Input<Label>,
) -> Answer<(StatusCode, Json<Value>)> {
    may_change(&app, &person, &id).await?;
    let label = words(&given.label, 100)?;
    app.db.audit(&person.name, "labeled", &id, Some(label)).await?;
    app.db.label(&id, label, &person.name).await?;
    Ok((StatusCode::CREATED, Json(json!({ "label": label }))))
}

pub async fn unlabel(
    State(app): State<App>,
    person: Person,
    Path((id, label)): Path<(String, String)>,
) -> Answer<StatusCode> {
    may_change(&app, &person, &id).await?;
    app.db.audit(&person.name, "unlabeled", &id, Some(&label)).await?;
    found(app.db.unlabel(&id, &label).await?)
}

#[derive(Deserialize)]
pub struct NewNote {
    at_ms: i64,
    #[serde(default)]
    recording: Option<String>,
    text: String,
    #[serde(default)]
    label: Option<String>,
}

pub async fn add_note(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    Input(given): Input<NewNote>,
) -> Answer<(StatusCode, Json<Note>)> {
    let scope = may_see(&app, &person, &id).await?;
    let text = words(&given.text, 10_000)?.to_owned();
    let label = given.label.as_deref().map(|label| words(label, 100).map(str::to_owned)).transpose()?;
    if let Some(recording) = &given.recording
        && !app.db.sees_recording(&scope, recording).await?
    {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "There is no such recording"));
    }
    let note = Note {
        id: note_id()?,
        at_ms: given.at_ms,
        recording: given.recording,
        author: person.name.clone(),
        text,
        label,
        created: rfc3339(time::now_ms()),
    };
    app.db.audit(&person.name, "noted", &id, Some(&note.id)).await?;
    app.db.add_note(&id, &note).await?;
    Ok((StatusCode::CREATED, Json(note)))
}

/// Their own; an administrator, any.
pub async fn remove_note(
    State(app): State<App>,
    person: Person,
    Path((id, note)): Path<(String, String)>,
) -> Answer<StatusCode> {
    may_see(&app, &person, &id).await?;
    app.db.audit(&person.name, "unnoted", &id, Some(&note)).await?;
    let author = (person.role != Role::Administrator).then_some(person.name.as_str());
    found(app.db.remove_note(&id, &note, author).await?)
}

#[derive(Deserialize)]
pub struct Hold {
    reason: String,
}

pub async fn hold(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    Input(given): Input<Hold>,
) -> Answer<Response> {
    may_change(&app, &person, &id).await?;
    let reason = words(&given.reason, 1000)?;
    app.db.audit(&person.name, "held", &id, Some(reason)).await?;
    app.db.hold(&id, reason, &person.name).await?;
    Ok((StatusCode::CREATED, Json(json!({ "reason": reason }))).into_response())
}

/// Whoever may delete must not be who may end a hold: administrators alone do both, and the log says so.
pub async fn release(State(app): State<App>, person: Person, Path(id): Path<String>) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(&person.name, "released", &id, None).await?;
    found(app.db.release(&id).await?)
}

pub async fn delete(State(app): State<App>, person: Person, Path(id): Path<String>) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    may_see(&app, &person, &id).await?;
    app.db.audit(&person.name, "deleted", &id, None).await?;
    match app.db.delete_interaction(&id, &format!("{} deleted it", person.name)).await? {
        Deleting::Held(reason) => {
            Err(Problem::new(StatusCode::CONFLICT, "The interaction is held").detail(reason))
        }
        Deleting::Done(recordings) => {
            for recording in recordings {
                app.purge(&recording).await?;
            }
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

pub async fn may_see(app: &App, person: &Person, interaction: &str) -> Answer<Scope> {
    let scope = app.db.scope(person).await?;
    match app.db.sees_interaction(&scope, interaction).await? {
        true => Ok(scope),
        false => Err(Problem::not_found()),
    }
}

/// Agents look; supervisors and administrators say what is what.
async fn may_change(app: &App, person: &Person, interaction: &str) -> Answer<Scope> {
    if person.role == Role::Agent {
        return Err(Problem::forbidden());
    }
    may_see(app, person, interaction).await
}

fn found(there: bool) -> Answer<StatusCode> {
    if there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}
