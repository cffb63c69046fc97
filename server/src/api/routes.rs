//! Every path of the API.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde_json::{Value, json};

use super::problem::{Answer, Problem};
use super::{Caller, ingest};
use crate::app::App;

const FRAGMENT: &str = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}";

pub fn router(app: App) -> Router {
    let api = Router::new()
        .route("/health", get(health))
        .route("/recordings/{recording}", get(recording))
        .route("/recordings/{recording}/about", put(ingest::put_about))
        .route("/recordings/{recording}/manifest", put(ingest::put_manifest))
        .route(FRAGMENT, put(ingest::put_fragment).get(ingest::get_fragment));
    Router::new()
        .nest("/api/v1", api)
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "This is done with another method")
        })
        .with_state(app)
}

/// To a recorder, what it has here.
async fn recording(State(app): State<App>, caller: Caller, Path(recording): Path<String>) -> Answer {
    match caller {
        Caller::Recorder(from) => ingest::holdings(&app, &from, &recording).await,
        Caller::Person(_) => Err(Problem::not_found()),
    }
}

/// For whoever watches over the server: nothing that it needs is missing.
async fn health(State(app): State<App>) -> Answer<Json<Value>> {
    app.db.is_well().await?;
    Ok(Json(json!({ "status": "ok" })))
}
