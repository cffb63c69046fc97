//! HTTP answers: counts, or a problem (RFC 9457).

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    pub fn ok(body: Value) -> Answer {
        Answer { status: 200, body }
    }

    pub fn problem(status: u16, title: &str) -> Answer {
        Answer { status, body: json!({ "title": title, "status": status }) }
    }

    /// Some events of the body are not taken. No success, or nobody would learn of it: senders report what
    /// keeps failing. Those that are taken count once, so the body may come again.
    pub fn refused(counts: Value) -> Answer {
        let mut body = counts;
        body["title"] = "some events were not taken; the others are stored".into();
        body["status"] = 422.into();
        Answer { status: 422, body }
    }

    pub fn later(title: &str) -> Answer {
        Answer::problem(503, title)
    }

    #[cfg(test)]
    pub fn status(&self) -> u16 {
        self.status
    }

    #[cfg(test)]
    pub fn field(&self, name: &str) -> Value {
        self.body[name].clone()
    }

    pub fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body.to_string())));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let kind = if self.status < 300 { "application/json" } else { "application/problem+json" };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        match self.status {
            405 => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            503 => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("5"))),
            _ => {}
        }
        response
    }
}
