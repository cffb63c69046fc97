//! Every path of the API.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde_json::{Value, json};

use super::problem::{Answer, Problem};
use super::{admin, export, finished, ingest, interactions, link, media, session};
use crate::app::App;
use crate::player;

const FRAGMENT: &str = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}";

pub fn router(app: App) -> Router {
    let recorders = Router::new()
        .route("/link", get(link::open))
        .route("/recordings/{recording}/about", put(ingest::put_about))
        .route("/recordings/{recording}/manifest", put(ingest::put_manifest))
        .route("/recordings/{recording}/file", put(finished::put_file))
        .route(FRAGMENT, put(ingest::put_fragment).get(media::fragments));
    let people = Router::new()
        .route("/session", post(session::log_in).get(session::who).delete(session::log_out))
        .route("/interactions", get(interactions::find))
        .route("/interactions/{interaction}", get(interactions::one).delete(interactions::delete))
        .route("/interactions/{interaction}/labels", post(interactions::label))
        .route("/interactions/{interaction}/labels/{label}", delete(interactions::unlabel))
        .route("/interactions/{interaction}/notes", post(interactions::add_note))
        .route("/interactions/{interaction}/notes/{note}", delete(interactions::remove_note))
        .route("/interactions/{interaction}/hold", post(interactions::hold).delete(interactions::release))
        .route("/interactions/{interaction}/export", post(export::interaction))
        .route("/recordings/{recording}", get(media::recording))
        .route("/recordings/{recording}/hls/{playlist}", get(media::hls))
        .route("/recordings/{recording}/movie.mp4", get(export::recording))
        .route("/live", get(media::live))
        .route("/agents", get(admin::agents).post(admin::set_agents))
        .route("/groups", get(admin::groups).post(admin::set_groups))
        .route("/places", get(admin::places).post(admin::set_places))
        .route("/completeness", get(admin::completeness))
        .route("/events", post(link::events));
    let administrators = Router::new()
        .route("/users", get(admin::users).post(admin::add_user))
        .route("/users/{name}", delete(admin::remove_user))
        .route("/tokens", post(admin::add_token))
        .route("/tokens/{id}", delete(admin::revoke_token))
        .route("/enrolments", post(admin::add_enrolment))
        .route("/recorders", get(admin::recorders))
        .route("/recorders/{recorder}", delete(admin::revoke_recorder))
        .route("/retention", get(admin::get_retention).post(admin::set_retention))
        .route("/retention/sweep", post(admin::sweep))
        .route("/audit", get(admin::audit))
        .route("/metrics", get(admin::metrics));
    let anybody = Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(document))
        .route("/enrol", post(admin::enrol));
    let api = recorders.merge(people).merge(administrators).merge(anybody);
    Router::new()
        .nest("/api/v1", api.fallback(async || Problem::not_found()))
        .fallback(get(player::serve))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This is done with another method")
        })
        .layer(map_response(always))
        .with_state(app)
}

/// Nothing here is to be kept by caches or shown in frames, and nothing is guessed about its type.
async fn always(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// OpenAPI 3.1.
async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// For whoever watches over the server: nothing that it needs is missing.
async fn health(State(app): State<App>) -> Answer<Json<Value>> {
    app.db.is_well().await?;
    Ok(Json(json!({ "status": "ok" })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let source = include_str!("routes.rs").replace("FRAGMENT,", &format!("{FRAGMENT:?},"));
        let mut routes = BTreeSet::new();
        for route in source.split(".route(").skip(1).filter(|route| route.starts_with('"')) {
            let (path, rest) = route.trim_start_matches('"').split_once('"').unwrap();
            let end = rest.find(['\n', ';']).unwrap();
            for method in ["get", "put", "post", "delete"] {
                let calls =
                    rest[..end].split(|char: char| !char.is_alphanumeric() && char != '_' && char != ':');
                if calls.into_iter().any(|word| word == method) {
                    routes.insert(format!("{method} {path}"));
                }
            }
        }
        let document: Value = serde_json::from_str(include_str!("openapi.json")).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let methods = |(path, item): (&String, &Value)| {
            let item = item.as_object().unwrap();
            let own =
                ["get", "put", "post", "delete"].into_iter().filter(|method| item.contains_key(*method));
            own.map(|method| format!("{method} {path}")).collect::<Vec<_>>()
        };
        let documented: BTreeSet<String> = paths.flat_map(methods).collect();
        assert_eq!(documented, routes);
        assert!(routes.len() > 40, "{routes:?}");
    }
}
