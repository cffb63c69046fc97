//! Bodies of uploads: their headers, reading them within the limits, and draining those that are refused.

use axum::body::{BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};

use super::problem::{Answer, Problem};
use crate::app::App;
use crate::ingest::Body;
use crate::limits::longest_body;
use crate::secret::hex;

/// Bytes of a refused body that are read at most; beyond it the connection breaks.
const DRAINED: usize = 64 << 20;

const CONTENT_DIGEST: &str = "content-digest";
const REPR_DIGEST: &str = "repr-digest";

/// Why an upload is refused before its body is read.
pub enum Refusal {
    /// The body is read to its end first, so that the client receives the answer.
    AfterBody(Problem),
    AtOnce(Problem),
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal::AtOnce(error.into())
    }
}

/// The result of a check before the body is read.
pub type Checked<T> = Result<T, Refusal>;

/// Passes on a check's result, or drains the body of a refused upload and returns the problem.
pub async fn admit<T>(app: &App, request: Request, checked: Checked<T>) -> Answer<(Request, T)> {
    match checked {
        Ok(checked) => Ok((request, checked)),
        Err(Refusal::AtOnce(problem)) => Err(problem),
        Err(Refusal::AfterBody(problem)) => {
            drain(app, request).await;
            Err(problem)
        }
    }
}

/// Reads a body to its end, unless the client waits with it (`Expect: 100-continue`) and is answered first.
pub async fn drain(app: &App, request: Request) {
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut stream = request.into_body().into_data_stream();
    let end = Instant::now() + app.config.graph.server.body_patience;
    let mut left = DRAINED;
    while let Ok(Some(Ok(chunk))) = timeout_at(end, stream.next()).await {
        let Some(rest) = left.checked_sub(chunk.len()) else { break };
        left = rest;
    }
}

/// Reads a whole body within the limits of size and time, and checks its digest.
pub async fn read(app: &App, request: Request) -> Answer<Body> {
    let digest = digest_of(request.headers());
    let (request, digest) = admit(app, request, digest).await?;
    let length = content_length(request.headers())?;
    let limit = app.config.graph.server.largest_upload;
    if length > limit {
        return Err(too_large(&format!("A body may have at most {limit} bytes")));
    }
    let mut body = TimedBody::new(app, request, length);
    let (mut chunks, mut size) = (Vec::new(), 0);
    while let Some(chunk) = body.next().await? {
        size += chunk.len() as u64;
        chunks.push(chunk);
    }
    let sha256 = body.finish(&digest)?;
    Ok(Body { chunks, size, sha256 })
}

/// A body that is read chunk by chunk, hashed, and ended if it is too slow.
pub struct TimedBody {
    stream: BodyDataStream,
    hash: Sha256,
    end: Instant,
}

impl TimedBody {
    pub fn new(app: &App, request: Request, length: u64) -> TimedBody {
        TimedBody {
            stream: request.into_body().into_data_stream(),
            hash: Sha256::new(),
            end: Instant::now() + longest_body(&app.config.graph.server, length),
        }
    }

    pub async fn next(&mut self) -> Answer<Option<Bytes>> {
        let next = timeout_at(self.end, self.stream.next()).await.map_err(|_| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The upload took too long").retry_after(1)
        })?;
        let Some(chunk) = next else { return Ok(None) };
        let chunk = chunk.map_err(|_| Problem::bad_request("The body ended before its length"))?;
        self.hash.update(&chunk);
        Ok(Some(chunk))
    }

    /// Compares the body with its digest. Returns the digest in hexadecimal.
    pub fn finish(self, expected: &[u8]) -> Answer<String> {
        let sha256 = self.hash.finalize();
        match sha256.as_slice() == expected {
            true => Ok(hex(&sha256)),
            false => Err(Problem::bad_request("The body does not agree with its digest")),
        }
    }
}

pub fn too_large(title: &str) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title).retry_after(60)
}

pub fn content_length(headers: &HeaderMap) -> Answer<u64> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    length.ok_or_else(|| Problem::new(StatusCode::LENGTH_REQUIRED, "Content-Length is missing"))
}

/// The SHA-256 in `Content-Digest`, which may have other digests beside it.
pub fn digest_of(headers: &HeaderMap) -> Checked<Vec<u8>> {
    let wrong = || {
        let title = "Content-Digest is missing, or has no `sha-256=:<base64>:`";
        Refusal::AfterBody(Problem::bad_request(title))
    };
    let value = headers.get(CONTENT_DIGEST).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?;
    let member =
        value.split(',').find_map(|member| member.trim().strip_prefix("sha-256=:")?.strip_suffix(':'));
    let bytes = member.and_then(|text| STANDARD.decode(text).ok()).filter(|bytes| bytes.len() == 32);
    bytes.ok_or_else(wrong)
}

/// An acknowledgement: the server holds content with this digest, in hexadecimal.
pub fn acknowledgement(status: StatusCode, sha256: &str) -> Response {
    acknowledge(status.into_response(), sha256)
}

/// Makes a response an acknowledgement.
pub fn acknowledge(mut response: Response, sha256: &str) -> Response {
    let bytes: Vec<u8> = (0..sha256.len() / 2)
        .filter_map(|at| u8::from_str_radix(sha256.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    let digest = format!("sha-256=:{}:", STANDARD.encode(bytes));
    if let Ok(digest) = HeaderValue::from_str(&digest) {
        response.headers_mut().insert(REPR_DIGEST, digest);
    }
    response
}
