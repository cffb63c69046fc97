//! Paths and what does them. `openapi.json` says the same to others, and a test holds the two together.

mod classic;
mod events;
mod log_in;
mod record;
mod show;
mod socket;
mod tell;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, post, put};
use serde::de::DeserializeOwned;

use super::Api;
use super::gate;
use super::problem::{Code, Problem};

pub const OPENAPI: &str = include_str!("openapi.json");

fn routes() -> Vec<(&'static str, MethodRouter<Arc<Api>>)> {
    vec![
        ("/api/v1/session", post(log_in::begin).get(log_in::show).delete(log_in::end)),
        ("/api/v1/session/ping", post(log_in::ping)),
        ("/api/v1/state", put(tell::state)),
        ("/api/v1/events", post(tell::events).get(events::stream)),
        ("/api/v1/ws", get(socket::open)),
        ("/api/v1/recording/start", post(record::start)),
        ("/api/v1/recording/stop", post(record::stop)),
        ("/api/v1/recording/pause", post(record::pause)),
        ("/api/v1/recording/resume", post(record::resume)),
        ("/api/v1/recording/mask", post(record::mask)),
        ("/api/v1/recording/tag", post(record::tag)),
        ("/api/v1/operations/{id}", get(record::operation)),
        ("/api/v1/recordings", get(show::recordings)),
        ("/api/v1/status", get(show::status)),
        ("/api/v1/health", get(show::health)),
        ("/api/v1/version", get(show::version)),
        ("/api/v1/openapi.json", get(show::openapi)),
        ("/metrics", get(show::metrics)),
        ("/api/v2/me", get(classic::log_in).post(classic::log_in_with).options(classic::preflight)),
        ("/ping", get(classic::ping).options(classic::preflight)),
    ]
}

pub fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for (path, methods) in routes() {
        let wrong = || async { Problem::new(Code::WrongMethod, "see the Allow header") };
        router = router.route(path, methods.fallback(wrong));
    }
    router
        .fallback(|| async {
            Problem::new(Code::NotFound, "no such path").cure("see GET /api/v1/openapi.json")
        })
        .layer(from_fn_with_state(api.clone(), gate::pass))
        .with_state(api)
}

/// The body as the object that it should be. No body at all is an empty one.
fn object<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    // A struct would be read from a list too.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Problem::new(Code::BadBody, "a list, where an object should be").at("body"));
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
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let documented: BTreeSet<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let served: BTreeSet<&str> = routes().into_iter().map(|(path, _)| path).collect();
        assert_eq!(documented, served);
    }
}
