//! What comes with a request, judged: paths, queries and bodies that are not as they should be are problems, not panics or
//! plain text.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::api::problem::Problem;
use crate::app::App;

/// A JSON object: a body of at most 2 MB (axum's own limit).
pub struct Input<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Input<T>, Problem> {
        Ok(Input(read::<Object<T>>(request, app).await?.0))
    }
}

/// One such object, or a list of them.
pub struct Inputs<T>(pub Vec<T>);

impl<T: DeserializeOwned> FromRequest<App> for Inputs<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Inputs<T>, Problem> {
        #[derive(Deserialize)]
        #[serde(untagged, bound = "T: DeserializeOwned")]
        enum Several<T> {
            Many(Vec<Object<T>>),
            One(Object<T>),
        }
        Ok(Inputs(match read(request, app).await? {
            Several::Many(all) => all.into_iter().map(|Object(one)| one).collect(),
            Several::One(Object(one)) => vec![one],
        }))
    }
}

/// Written as a JSON object. A struct alone would also be read from a list of its values, in the order of its fields.
#[derive(Deserialize)]
#[serde(try_from = "Map<String, Value>", bound = "T: DeserializeOwned")]
pub struct Object<T>(pub T);

impl<T: DeserializeOwned> TryFrom<Map<String, Value>> for Object<T> {
    type Error = serde_json::Error;

    fn try_from(members: Map<String, Value>) -> Result<Object<T>, serde_json::Error> {
        T::deserialize(Value::Object(members)).map(Object)
    }
}

async fn read<T: DeserializeOwned>(request: Request, app: &App) -> Result<T, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // A page of another site can send forms without asking, and this cannot be one.
    if kind.is_none_or(|kind| kind.split(';').next().unwrap_or("").trim() != "application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be application/json"));
    }
    // Who needs longer for 2 MB sends nothing that is meant.
    let body = timeout(app.config.graph.server.body_patience, Bytes::from_request(request, app))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The body took too long"))?;
    let body = body.map_err(|rejected| Problem::new(rejected.status(), "The body cannot be read"))?;
    if std::str::from_utf8(&body).is_ok_and(has_nul) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "A text has the character NUL"));
    }
    serde_json::from_slice(&body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, "The body does not say what is needed").detail(error.to_string())
    })
}

/// What stands in the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Path<T>, Problem> {
        // What is no text, or has a NUL, is the name of nothing here.
        let has_nul = parts.uri.path().contains("%00");
        match axum::extract::Path::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(path)) if !has_nul => Ok(Path(path)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// The query's keys and values, in order.
pub struct Pairs(pub Vec<(String, String)>);

impl FromRequestParts<App> for Pairs {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Pairs, Problem> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let pairs = pairs
            .ok()
            .filter(|pairs| !pairs.0.iter().any(|(key, value)| (key.clone() + value).contains('\0')));
        Ok(Pairs(pairs.ok_or_else(|| Problem::bad_request("The query cannot be read"))?.0))
    }
}

impl Pairs {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Whether a text of this JSON has a NUL, which PostgreSQL keeps in no text. It can only stand there escaped.
pub fn has_nul(json: &str) -> bool {
    let escaped = |at: usize| json[..at].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 0;
    json.match_indices("\\u0000").any(|(at, _)| escaped(at))
}

/// A text that people write, not longer than what they would.
pub fn words(text: &str, most: usize) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most {
        let title = format!("This needs a text of at most {most} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_and_a_backslash_before_digits_is_none() {
        for (json, has) in [
            (r#"{"a":"\u0000"}"#, true),
            (r#"["\\\u0000"]"#, true),
            (r#"["\\u0000"]"#, false),
            (r#"["u0000", "\u0001"]"#, false),
        ] {
            assert_eq!(has_nul(json), has, "{json}");
        }
    }
}
