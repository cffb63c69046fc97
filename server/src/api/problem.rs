//! Error responses (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::error::{Error, with_causes};
use crate::limits::upload_memory::NoMemory;

#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    /// For people.
    title: String,
    detail: Option<String>,
    /// Seconds.
    retry_after: Option<u32>,
    more: Map<String, Value>,
}

pub type Answer<T = Response> = Result<T, Problem>;

impl Problem {
    pub fn new(status: StatusCode, title: impl Into<String>) -> Problem {
        Problem { status, title: title.into(), detail: None, retry_after: None, more: Map::new() }
    }

    pub fn detail(self, detail: impl Into<String>) -> Problem {
        Problem { detail: Some(detail.into()), ..self }
    }

    pub fn retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after: Some(seconds), ..self }
    }

    /// Adds a member.
    pub fn with(mut self, name: &str, value: Value) -> Problem {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// Also for what the caller may not see: both look the same.
    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "There is nothing here")
    }

    /// The index has this footage, and the store does not.
    pub fn lost() -> Problem {
        Problem::new(StatusCode::GONE, "This footage is not stored any more")
    }

    pub fn forbidden() -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "Your role does not allow this")
    }

    pub fn bad_request(title: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, title)
    }
}

/// The answer to a change: 204, or 404 if its object does not exist.
pub fn no_content(exists: bool) -> Answer<StatusCode> {
    if exists { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::not_found()) }
}

/// A failure of the server. The cause goes to the log only, since it may name files.
impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        tracing::error!(error = with_causes(&error), fault = %error.fault(), "request failed");
        if error.is_lost() {
            return Problem::lost();
        }
        if error.is_full() {
            return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "The server's disk is full")
                .retry_after(60);
        }
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server cannot do this now").retry_after(5)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Problem {
        Error::from(error).into()
    }
}

impl From<NoMemory> for Problem {
    fn from(refused: NoMemory) -> Problem {
        match refused {
            NoMemory::RecorderShare => {
                let title = "This recorder has too many uploads in progress";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, title).retry_after(1)
            }
            NoMemory::AllTaken => {
                let title = "The server is busy with other uploads";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, title).retry_after(5)
            }
            NoMemory::GoingDown => Error::GoingDown.into(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = self.more;
        body.insert("title".to_owned(), self.title.into());
        body.insert("status".to_owned(), self.status.as_u16().into());
        if let Some(detail) = self.detail {
            body.insert("detail".to_owned(), detail.into());
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
