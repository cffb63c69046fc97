//! The OpenAPI document, generated from the routes and their types.
//!
//! The server sends `openapi.json`, which a test compares with the generated document; `UPDATE=1` writes it.
//! So the program has no code that generates it.

pub mod responses;
pub mod schemas;

use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, Required};
use utoipa::{Modify, OpenApi};

use super::problem::ProblemBody;
use super::routes::{classic, commands, event_stream, queries, reports, sessions, socket};

/// The document that the server sends.
pub const JSON: &str = include_str!("openapi.json");

/// Paths whose requests need a body. On all others, a missing body counts as an empty one.
const NEED_A_BODY: [&str; 2] = ["/api/v1/state", "/api/v1/events"];

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Deskreel recorder, desktop API",
        version = "1.0",
        description = "Agent desktops and programs on a PC use it to talk to its recorder, over loopback HTTP. \
                       Errors are RFC 9457 problem details with a stable `code`. docs/desktop-api.md explains \
                       sessions, security and each code.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers((url = "https://localhost:8643")),
    tags((name = "session"), (name = "events"), (name = "recording"), (name = "recorder"), (name = "classic")),
    paths(
        sessions::begin,
        sessions::show,
        sessions::end,
        sessions::ping,
        reports::state,
        reports::events,
        event_stream::open,
        socket::open,
        commands::start,
        commands::stop,
        commands::pause,
        commands::mask,
        commands::resume,
        commands::tag,
        commands::operation,
        queries::recordings,
        queries::status,
        queries::health,
        queries::version,
        queries::openapi,
        queries::metrics,
        classic::log_in,
        classic::log_in_with,
        classic::preflight_log_in,
        classic::ping,
        classic::preflight_ping,
    ),
    components(schemas(ProblemBody)),
    modifiers(&Additions)
)]
struct Api;

/// Generates the document. The recorder does not call it; it sends [`JSON`].
pub fn document() -> Document {
    Api::openapi()
}

/// Everything that attributes cannot express.
struct Additions;

impl Modify for Additions {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        components.responses.extend(responses::problems());
        for (name, scheme) in security_schemes() {
            components.add_security_scheme(name, scheme);
        }
        for (path, item) in &mut document.paths.paths {
            if !NEED_A_BODY.contains(&path.as_str())
                && let Some(RefOr::T(body)) = item.post.as_mut().and_then(|post| post.request_body.as_mut())
            {
                body.required = Some(Required::False);
            }
        }
    }
}

fn security_schemes() -> [(&'static str, SecurityScheme); 4] {
    let http = |scheme, description: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(scheme).description(Some(description)).build())
    };
    let agent = "An agent's name and password: those of `agents_file`, or of the server if the pipeline \
                 file has a `[link]` and no `agents_file`.";
    let cookie = ApiKeyValue::with_description(
        "__Host-deskreel",
        "The cookie of a session (`deskreel` on plain http). Commands also need X-CSRF-Token.",
    );
    [
        ("agent", http(HttpAuthScheme::Basic, agent)),
        ("program", http(HttpAuthScheme::Bearer, "The token of `token_file`, which pages may not use.")),
        ("session", http(HttpAuthScheme::Bearer, "The token of a session, from the page that logged in.")),
        ("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie))),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_document_is_the_generated_one() {
        let generated = document().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("UPDATE").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/openapi.json");
            std::fs::write(path, &generated).unwrap();
        } else {
            assert!(generated == JSON, "UPDATE=1 writes openapi.json; look at its changes before you commit");
        }
    }
}
