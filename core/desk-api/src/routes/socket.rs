//! `GET /api/v1/ws`: what happens, over a WebSocket. Each item is one JSON text message; clients send
//! nothing.
//!
//! An open socket that answers pings keeps its session alive: browsers slow down the timers of background
//! pages, but not their pongs.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::http::HeaderValue;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};
use utoipa::IntoParams;

use super::event_stream::{StreamNotice, permit, resume};
use crate::caller::Caller;
use crate::connections::{BusyGuard, Connection};
use crate::openapi::responses::*;
use crate::problem::{Code, Problem};
use crate::session::Session;
use crate::{Api, closes};
use deskreel_desk::news::{Heard, Item};

const PROTOCOL: &str = "deskreel.v1";
/// Most bytes of a client's message. Clients only send pongs and a close, whose reason has up to 123 bytes.
const MESSAGE_BYTES: usize = 4096;

/// Close codes: those of RFC 6455, and two of our own.
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const NOT_UTF8: u16 = 1007;
const TOO_LARGE: u16 = 1009;
const SESSION_OVER: u16 = 4401;
const NO_PONG: u16 = 4408;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SocketQuery {
    /// As Last-Event-ID.
    #[param(nullable = false)]
    after: Option<String>,
}

/// Streams what happens, over a WebSocket.
///
/// Pages send their token as a protocol: `deskreel.v1`, `deskreel.bearer.<token>`.
#[utoipa::path(
    get,
    path = "/api/v1/ws",
    operation_id = "openSocket",
    tag = "events",
    params(SocketQuery),
    responses(
        AnyProblem, Unauthorized, BadBody, TooMany,
        (status = 101, description = "The protocol is switched."),
    ),
    security(("session" = []), ("cookie" = []), ("program" = [])),
)]
pub async fn open(
    State(api): State<Arc<Api>>,
    caller: Caller,
    connection: Option<Extension<Arc<Connection>>>,
    query: Result<Query<SocketQuery>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let Query(SocketQuery { after }) =
        query.map_err(|error| Problem::new(Code::BadBody, error.body_text()).at("query"))?;
    let mut upgrade = upgrade.map_err(|error| Problem::new(Code::BadRequest, error.body_text()))?;
    let offers = upgrade.requested_protocols().next().is_some();
    if offers && !upgrade.requested_protocols().any(|protocol| protocol == PROTOCOL) {
        // A browser treats an answer without one of its protocols as a failure.
        return Err(Problem::new(Code::BadRequest, "the protocol `deskreel.v1` is not among those offered")
            .at("Sec-WebSocket-Protocol")
            .cure("new WebSocket(url, ['deskreel.v1', 'deskreel.bearer.' + token])"));
    }
    if offers {
        upgrade.set_selected_protocol(HeaderValue::from_static(PROTOCOL));
    }
    let permit = permit(&api, &caller)?;
    let busy = connection.map(|Extension(connection)| connection.mark_busy());
    let (seq, is_lost) = resume(api.desk.news(), after.as_deref());
    let upgrade = upgrade.max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let mut listener =
            Listener { api, caller, socket, seq, answered: true, _permit: permit, _busy: busy };
        if listener.greet(is_lost).await.is_some() {
            listener.send_news().await;
        }
    }))
}

/// An item with the id to continue from.
#[derive(Serialize)]
struct SocketItem {
    #[serde(flatten)]
    item: Item,
    id: String,
}

struct Listener {
    api: Arc<Api>,
    caller: Caller,
    socket: WebSocket,
    seq: u64,
    /// Whether a pong has answered the last ping.
    answered: bool,
    _permit: OwnedSemaphorePermit,
    _busy: Option<BusyGuard>,
}

impl Listener {
    async fn greet(&mut self, is_lost: bool) -> Option<()> {
        let stream = self.api.desk.news().stream().to_owned();
        self.send_json(&StreamNotice::Hello { id: format!("{stream}-{}", self.seq) }).await?;
        if is_lost {
            self.send_json(&StreamNotice::Lost { seq: self.seq }).await?;
        }
        Some(())
    }

    /// Sends items until one side ends the connection.
    async fn send_news(&mut self) -> Option<()> {
        let api = self.api.clone();
        let mut closing = api.closing.clone();
        let mut beat = tokio::time::interval_at(Instant::now() + api.limits.beat, api.limits.beat);
        loop {
            tokio::select! {
                biased;
                heard = api.desk.news().after(self.seq) => match heard? {
                    Heard::Lost { seq } => {
                        self.seq = seq;
                        self.send_json(&StreamNotice::Lost { seq }).await?;
                    }
                    Heard::Items(items) => {
                        for item in items {
                            self.seq = item.seq;
                            let id = format!("{}-{}", api.desk.news().stream(), item.seq);
                            self.send_json(&SocketItem { item, id }).await?;
                        }
                    }
                },
                () = session_over(&self.caller) => return self.close(SESSION_OVER, "the session is over").await,
                () = closes(&mut closing) => {
                    return self.close(GOING_AWAY, "the recorder is going down").await;
                }
                message = self.socket.recv() => match message? {
                    Err(error) => return self.close(code_of(error)?, "").await,
                    Ok(message) => match message {
                    Message::Pong(_) => {
                        self.answered = true;
                        if let Caller::Agent(session) = &self.caller {
                            session.touch(Instant::now());
                        }
                    }
                    // The library answers these.
                    Message::Ping(_) | Message::Close(_) => {}
                    Message::Text(_) | Message::Binary(_) => {
                        return self.close(UNSUPPORTED, "send commands with POST /api/v1/recording/...").await;
                    }
                    },
                },
                _ = beat.tick() => {
                    if !self.answered {
                        return self.close(NO_PONG, "no pong within the time limit").await;
                    }
                    self.answered = false;
                    self.send(Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    async fn send_json(&mut self, message: &impl Serialize) -> Option<()> {
        self.send(Message::text(json!(message).to_string())).await
    }

    /// Returns `None` if the client is gone, or has read nothing for a beat.
    async fn send(&mut self, message: Message) -> Option<()> {
        timeout(self.api.limits.beat, self.socket.send(message)).await.ok()?.ok()
    }

    /// Sends the reason, and waits a little for the client to confirm the close.
    async fn close(&mut self, code: u16, reason: &'static str) -> Option<()> {
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await?;
        let confirmed = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        let _ = timeout(self.api.limits.farewell / 2, confirmed).await;
        None
    }
}

/// The close code for a failed read; `None` if the client is gone.
fn code_of(error: axum::Error) -> Option<u16> {
    match *error.into_inner().downcast().ok()? {
        tungstenite::Error::Protocol(_) => Some(PROTOCOL_ERROR),
        tungstenite::Error::Utf8(_) => Some(NOT_UTF8),
        tungstenite::Error::Capacity(_) => Some(TOO_LARGE),
        _ => None,
    }
}

async fn session_over(caller: &Caller) {
    match caller {
        Caller::Agent(session) => Session::ended(session).await,
        Caller::Program => std::future::pending().await,
    }
}
