//! Extractors for paths, queries and JSON bodies. Invalid ones are answered with a problem.

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
use crate::names::has_nul;

/// A body that is a JSON object, of at most 2 MB (axum's limit).
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<JsonBody<T>, Problem> {
        Ok(JsonBody(read::<Object<T>>(request, app).await?.0))
    }
}

/// A body that is one such object, or a list of them.
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: DeserializeOwned> FromRequest<App> for OneOrMany<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<OneOrMany<T>, Problem> {
        #[derive(Deserialize)]
        #[serde(untagged, bound = "T: DeserializeOwned")]
        enum Several<T> {
            Many(Vec<Object<T>>),
            One(Object<T>),
        }
        Ok(OneOrMany(match read(request, app).await? {
            Several::Many(all) => all.into_iter().map(|Object(one)| one).collect(),
            Several::One(Object(one)) => vec![one],
        }))
    }
}

/// Accepts JSON objects only. A struct by itself would also be read from a list of its fields' values.
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
    // Another site's page can send forms without permission; a form cannot have this type.
    if kind.is_none_or(|kind| kind.split(';').next().unwrap_or("").trim() != "application/json") {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be application/json"));
    }
    // No honest client needs longer for 2 MB.
    let body = timeout(app.config.graph.server.body_patience, Bytes::from_request(request, app))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The body took too long"))?;
    let body = body.map_err(|rejected| Problem::new(rejected.status(), "The body cannot be read"))?;
    if std::str::from_utf8(&body).is_ok_and(has_nul) {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "A text contains the character NUL"));
    }
    serde_json::from_slice(&body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, "The body is not what this request needs").detail(error.to_string())
    })
}

/// The parameters of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Path<T>, Problem> {
        // Nothing has a name that is not UTF-8 or contains a NUL.
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

/// Trims a text that a person wrote, and checks its length in characters.
pub fn trimmed(text: &str, most: usize) -> Result<&str, Problem> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most {
        let title = format!("This needs a text of at most {most} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title));
    }
    Ok(text)
}
