//! Sends files that are made of stored objects, as a whole or by range (RFC 9110, 14).

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use deskreel_model::RecordingId;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::problem::{Answer, Problem};
use crate::app::App;
use crate::media::{FilePiece, ServedFile};

/// Pieces of a file that are looked for before the answer begins. A recording of nine hours has 16,000.
const CHECKED: usize = 256;

/// Answers with the whole file, or with the range that the request asks for.
pub async fn send(app: &App, file: &ServedFile, headers: &HeaderMap, tag: &str) -> Answer {
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let same = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let (status, range) = match range.filter(|_| same).map(|text| byte_range(text, file.size)) {
        None | Some(ByteRange::All) => (StatusCode::OK, 0..file.size),
        Some(ByteRange::Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(ByteRange::Beyond) => {
            let mut response =
                Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "The file ends before this range")
                    .into_response();
            content_range(response.headers_mut(), &format!("bytes */{}", file.size));
            return Ok(response);
        }
    };
    let pieces = file.range(range.clone());
    check_stored(app, pieces.get(..pieces.len().min(CHECKED)).unwrap_or_default()).await?;
    let mut response = (status, stream_pieces(app, pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        content_range(headers, &format!("bytes {}-{}/{}", range.start, range.end - 1, file.size));
    }
    Ok(response)
}

fn content_range(headers: &mut HeaderMap, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(header::CONTENT_RANGE, value);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum ByteRange {
    /// Also the answer to several ranges or an unreadable one, which a server may ignore.
    All,
    Some(Range<u64>),
    /// The file ends before it.
    Beyond,
}

fn byte_range(text: &str, size: u64) -> ByteRange {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|text| text.split_once('-')) else {
        return ByteRange::All;
    };
    let range = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(from), Ok(to)) if from <= to => from..to.saturating_add(1).min(size),
        (Ok(from), Err(_)) if to.is_empty() => from..size,
        (Err(_), Ok(last)) if from.is_empty() => size.saturating_sub(last)..size,
        _ => return ByteRange::All,
    };
    if range.is_empty() { ByteRange::Beyond } else { ByteRange::Some(range) }
}

/// Objects that are looked for at once.
const AHEAD: usize = 16;

/// An error if one of these objects is not stored any more. Once a body has begun, it could only break off.
pub async fn check_stored(app: &App, pieces: &[FilePiece]) -> Answer<()> {
    let objects = pieces.iter().filter_map(|piece| match piece {
        FilePiece::Object { recording, sha256, .. } => Some((recording.clone(), sha256.clone())),
        FilePiece::Bytes(_) => None,
    });
    let look = |(recording, sha256): (Arc<RecordingId>, String)| async move {
        app.store.contains(&recording, &sha256).await
    };
    let looks = stream::iter(objects.collect::<Vec<_>>()).map(look);
    let found: Vec<bool> = looks.buffered(AHEAD).try_collect().await?;
    if found.contains(&false) { Err(Problem::lost()) } else { Ok(()) }
}

/// A body of these pieces in sequence. At most two are in memory.
pub fn stream_pieces(app: &App, pieces: Vec<FilePiece>) -> Body {
    let app = app.clone();
    let read = move |piece| {
        let app = app.clone();
        async move {
            match piece {
                FilePiece::Bytes(bytes) => Ok(bytes),
                FilePiece::Object { recording, sha256, bytes } => {
                    app.store.get_range(&recording, &sha256, bytes).await
                }
            }
        }
    };
    Body::from_stream(stream::iter(pieces).map(read).buffered(2).map_err(std::io::Error::other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_by_rfc_9110() {
        for (text, wanted) in [
            ("bytes=0-9", ByteRange::Some(0..10)),
            ("bytes=90-", ByteRange::Some(90..100)),
            ("bytes=-5", ByteRange::Some(95..100)),
            ("bytes=-500", ByteRange::Some(0..100)),
            ("bytes=50-18446744073709551615", ByteRange::Some(50..100)),
            ("bytes=100-", ByteRange::Beyond),
            ("bytes=-0", ByteRange::Beyond),
            ("bytes=9-3", ByteRange::All),
            ("bytes=0-1,5-6", ByteRange::All),
            ("lines=0-9", ByteRange::All),
        ] {
            assert_eq!(byte_range(text, 100), wanted, "{text}");
        }
    }
}
