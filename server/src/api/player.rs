//! Serves the player's files, which are embedded in the program.

use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};

use super::problem::Problem;

include!(concat!(env!("OUT_DIR"), "/player.rs"));

/// Allows only our own files and nothing inline. `blob:` is for Media Source Extensions.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; \
                      media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const NOT_BUILT: &str = "<!doctype html><title>Deskreel</title><p>This server was built without the player. \
                         Build it first: <code>cd web &amp;&amp; npm ci &amp;&amp; npm run build</code>. The API is at \
                         <code>/api/v1</code>.";

pub async fn serve(uri: Uri) -> Response {
    let name = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        name => name,
    };
    let mut response = match FILES.iter().find(|(own, _)| *own == name) {
        Some((_, bytes)) => {
            let mut response = (*bytes).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
            if name.starts_with("assets/") {
                // The name contains a hash of the content.
                let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
                response.headers_mut().insert(header::CACHE_CONTROL, forever);
            }
            response
        }
        None if name == "index.html" => (StatusCode::OK, Html(NOT_BUILT)).into_response(),
        None => return Problem::not_found().into_response(),
    };
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
