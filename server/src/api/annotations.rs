//! What people do to an interaction: labels, notes, holds, and deleting it.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use deskreel_model::{InteractionId, RecordingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::input::{JsonBody, Path, trimmed};
use super::interactions::may_see;
use super::openapi::{BodyProblems, CallerProblems, Conflict, InteractionPath, NoRoom, NotFound};
use super::problem::{Answer, Problem, no_content};
use crate::app::App;
use crate::db::annotations::{Note, note_id};
use crate::db::deletion::Deletion;
use crate::db::scope::Scope;
use crate::people::{Person, Role};
use crate::schema::Text;
use crate::time::{now_ms, rfc3339};

#[derive(Deserialize, Serialize, ToSchema)]
pub struct Label {
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\u0000]*\S[^\u0000]*$")]
    label: String,
}

/// Labels an interaction.
#[utoipa::path(
    post,
    path = "/interactions/{interaction}/labels",
    operation_id = "addLabel",
    tag = "interactions",
    params(InteractionPath),
    request_body = Label,
    responses(
        (status = 201, description = "It has the label", body = Label),
        CallerProblems, BodyProblems, NotFound, NoRoom,
    ),
)]
pub async fn label(
    State(app): State<App>,
    person: Person,
    Path(id): Path<InteractionId>,
    JsonBody(given): JsonBody<Label>,
) -> Answer<(StatusCode, Json<Label>)> {
    may_change(&app, &person, &id).await?;
    let label = trimmed(&given.label, 100)?;
    app.db.audit(person.name.as_str(), "labeled", id.as_str(), Some(label)).await?;
    app.db.label(&id, label, &person.name).await?;
    Ok((StatusCode::CREATED, Json(Label { label: label.to_owned() })))
}

/// Removes a label.
#[utoipa::path(
    delete,
    path = "/interactions/{interaction}/labels/{label}",
    operation_id = "removeLabel",
    tag = "interactions",
    params(InteractionPath, ("label" = String, Path)),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, NoRoom),
)]
pub async fn unlabel(
    State(app): State<App>,
    person: Person,
    Path((id, label)): Path<(InteractionId, String)>,
) -> Answer<StatusCode> {
    may_change(&app, &person, &id).await?;
    app.db.audit(person.name.as_str(), "unlabeled", id.as_str(), Some(&label)).await?;
    no_content(app.db.unlabel(&id, &label).await?)
}

#[derive(Deserialize, ToSchema)]
pub struct NewNote {
    #[schema(minimum = -9223372036854775808i64, maximum = 9223372036854775807i64)]
    at_ms: i64,
    #[serde(default)]
    #[schema(value_type = Option<Text>)]
    recording: Option<RecordingId>,
    #[schema(min_length = 1, max_length = 10_000, pattern = r"^[^\u0000]*\S[^\u0000]*$")]
    text: String,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\u0000]*\S[^\u0000]*$")]
    label: Option<String>,
}

/// Adds a note.
#[utoipa::path(
    post,
    path = "/interactions/{interaction}/notes",
    operation_id = "addNote",
    tag = "interactions",
    params(InteractionPath),
    request_body = NewNote,
    responses(
        (status = 201, description = "The note", body = Note),
        CallerProblems, BodyProblems, NotFound, NoRoom,
    ),
)]
pub async fn add_note(
    State(app): State<App>,
    person: Person,
    Path(id): Path<InteractionId>,
    JsonBody(given): JsonBody<NewNote>,
) -> Answer<(StatusCode, Json<Note>)> {
    let scope = may_see(&app, &person, &id).await?;
    let text = trimmed(&given.text, 10_000)?.to_owned();
    let label = given.label.as_deref().map(|label| trimmed(label, 100).map(str::to_owned)).transpose()?;
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
        created: rfc3339(now_ms()),
    };
    app.db.audit(person.name.as_str(), "noted", id.as_str(), Some(&note.id)).await?;
    app.db.add_note(&id, &note).await?;
    Ok((StatusCode::CREATED, Json(note)))
}

/// Removes a note.
///
/// People may remove their own notes, administrators any.
#[utoipa::path(
    delete,
    path = "/interactions/{interaction}/notes/{note}",
    operation_id = "removeNote",
    tag = "interactions",
    params(InteractionPath, ("note" = String, Path)),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, NoRoom),
)]
pub async fn remove_note(
    State(app): State<App>,
    person: Person,
    Path((id, note)): Path<(InteractionId, String)>,
) -> Answer<StatusCode> {
    may_see(&app, &person, &id).await?;
    app.db.audit(person.name.as_str(), "unnoted", id.as_str(), Some(&note)).await?;
    let author = (person.role != Role::Administrator).then_some(&person.name);
    no_content(app.db.remove_note(&id, &note, author).await?)
}

#[derive(Deserialize, Serialize, ToSchema)]
pub struct Hold {
    #[schema(min_length = 1, max_length = 1000, pattern = r"^[^\u0000]*\S[^\u0000]*$")]
    reason: String,
}

/// Holds an interaction: it is not deleted.
#[utoipa::path(
    post,
    path = "/interactions/{interaction}/hold",
    operation_id = "hold",
    tag = "interactions",
    params(InteractionPath),
    request_body = Hold,
    responses(
        (status = 201, description = "It is held", body = Hold),
        CallerProblems, BodyProblems, NotFound, NoRoom,
    ),
)]
pub async fn hold(
    State(app): State<App>,
    person: Person,
    Path(id): Path<InteractionId>,
    JsonBody(given): JsonBody<Hold>,
) -> Answer<(StatusCode, Json<Hold>)> {
    may_change(&app, &person, &id).await?;
    let reason = trimmed(&given.reason, 1000)?;
    app.db.audit(person.name.as_str(), "held", id.as_str(), Some(reason)).await?;
    app.db.hold(&id, reason, &person.name).await?;
    Ok((StatusCode::CREATED, Json(Hold { reason: reason.to_owned() })))
}

/// Ends a hold.
///
/// Only administrators may end a hold, as only they may delete; the audit log has both.
#[utoipa::path(
    delete,
    path = "/interactions/{interaction}/hold",
    operation_id = "endHold",
    tag = "interactions",
    params(InteractionPath),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, NoRoom),
)]
pub async fn release(
    State(app): State<App>,
    person: Person,
    Path(id): Path<InteractionId>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    app.db.audit(person.name.as_str(), "released", id.as_str(), None).await?;
    no_content(app.db.release(&id).await?)
}

/// Deletes an interaction, with recordings that no other needs.
#[utoipa::path(
    delete,
    path = "/interactions/{interaction}",
    operation_id = "deleteInteraction",
    tag = "interactions",
    params(InteractionPath),
    responses((status = 204, description = "Done"), CallerProblems, NotFound, Conflict, NoRoom),
)]
pub async fn delete(
    State(app): State<App>,
    person: Person,
    Path(id): Path<InteractionId>,
) -> Answer<StatusCode> {
    person.must_be(Role::Administrator)?;
    may_see(&app, &person, &id).await?;
    app.db.audit(person.name.as_str(), "deleted", id.as_str(), None).await?;
    match app.db.delete_interaction(&id, &format!("{} deleted it", person.name)).await? {
        Deletion::Held(reason) => {
            let title = "The interaction is on hold; end the hold first";
            Err(Problem::new(StatusCode::CONFLICT, title).detail(reason))
        }
        Deletion::Done(recordings) => {
            for recording in recordings {
                app.purge(&recording).await?;
            }
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

/// Agents only look; supervisors and administrators may label and hold.
async fn may_change(app: &App, person: &Person, interaction: &InteractionId) -> Answer<Scope> {
    if person.role == Role::Agent {
        return Err(Problem::forbidden());
    }
    may_see(app, person, interaction).await
}
