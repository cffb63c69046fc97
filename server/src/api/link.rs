//! The recorders' WebSocket (docs/link.md), and events from programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use deskreel_model::link::{CredentialVerdict, FromRecorder, FromServer, MESSAGE_LIMIT};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::caller::{Person, Role};
use super::input::{Inputs, has_nul};
use super::problem::{Answer, Problem};
use super::session;
use crate::app::App;
use crate::control::Line;
use crate::db::recorders::Recorder;
use crate::error::told;

/// Tells connections apart, of which one recorder may have two for a moment.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
/// A message that cannot be sent for so long goes nowhere.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Bytes that are read at once. Recorders say little, and there are thousands of them.
const BUFFER: usize = 4 << 10;
/// Credentials of one line that are judged at one time; a recorder has one agent, or two who change places.
const JUDGED: usize = 2;
/// Events of one request.
const EVENTS: usize = 1000;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

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
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let (send, mut outgoing) = mpsc::unbounded_channel::<String>();
    let id = recorder.recorder.clone();
    let verdicts = send.downgrade();
    let judged = Arc::new(Semaphore::new(JUDGED));
    if control.connected(recorder.clone(), Line { connection, send }).await.is_err() {
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
                    if let Some(credentials) = credentials(&text) {
                        judge(&app, &recorder, credentials, &judged, verdicts.clone());
                        continue;
                    }
                    if control.said(&id, connection, text.to_string()).await.is_err() {
                        break;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => break,
            },
        }
    }
    control.gone(&id, connection).await;
    let _ = tokio::time::timeout(SEND_LIMIT, socket.send(Message::Close(None))).await;
}

/// What an agent has typed at a desktop. It does not go the way of all other messages, where it would be waited for.
fn credentials(text: &str) -> Option<(u32, String, String)> {
    // Of the few messages that recorders send, fewer still have to be read twice.
    if !text.contains("\"credentials\"") || has_nul(text) {
        return None;
    }
    match FromRecorder::parse(text) {
        Ok(FromRecorder::Credentials { id, name, password }) => Some((id, name, password.0)),
        _ => None,
    }
}

/// Beside the line, which goes on meanwhile.
fn judge(
    app: &App,
    recorder: &Recorder,
    (id, name, password): (u32, String, String),
    judged: &Arc<Semaphore>,
    verdicts: mpsc::WeakUnboundedSender<String>,
) {
    let turn = judged.clone().try_acquire_owned();
    let (app, recorder) = (app.clone(), recorder.clone());
    tokio::spawn(async move {
        let verdict = match turn {
            Err(_) => CredentialVerdict::TooMany { seconds: 1 },
            Ok(_turn) => session::verify(&app, &recorder, &name, &password).await.unwrap_or_else(|error| {
                tracing::error!(error = told(&error), "credentials cannot be judged");
                CredentialVerdict::CannotSay
            }),
        };
        let text = serde_json::to_string(&FromServer::Verdict { id, verdict });
        if let (Ok(text), Some(line)) = (text, verdicts.upgrade()) {
            let _ = line.send(text);
        }
    });
}

/// Events from programs of an administrator's: one, or a list. They are stored once this has answered.
pub async fn events(
    State(app): State<App>,
    person: Person,
    Inputs(events): Inputs<Value>,
) -> Answer<(StatusCode, Json<Value>)> {
    person.must_be(Role::Administrator)?;
    if events.len() > EVENTS {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too many events at once"));
    }
    let count = events.len();
    let wrong = app.control.events("api", events).await?;
    let stored = count - wrong.len();
    if !wrong.is_empty() {
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "Not all of these are events");
        return Err(problem.with("stored", stored.into()).with("wrong", wrong.into()));
    }
    Ok((StatusCode::ACCEPTED, Json(json!({ "stored": stored }))))
}
