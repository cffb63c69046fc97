//! The WebSocket of recorders (docs/link.md), and events from programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use deskreel_model::link::{CredentialVerdict, FromRecorder, FromServer, MESSAGE_LIMIT};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use utoipa::ToSchema;

use super::input::OneOrMany;
use super::openapi::{
    BadRequest, BodyProblems, CallerProblems, Events, NoRoom, UpgradeRequired, WrongEvents,
};
use super::problem::{Answer, Problem};
use super::session;
use crate::app::App;
use crate::control::LinkConnection;
use crate::db::recorders::Recorder;
use crate::error::with_causes;
use crate::names::{PersonName, has_nul};
use crate::people::{Person, Role};

/// The next number of a connection. One recorder may have two for a moment.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
/// Time after which a message that cannot be sent ends the connection.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of the read buffer: there are thousands of recorders, and they send little.
const BUFFER: usize = 4 << 10;
/// Credentials of one link that are checked at once; a recorder has one agent, or two who change places.
const CHECKED: usize = 2;
/// Events of one request.
const EVENTS: usize = 1000;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// What an agent typed at a desktop.
struct Credentials {
    id: u32,
    name: PersonName,
    password: String,
}

/// Opens the recorder's WebSocket (docs/link.md).
#[utoipa::path(
    get,
    path = "/link",
    operation_id = "openLink",
    tag = "recorder",
    responses((status = 101, description = "The link is open"), BadRequest, CallerProblems, UpgradeRequired),
)]
pub async fn open(State(app): State<App>, recorder: Recorder, upgrade: Upgrade) -> Answer {
    let upgrade = upgrade.map_err(|rejected| Problem::new(rejected.status(), rejected.body_text()))?;
    let response = upgrade
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        .read_buffer_size(BUFFER)
        .on_upgrade(move |socket| serve(socket, recorder, app));
    Ok(response)
}

async fn serve(mut socket: WebSocket, recorder: Recorder, app: App) {
    let control = &app.control;
    let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let (send, mut outgoing) = mpsc::unbounded_channel::<String>();
    let verdicts = send.downgrade();
    let checks = Arc::new(Semaphore::new(CHECKED));
    if control.connected(recorder.clone(), LinkConnection { number, send }).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            message = outgoing.recv() => {
                let Some(message) = message else { break };
                let sent = tokio::time::timeout(SEND_LIMIT, socket.send(Message::text(message))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    break;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    if let Some(credentials) = read_credentials(&text) {
                        check(&app, &recorder, credentials, &checks, verdicts.clone());
                        continue;
                    }
                    if control.message(&recorder.id, number, text.to_string()).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
        }
    }
    control.disconnected(&recorder.id, number).await;
    let _ = tokio::time::timeout(SEND_LIMIT, socket.send(Message::Close(None))).await;
}

/// Credentials do not go to `control` like other messages, since checking them would make the others wait.
fn read_credentials(text: &str) -> Option<Credentials> {
    // Recorders send few messages, and fewer still have to be parsed twice.
    if !text.contains("\"credentials\"") || has_nul(text) {
        return None;
    }
    match FromRecorder::parse(text) {
        Ok(FromRecorder::Credentials { id, name, password }) => {
            Some(Credentials { id, name: name.into(), password: password.0 })
        }
        _ => None,
    }
}

/// Checks credentials in a task of its own, while the link goes on.
fn check(
    app: &App,
    recorder: &Recorder,
    Credentials { id, name, password }: Credentials,
    checks: &Arc<Semaphore>,
    verdicts: mpsc::WeakUnboundedSender<String>,
) {
    let turn = checks.clone().try_acquire_owned();
    let (app, recorder) = (app.clone(), recorder.clone());
    tokio::spawn(async move {
        let verdict = match turn {
            Err(_) => CredentialVerdict::TooMany { seconds: 1 },
            Ok(_turn) => session::verify(&app, &recorder, &name, &password).await.unwrap_or_else(|error| {
                tracing::error!(error = with_causes(&error), "could not check credentials");
                CredentialVerdict::CannotSay
            }),
        };
        let text = serde_json::to_string(&FromServer::Verdict { id, verdict });
        if let (Ok(text), Some(connection)) = (text, verdicts.upgrade()) {
            let _ = connection.send(text);
        }
    });
}

#[derive(Serialize, ToSchema)]
pub struct StoredEvents {
    stored: usize,
}

/// Takes events from an administrator's program: one, or a list.
///
/// They are stored by the time of the answer.
#[utoipa::path(
    post,
    path = "/events",
    operation_id = "tellEvents",
    tag = "administration",
    request_body = inline(Events),
    responses(
        (status = 202, description = "They are stored", body = StoredEvents),
        CallerProblems, BodyProblems, NoRoom,
        (
            status = 422,
            description = "Some are not events; the others are stored",
            body = WrongEvents,
            content_type = "application/problem+json",
        ),
    ),
)]
pub async fn events(
    State(app): State<App>,
    person: Person,
    OneOrMany(events): OneOrMany<Value>,
) -> Answer<(StatusCode, Json<StoredEvents>)> {
    person.must_be(Role::Administrator)?;
    if events.len() > EVENTS {
        let title = format!("Too many events at once; send at most {EVENTS}");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title));
    }
    let count = events.len();
    let wrong = app.control.events("api", events).await?;
    let stored = count - wrong.len();
    if !wrong.is_empty() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Some of these are not events");
        return Err(problem.with("stored", stored.into()).with("wrong", wrong.into()));
    }
    Ok((StatusCode::ACCEPTED, Json(StoredEvents { stored })))
}
