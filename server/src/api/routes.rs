//! Every path of the API.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use serde_json::{Value, json};

use super::problem::{Answer, Problem};
use super::{ingest, interactions, media, session};
use crate::app::App;

const FRAGMENT: &str = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}";

pub fn router(app: App) -> Router {
    let recorders = Router::new()
        .route("/recordings/{recording}/about", put(ingest::put_about))
        .route("/recordings/{recording}/manifest", put(ingest::put_manifest))
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
        .route("/interactions/{interaction}/export", post(media::export))
        .route("/recordings/{recording}", get(media::recording))
        .route("/recordings/{recording}/hls/{playlist}", get(media::hls))
        .route("/recordings/{recording}/movie.mp4", get(media::movie))
        .route("/live", get(media::live));
    let api = Router::new().route("/health", get(health)).merge(recorders).merge(people);
    Router::new()
        .nest("/api/v1", api)
        .fallback(async || Problem::not_found())
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

/// For whoever watches over the server: nothing that it needs is missing.
async fn health(State(app): State<App>) -> Answer<Json<Value>> {
    app.db.is_well().await?;
    Ok(Json(json!({ "status": "ok" })))
}
