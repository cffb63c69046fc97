//! What every request passes before anything looks at what it wants: the name by which it found us, the page that
//! it comes from, its body. In this order, so that a foreign page learns nothing but that it is foreign.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::Api;
use super::connections::{self, Held};
use super::problem::{Code, Problem};

const METHODS: &str = "GET, POST, PUT, DELETE, OPTIONS";
const HEADERS: &str =
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-CSRF-Token, X-Support-CSRFP";
const EXPOSED: &str = "Allow, Location, Retry-After, X-CSRF-Token";
/// Seconds for which a browser need not ask again.
const PREFLIGHT_AGE: &str = "600";

pub async fn pass(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let origin = match is_ours(&api, &request) {
        Ok(origin) => origin,
        Err(problem) => return guarded(problem.into_response(), None),
    };
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let response = match (&origin, preflight) {
        (Some(_), true) => preflight_answer(request.headers()),
        _ => match with_body(&api, request).await {
            Ok(request) => answer(request, next).await,
            Err(problem) => problem.into_response(),
        },
    };
    guarded(response, origin)
}

/// The page that asks, where it is one that may.
fn is_ours(api: &Api, request: &Request) -> Result<Option<HeaderValue>, Problem> {
    let headers = request.headers();
    host(api, request)?;
    let foreign = |detail: &str| {
        Problem::new(Code::ForeignOrigin, detail)
            .at("Origin")
            .cure("a deployer adds the page to `origins` in [feed.desktop]")
    };
    match one(headers, header::ORIGIN).map_err(|()| foreign("more than one origin"))? {
        Some(origin) if origin.to_str().is_ok_and(|origin| api.settings.origins.has(origin)) => {
            Ok(Some(origin.clone()))
        }
        Some(origin) => Err(foreign(&format!("not an origin that may: {}", origin.to_str().unwrap_or("?")))),
        // Pages can send simple requests without an origin. Browsers say so in another header.
        None => match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(b"cross-site" | b"same-site") => Err(foreign("a page asks without saying which")),
            _ => Ok(None),
        },
    }
}

fn host(api: &Api, request: &Request) -> Result<(), Problem> {
    let unknown = |detail: String| {
        Problem::new(Code::UnknownHost, detail).at("Host").cure("use localhost or 127.0.0.1, with the port")
    };
    let host = match one(request.headers(), header::HOST) {
        Err(()) => return Err(Problem::new(Code::BadRequest, "more than one Host").at("Host")),
        Ok(host) => host.and_then(|host| host.to_str().ok()),
    };
    // `GET http://name/ HTTP/1.1` names it a second time.
    let in_target = request.uri().authority().map(|authority| authority.as_str());
    match (host, in_target) {
        (None, _) if request.version() != Version::HTTP_10 => {
            Err(Problem::new(Code::BadRequest, "no Host").at("Host"))
        }
        (None, _) => Err(unknown("no Host".to_owned())),
        (Some(host), in_target) => {
            match [Some(host), in_target].into_iter().flatten().find(|name| !api.hosts.has(name)) {
                Some(name) => Err(unknown(format!("the recorder is not `{name}`"))),
                None => Ok(()),
            }
        }
    }
}

/// The header, if it is there once.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&HeaderValue>, ()> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        _ => Err(()),
    }
}

fn preflight_answer(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_AGE));
    if asked.get("access-control-request-private-network").is_some_and(|value| value == "true") {
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    response
}

/// Reads the body whole, within its limits. Forms and texts, which any page can send, are none of ours.
async fn with_body(api: &Api, request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let limit = api.limits.body_bytes;
    let large = || Problem::new(Code::TooLarge, format!("more than {limit} bytes"));
    if body.size_hint().lower() > limit as u64 {
        return Err(large());
    }
    let read = timeout(api.limits.body, Limited::new(body, limit).collect()).await;
    let body: Bytes = match read {
        Err(_) => {
            let detail = format!("the body was not there within {} ms", api.limits.body.as_millis());
            return Err(Problem::new(Code::SlowRequest, detail));
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(large()),
        Ok(Err(error)) => return Err(Problem::new(Code::BadRequest, format!("the body broke off: {error}"))),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let writes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if writes && (kind.is_some() || !body.is_empty()) && !kind.is_some_and(is_json) {
        return Err(Problem::new(Code::NotJson, "the body is said to be something else")
            .at("Content-Type")
            .cure("send Content-Type: application/json"));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// From here on the connection is busy, until the answer is out.
async fn answer(request: Request, next: Next) -> Response {
    let busy = connections::of(&request).map(|connection| connection.busy());
    let response = next.run(request).await;
    match busy {
        Some(busy) => response.map(|body| Held::body(body, busy)),
        None => response,
    }
}

/// What stands in every answer, and in those to a page that may read them.
fn guarded(mut response: Response, origin: Option<HeaderValue>) -> Response {
    let headers = response.headers_mut();
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::VARY, "Origin"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}
