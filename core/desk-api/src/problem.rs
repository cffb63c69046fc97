//! The answer to a request that is refused or fails: RFC 9457, with a code that keeps its meaning forever,
//! the place of the mistake and the cure. docs/desktop-api.md explains each code; a test compares the two.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deskreel_model::Fault;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::schemas;
use deskreel_desk::Refused;

macro_rules! codes {
    ($($name:ident $status:literal $code:literal $title:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code { $($name),+ }

        impl Code {
            #[cfg(test)]
            const ALL: &[Code] = &[$(Code::$name),+];

            fn facts(self) -> (u16, &'static str, &'static str) {
                match self { $(Code::$name => ($status, $code, $title)),+ }
            }
        }
    };
}

codes! {
    BadRequest 400 "bad_request" "The request is not valid HTTP";
    BadJson 400 "bad_json" "The body is not JSON";
    NoCredentials 401 "no_credentials" "Log in first";
    WrongCredentials 401 "wrong_credentials" "Name and password, or the token, are wrong";
    SessionOver 401 "session_over" "The session is over";
    ForeignOrigin 403 "foreign_origin" "This page may not use the recorder";
    NoCsrfToken 403 "no_csrf_token" "The session's CSRF token is missing";
    NotYours 403 "not_yours" "This belongs to another agent";
    NeedsSession 403 "needs_session" "Only an agent's session may do this";
    NotAllowed 403 "not_allowed" "The recorder's rules do not allow this";
    NotFound 404 "not_found" "There is nothing here";
    WrongMethod 405 "wrong_method" "This path has other methods";
    SlowRequest 408 "slow_request" "The request took too long to arrive";
    NothingRecorded 409 "nothing_recorded" "Nothing is being recorded";
    TooLarge 413 "too_large" "The body is too large";
    NotJson 415 "not_json" "The body must be application/json";
    UnknownHost 421 "unknown_host" "This host name is not the recorder's";
    BadBody 422 "bad_body" "The body is not what this path expects";
    KeyReused 422 "key_reused" "This idempotency key belongs to another request";
    TooMany 429 "too_many" "Too many requests";
    Failed 500 "failed" "It could not be done";
    ServerAway 503 "server_away" "The server, which checks the passwords, does not answer";
    GoingDown 503 "going_down" "The recorder is going down";
    Late 504 "late" "It is not done yet, but may still happen";
}

impl Code {
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.facts().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn as_str(self) -> &'static str {
        self.facts().1
    }

    pub fn title(self) -> &'static str {
        self.facts().2
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub code: Code,
    /// What is wrong with this request, for people.
    detail: String,
    /// A header, or a path into the body such as `/devices/0`.
    place: Option<String>,
    cure: Option<&'static str>,
    retry_after: Option<Duration>,
    /// Whose fault it is, if the recorder failed.
    fault: Option<Fault>,
    extension: Option<Extension>,
}

/// A member that only some problems have.
#[derive(Debug, Clone, PartialEq)]
enum Extension {
    Operation(String),
    Accepted(usize),
    Events(Vec<WrongEvent>),
}

#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WrongEvent {
    pub index: usize,
    pub code: &'static str,
    pub detail: String,
}

/// RFC 9457.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `urn:deskreel:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    /// Keeps its meaning forever.
    code: &'a str,
    detail: &'a str,
    /// A header, or a path into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    place: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    cure: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false, value_type = Option<schemas::Fault>)]
    fault: Option<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operation: Option<&'a str>,
    /// Events that were accepted before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    accepted: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline, nullable = false)]
    events: Option<&'a [WrongEvent]>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem { code, detail, place: None, cure: None, retry_after: None, fault: None, extension: None }
    }

    pub fn at(self, place: impl Into<String>) -> Problem {
        Problem { place: Some(place.into()), ..self }
    }

    pub fn cure(self, cure: &'static str) -> Problem {
        Problem { cure: Some(cure), ..self }
    }

    pub fn retry_after(self, wait: Duration) -> Problem {
        Problem { retry_after: Some(wait), ..self }
    }

    /// Names the operation that failed.
    pub fn of_operation(self, id: &str) -> Problem {
        Problem { extension: Some(Extension::Operation(id.to_owned())), ..self }
    }

    /// Adds the number of events that were accepted before it.
    pub fn after_events(self, accepted: usize) -> Problem {
        Problem { extension: Some(Extension::Accepted(accepted)), ..self }
    }

    /// Lists the events that are wrong.
    pub fn with_events(self, events: Vec<WrongEvent>) -> Problem {
        Problem { extension: Some(Extension::Events(events)), ..self }
    }

    pub fn bad_json(error: &serde_json::Error) -> Problem {
        let code = if error.is_data() { Code::BadBody } else { Code::BadJson };
        Problem::new(code, error.to_string()).at("body")
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let detail = refused.to_string();
        match refused {
            Refused::NotLoggedIn(_) => {
                Problem::new(Code::SessionOver, detail).cure("log in again: POST /api/v1/session")
            }
            Refused::NothingRecorded => {
                Problem::new(Code::NothingRecorded, detail).cure("start first, or see GET /api/v1/status")
            }
            Refused::NotAllowed(_) => Problem::new(Code::NotAllowed, detail),
            Refused::Failed { fault, .. } => {
                Problem { fault: Some(fault), ..Problem::new(Code::Failed, detail) }
                    .cure("see the recorder's log")
            }
            Refused::Late(_) => Problem::new(Code::Late, detail).cure("see GET /api/v1/status"),
            Refused::GoingDown => Problem::new(Code::GoingDown, detail).retry_after(Duration::from_secs(5)),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut body = ProblemBody {
            kind: format!("urn:deskreel:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: status.as_u16(),
            code: self.code.as_str(),
            detail: &self.detail,
            place: self.place.as_deref(),
            cure: self.cure,
            fault: self.fault,
            ..ProblemBody::default()
        };
        match &self.extension {
            None => {}
            Some(Extension::Operation(id)) => body.operation = Some(id),
            Some(Extension::Accepted(accepted)) => body.accepted = Some(*accepted),
            Some(Extension::Events(events)) => body.events = Some(events),
        }
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
        }
        if status == StatusCode::UNAUTHORIZED {
            // Not Basic: a browser would open a window that asks the agent for a password.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"deskreel\""));
        }
        // The rest of a request that was not read completely must not be taken for the next one.
        if matches!(self.code, Code::BadRequest | Code::SlowRequest | Code::TooLarge) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    #[test]
    fn every_code_is_explained_and_every_explanation_has_a_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/desktop-api.md");
        let text = fs::read_to_string(path).unwrap();
        let table = text.split("<!-- codes -->").nth(1).unwrap().split("<!-- end -->").next().unwrap();
        let rows = table.lines().filter(|line| line.starts_with("| `"));
        let explained: Vec<(String, String)> = rows
            .map(|row| {
                let mut cells =
                    row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
                (cells.next().unwrap(), cells.next().unwrap())
            })
            .collect();
        let codes: Vec<(String, String)> = Code::ALL
            .iter()
            .map(|code| (code.as_str().to_owned(), code.status().as_u16().to_string()))
            .collect();
        assert_eq!(explained, codes);
    }
}
