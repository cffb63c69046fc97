//! The routes of the API.

use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::{Document, Unavailable};
use super::problem::{Answer, Problem};
use super::{
    admin, annotations, directory, export, finished_file, identities, interactions, link, media, player,
    session, uploads,
};
use crate::app::App;
use crate::health::texts;

const FRAGMENT: &str = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}";

pub fn router(app: App) -> Router {
    let recorders = Router::new()
        .route("/link", get(link::open))
        .route("/recordings/{recording}/about", put(uploads::put_about))
        .route("/recordings/{recording}/manifest", put(uploads::put_manifest))
        .route("/recordings/{recording}/file", put(finished_file::put_file))
        .route(FRAGMENT, put(uploads::put_fragment).get(media::fragments));
    let people = Router::new()
        .route("/session", post(session::log_in).get(session::current).delete(session::log_out))
        .route("/interactions", get(interactions::find))
        .route("/interactions/{interaction}", get(interactions::one).delete(annotations::delete))
        .route("/interactions/{interaction}/labels", post(annotations::label))
        .route("/interactions/{interaction}/labels/{label}", delete(annotations::unlabel))
        .route("/interactions/{interaction}/notes", post(annotations::add_note))
        .route("/interactions/{interaction}/notes/{note}", delete(annotations::remove_note))
        .route("/interactions/{interaction}/hold", post(annotations::hold).delete(annotations::release))
        .route("/interactions/{interaction}/export", post(export::interaction))
        .route("/recordings/{recording}", get(media::recording))
        .route("/recordings/{recording}/hls/{playlist}", get(media::hls))
        .route("/recordings/{recording}/movie.mp4", get(export::recording))
        .route("/live", get(media::live))
        .route("/agents", get(directory::agents).post(directory::set_agents))
        .route("/groups", get(directory::groups).post(directory::set_groups))
        .route("/places", get(directory::places).post(directory::set_places))
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
        .route("/identities", get(identities::list).post(identities::assign))
        .route("/audit", get(admin::audit))
        .route("/metrics", get(admin::metrics));
    let public = Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(document))
        .route("/enrol", post(admin::enrol));
    let api = recorders.merge(people).merge(administrators).merge(public);
    Router::new()
        .nest("/api/v1", api.fallback(async || Problem::not_found()))
        .fallback(get(player::serve))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This path does not support this method")
        })
        .layer(map_response(add_headers))
        .with_state(app)
}

/// Keeps answers out of caches and out of other sites, and browsers from guessing their types.
async fn add_headers(mut response: Response) -> Response {
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

/// The OpenAPI 3.1 document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "operations",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = inline(Document)), Unavailable),
)]
async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

#[derive(Serialize, ToSchema)]
struct Health {
    status: HealthStatus,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum HealthStatus {
    Ok,
}

/// For monitoring: tells whether the server would store and decide the next thing that arrives.
///
/// The server writes a row and an object and asks its tasks each minute. A 503 has the reasons in `problems`.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "showHealth",
    tag = "operations",
    security(()),
    responses((status = 200, description = "All is well", body = Health), Unavailable),
)]
async fn health(State(app): State<App>) -> Answer<Json<Health>> {
    let problems = app.health.problems(Instant::now());
    if problems.is_empty() {
        // Between two rounds, an index that cannot be reached is noticed here.
        app.db.check().await?;
        return Ok(Json(Health { status: HealthStatus::Ok }));
    }
    let texts = texts(&problems);
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The server is not healthy");
    Err(problem.detail(texts.join("; ")).retry_after(60).with("problems", texts.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_openapi_document_has_exactly_the_routes() {
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
