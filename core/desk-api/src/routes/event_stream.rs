//! `GET /api/v1/events`: what happens, as server-sent events. A listener that returns with `Last-Event-ID`
//! gets what it missed, or an item `lost` if that is no longer kept.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::caller::Caller;
use crate::openapi::responses::*;
use crate::openapi::schemas::LastEventId;
use crate::problem::{Code, Problem};
use crate::{Api, closes};
use deskreel_desk::news::{Heard, Item, News};
/// Streams what happens, as server-sent events.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "hearEvents",
    tag = "events",
    params(LastEventId),
    responses(
        AnyProblem, Unauthorized, TooMany,
        (
            status = 200,
            description = "Items as JSON in `data`, each with an `id` to continue from.",
            body = String,
            content_type = "text/event-stream",
        ),
    ),
    security(("session" = []), ("cookie" = []), ("program" = [])),
)]
pub async fn open(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let permit = permit(&api, &caller)?;
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let (seq, lost) = resume(api.desk.news(), known);
    // The id lets a page that returns before anything has happened continue from here.
    let mut first = format!("retry: 1000\nid: {}-{seq}\n\n", api.desk.news().stream());
    if lost {
        first.push_str(&lost_message(&api, seq));
    }
    let events = EventStream { api, caller, seq, first: Some(first), _permit: permit };
    let body = stream::unfold(events, |mut events| async {
        let text = events.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), events))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

/// A permit for one more stream of this caller.
pub fn permit(api: &Api, caller: &Caller) -> Result<OwnedSemaphorePermit, Problem> {
    let streams: &Arc<Semaphore> = match caller {
        Caller::Agent(session) => &session.streams,
        Caller::Program => &api.streams,
    };
    streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Code::TooMany, format!("{} streams are open already", api.limits.streams))
            .cure("close one of them")
    })
}

/// Returns the number to continue from, and whether items in between are lost. `known` is the last id that
/// the listener has.
pub fn resume(news: &News, known: Option<&str>) -> (u64, bool) {
    let Some(known) = known.filter(|known| !known.is_empty()) else { return (news.newest(), false) };
    match known.rsplit_once('-').map(|(stream, seq)| (stream, seq.parse::<u64>())) {
        Some((stream, Ok(seq))) if stream == news.stream() && seq <= news.newest() => (seq, false),
        // The id is from another start of the recorder, or made up.
        _ => (news.newest(), true),
    }
}

struct EventStream {
    api: Arc<Api>,
    caller: Caller,
    seq: u64,
    first: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl EventStream {
    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let mut closing = self.api.closing.clone();
        let ends = async {
            match &self.caller {
                Caller::Agent(session) => session.ended().await,
                Caller::Program => std::future::pending().await,
            }
        };
        let heard = tokio::select! {
            // Items from before the end are sent before the end.
            biased;
            heard = timeout(self.api.limits.beat, self.api.desk.news().after(self.seq)) => heard,
            () = ends => return None,
            () = closes(&mut closing) => return None,
        };
        match heard {
            Err(_) => Some(": still here\n\n".to_owned()),
            Ok(None) => None,
            Ok(Some(Heard::Lost { seq })) => {
                self.seq = seq;
                Some(lost_message(&self.api, seq))
            }
            Ok(Some(Heard::Items(items))) => {
                self.seq = items.last().map_or(self.seq, |item| item.seq);
                Some(items.iter().map(|item| message(self.api.desk.news().stream(), item)).collect())
            }
        }
    }
}

fn message(stream: &str, item: &Item) -> String {
    // JSON escapes line breaks in strings, so this is one line.
    format!("id: {stream}-{}\ndata: {}\n\n", item.seq, json!(item))
}

fn lost_message(api: &Api, seq: u64) -> String {
    format!("id: {}-{seq}\ndata: {}\n\n", api.desk.news().stream(), json!(StreamNotice::Lost { seq }))
}

/// A message about the stream itself.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum StreamNotice {
    /// The listener is connected, and continues from `id`.
    Hello { id: String },
    /// Items up to `seq` are lost: the listener should query the status.
    Lost { seq: u64 },
}
