//! `GET /api/v1/events`: what happens, as server-sent events. A listener that comes back with `Last-Event-ID` gets what it
//! missed, or is told that it is gone.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::caller::Caller;
use crate::problem::{Code, Problem};
use crate::{Api, closes};
use deskreel_desk::news::{Heard, Item, News};

pub async fn stream(
    State(api): State<Arc<Api>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let permit = permit(&api, &caller)?;
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let (seq, lost) = resume(api.desk.news(), known);
    // A page that comes back before anything has happened goes on from here.
    let mut first = format!("retry: 1000\nid: {}-{seq}\n\n", api.desk.news().stream());
    if lost {
        first.push_str(&lost_message(&api, seq));
    }
    let from = From { api, caller, seq, first: Some(first), _permit: permit };
    let body = stream::unfold(from, |mut from| async {
        let text = from.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(text)), from))
    });
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response())
}

/// One more stream of this caller.
pub fn permit(api: &Api, caller: &Caller) -> Result<OwnedSemaphorePermit, Problem> {
    let streams: &Arc<Semaphore> = match caller {
        Caller::Agent(session) => &session.streams,
        Caller::Program => &api.streams,
    };
    streams.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Code::TooMany, format!("{} streams are open", api.limits.streams))
            .cure("close one of them")
    })
}

/// From where to go on, and whether something in between is gone. `known` is the last id that the listener has.
pub fn resume(news: &News, known: Option<&str>) -> (u64, bool) {
    let Some(known) = known.filter(|known| !known.is_empty()) else { return (news.newest(), false) };
    match known.rsplit_once('-').map(|(stream, seq)| (stream, seq.parse::<u64>())) {
        Some((stream, Ok(seq))) if stream == news.stream() && seq <= news.newest() => (seq, false),
        // Of another start of the recorder, or of nobody.
        _ => (news.newest(), true),
    }
}

struct From {
    api: Arc<Api>,
    caller: Caller,
    seq: u64,
    first: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl From {
    /// None at the end of the stream.
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
            // What happened before the end is told before the end.
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
    // JSON has no line breaks but in strings, where they are escaped.
    format!("id: {stream}-{}\ndata: {}\n\n", item.seq, json!(item))
}

fn lost_message(api: &Api, seq: u64) -> String {
    format!("id: {}-{seq}\ndata: {}\n\n", api.desk.news().stream(), lost(seq))
}

/// The listener should ask how things stand.
pub fn lost(seq: u64) -> serde_json::Value {
    json!({ "type": "lost", "seq": seq })
}
