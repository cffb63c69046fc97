//! Checks that every request passes before its path is looked at: the host name that it used, the page that
//! it comes from, its body. The order matters: a foreign page learns only that it is foreign.

use std::sync::Arc;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::Api;
use super::connections::{BusyBody, connection_of};
use super::problem::{Code, Problem};

const METHODS: &str = "GET, POST, PUT, DELETE, OPTIONS";
const HEADERS: &str =
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-CSRF-Token, X-Support-CSRFP";
const EXPOSED: &str = "Allow, Location, Retry-After, X-CSRF-Token";
/// Seconds for which a browser may cache a preflight's answer.
const PREFLIGHT_AGE: &str = "600";

pub async fn check(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let origin = match allowed_origin(&api, &request) {
        Ok(origin) => origin,
        Err(problem) => return with_headers(problem.into_response(), None),
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
    with_headers(response, origin)
}

/// Returns the page that sent the request; `None` for a program. Refuses a page that is not in `origins`.
fn allowed_origin(api: &Api, request: &Request) -> Result<Option<HeaderValue>, Problem> {
    let headers = request.headers();
    check_host(api, request)?;
    let foreign = |detail: &str| {
        Problem::new(Code::ForeignOrigin, detail)
            .at("Origin")
            .cure("a deployer can add the page to `origins` in [feed.desktop]")
    };
    match one(headers, header::ORIGIN).map_err(|()| foreign("more than one Origin"))? {
        Some(origin) if origin.to_str().is_ok_and(|origin| api.settings.origins.has(origin)) => {
            Ok(Some(origin.clone()))
        }
        Some(origin) => {
            Err(foreign(&format!("this origin is not allowed: {}", origin.to_str().unwrap_or("?"))))
        }
        // Pages can send simple requests without an Origin. Browsers mark them with another header.
        None => match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(b"cross-site" | b"same-site") => Err(foreign("a page sent this without an Origin")),
            _ => Ok(None),
        },
    }
}

fn check_host(api: &Api, request: &Request) -> Result<(), Problem> {
    let unknown = |detail: String| {
        Problem::new(Code::UnknownHost, detail).at("Host").cure("use localhost or 127.0.0.1, with the port")
    };
    let host = match one(request.headers(), header::HOST) {
        Err(()) => return Err(Problem::new(Code::BadRequest, "more than one Host").at("Host")),
        Ok(host) => host.and_then(|host| host.to_str().ok()),
    };
    // `GET http://name/ HTTP/1.1` names the host a second time.
    let in_target = request.uri().authority().map(|authority| authority.as_str());
    match (host, in_target) {
        (None, _) if request.version() != Version::HTTP_10 => {
            Err(Problem::new(Code::BadRequest, "no Host").at("Host"))
        }
        (None, _) => Err(unknown("no Host".to_owned())),
        (Some(host), in_target) => {
            match [Some(host), in_target].into_iter().flatten().find(|name| !api.hosts.has(name)) {
                Some(name) => Err(unknown(format!("`{name}` is not a name of the recorder"))),
                None => Ok(()),
            }
        }
    }
}

/// The header's value. Fails if there are several.
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

/// Reads the whole body, within its limits. Refuses forms and plain text, which any page can send.
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
            let detail = format!("the body did not arrive within {} ms", api.limits.body.as_millis());
            return Err(Problem::new(Code::SlowRequest, detail));
        }
        Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(large()),
        Ok(Err(error)) => return Err(Problem::new(Code::BadRequest, format!("the body broke off: {error}"))),
        Ok(Ok(body)) => body.to_bytes(),
    };
    let kind = parts.headers.get(header::CONTENT_TYPE);
    let writes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if writes && (kind.is_some() || !body.is_empty()) && !kind.is_some_and(is_json) {
        return Err(Problem::new(Code::NotJson, "the body has another content type")
            .at("Content-Type")
            .cure("send Content-Type: application/json"));
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

fn is_json(kind: &HeaderValue) -> bool {
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

/// Calls the route. The connection is busy until the answer is sent.
async fn answer(request: Request, next: Next) -> Response {
    let busy = connection_of(&request).map(|connection| connection.mark_busy());
    let response = next.run(request).await;
    match busy {
        Some(busy) => response.map(|body| BusyBody::body(body, busy)),
        None => response,
    }
}

/// Adds the headers of every answer, and those that let an allowed page read it.
fn with_headers(mut response: Response, origin: Option<HeaderValue>) -> Response {
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
