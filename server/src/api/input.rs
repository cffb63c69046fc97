//! What comes with a request, judged: bodies and queries that are not as they should be are problems, not panics or plain text.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::problem::Problem;
use crate::app::App;

/// Who needs longer for 2 MB sends nothing that is meant.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body of at most 2 MB (axum's own limit).
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Input<T>, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        // A page of another site can send forms without asking, and this cannot be one.
        if kind.is_none_or(|kind| kind.split(';').next().unwrap_or("").trim() != "application/json") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body must be application/json",
            ));
        }
        let body = timeout(PATIENCE, Bytes::from_request(request, app))
            .await
            .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The body took too long"))?;
        let body = body.map_err(|rejected| Problem::new(rejected.status(), "The body cannot be read"))?;
        let input = serde_json::from_slice(&body).map_err(|error| {
            let status =
                if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
            Problem::new(status, "The body does not say what is needed").detail(error.to_string())
        })?;
        Ok(Input(input))
    }
}

/// The query's keys and values, in order.
pub struct Pairs(pub Vec<(String, String)>);

impl FromRequestParts<App> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Pairs, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::bad_request("The query cannot be read"))?;
        Ok(Pairs(pairs.0))
    }
}

impl Pairs {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A text that people write, not longer than what they would.
pub fn words(text: &str, most: usize) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.len() > most || text.contains('\0') {
        let title = format!("This needs a text of at most {most} bytes");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title));
    }
    Ok(text)
}
