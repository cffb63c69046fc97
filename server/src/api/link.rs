//! The recorders' WebSocket (docs/link.md), and events from programs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use deskreel_model::link::MESSAGE_LIMIT;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::caller::{Person, Role};
use super::input::Inputs;
use super::problem::{Answer, Problem};
use crate::app::App;
use crate::control::{Control, Line};
use crate::db::recorders::Recorder;

/// Tells connections apart, of which one recorder may have two for a moment.
static CONNECTIONS: AtomicU64 = AtomicU64::new(1);
/// A message that cannot be sent for so long goes nowhere.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// Bytes that are read at once. Recorders say little, and there are thousands of them.
const BUFFER: usize = 4 << 10;
/// Events of one request.
const EVENTS: usize = 1000;

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

pub async fn open(State(app): State<App>, recorder: Recorder, upgrade: Upgrade) -> Answer {
    let control = app.control.clone();
    let upgrade = upgrade.map_err(|rejected| Problem::new(rejected.status(), rejected.body_text()))?;
    let response = upgrade
        .max_message_size(MESSAGE_LIMIT)
        .max_frame_size(MESSAGE_LIMIT)
        .read_buffer_size(BUFFER)
        .on_upgrade(move |socket| serve(socket, recorder, control));
    Ok(response)
}

async fn serve(mut socket: WebSocket, recorder: Recorder, control: Control) {
    let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
    let (send, mut outgoing) = mpsc::unbounded_channel::<String>();
    let id = recorder.recorder.clone();
    if control.connected(recorder, Line { connection, send }).await.is_err() {
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
