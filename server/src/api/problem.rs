//! What is answered where something is not done: RFC 9457.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

use crate::error::{Error, told};

#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    /// A sentence for people.
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

    /// A member of its own.
    pub fn with(mut self, name: &str, value: Value) -> Problem {
        self.more.insert(name.to_owned(), value);
        self
    }

    /// What is not there and what this caller may not see look the same.
    pub fn not_found() -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "There is nothing here")
    }

    pub fn forbidden() -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "Your role does not allow this")
    }

    pub fn bad_request(title: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, title)
    }
}

/// What the server could not do. The log has what went wrong; the answer does not, since it may name files.
impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        tracing::error!(error = told(&error), fault = %error.fault(), "a request failed");
        if error.is_full() {
            return Problem::new(StatusCode::INSUFFICIENT_STORAGE, "There is no room on the server")
                .retry_after(60);
        }
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server cannot do this at present").retry_after(5)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Problem {
        Error::from(error).into()
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
