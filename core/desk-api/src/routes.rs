//! Paths and their handlers. `openapi.json` describes them for clients; a test compares the two.

pub mod classic;
pub mod commands;
pub mod event_stream;
pub mod queries;
pub mod reports;
pub mod sessions;
pub mod socket;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post, put};
use serde::de::DeserializeOwned;

use super::Api;
use super::problem::{Code, Problem};
use super::request_checks;

fn routes() -> Vec<(&'static str, MethodRouter<Arc<Api>>)> {
    vec![
        ("/api/v1/session", post(sessions::begin).get(sessions::show).delete(sessions::end)),
        ("/api/v1/session/ping", post(sessions::ping)),
        ("/api/v1/state", put(reports::state)),
        ("/api/v1/events", post(reports::events).get(event_stream::open)),
        ("/api/v1/ws", get(socket::open)),
        ("/api/v1/recording/start", post(commands::start)),
        ("/api/v1/recording/stop", post(commands::stop)),
        ("/api/v1/recording/pause", post(commands::pause)),
        ("/api/v1/recording/resume", post(commands::resume)),
        ("/api/v1/recording/mask", post(commands::mask)),
        ("/api/v1/recording/tag", post(commands::tag)),
        ("/api/v1/operations/{id}", get(commands::operation)),
        ("/api/v1/recordings", get(queries::recordings)),
        ("/api/v1/status", get(queries::status)),
        ("/api/v1/health", get(queries::health)),
        ("/api/v1/version", get(queries::version)),
        ("/api/v1/openapi.json", get(queries::openapi)),
        ("/metrics", get(queries::metrics)),
        ("/api/v2/me", get(classic::log_in).post(classic::log_in_with).options(classic::preflight_log_in)),
        ("/ping", get(classic::ping).options(classic::preflight_ping)),
    ]
}

pub fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        let wrong =
            || async { Problem::new(Code::WrongMethod, "the Allow header lists the methods of this path") };
        router = router.route(path, methods.fallback(wrong));
    }
    router
        .fallback(|| async {
            Problem::new(Code::NotFound, "no such path").cure("see GET /api/v1/openapi.json")
        })
        .layer(from_fn_with_state(api.clone(), request_checks::check))
        .with_state(api)
}

/// Reads the body as a JSON object. A missing body counts as an empty object.
fn object<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    // Serde would also read a struct from a list.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::new(Code::BadBody, "expected an object, found a list").at("body"));
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::bad_json(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_the_paths_that_are_served() {
        let document: serde_json::Value = serde_json::from_str(crate::openapi::JSON).unwrap();
        let documented: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let served: BTreeSet<&str> = routes().into_iter().map(|(path, _)| path).collect();
        assert_eq!(documented, served);
    }
}
