//! Parts of the OpenAPI document that no handler has: problems and parameters that operations share, and
//! bodies without a Rust type of their own. `openapi/document.rs` generates the document.

#![expect(dead_code, reason = "only the document has these types")]

#[cfg(test)]
mod document;

use std::collections::BTreeMap;

use utoipa::openapi::response::Response;
use utoipa::openapi::{Ref, RefOr};
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::media::RecordingView;
use super::uploads::Holdings;
use crate::db::directory::{DirectoryAgent, DirectoryGroup, DirectoryPlace};
use crate::fragments::FragmentName;
use crate::people::Role;
use crate::schema::{Digest, Text, Word};

/// Problems that operations answer with, by status.
macro_rules! problems {
    ($($name:ident $status:literal $description:literal,)+) => {
        $(
            pub enum $name {}

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    let problem = Ref::from_response_name(stringify!($name));
                    BTreeMap::from([($status.to_string(), RefOr::Ref(problem))])
                }
            }
        )+

        #[cfg(test)]
        const PROBLEMS: &[(&str, &str)] = &[$((stringify!($name), $description),)+];
    };
}

problems! {
    BadRequest 400 "The request cannot be read",
    Unauthorized 401 "The token or session is missing, wrong or has ended",
    Forbidden 403 "Not allowed for this caller",
    NotFound 404 "Does not exist, or is hidden from this caller",
    Slow 408 "The body took too long",
    Conflict 409 "Something else has this name, or something is missing",
    Deleted 410 "The recording was deleted here, and is not accepted again",
    Lost 410 "This footage is not stored any more",
    LengthRequired 411 "`Content-Length` is missing",
    TooLarge 413 "The body is too large",
    NotJson 415 "The body is not `application/json`",
    BeyondTheEnd 416 "The file ends before this range",
    Unprocessable 422 "The body can be read, but not used",
    UpgradeRequired 426 "This path is for WebSockets",
    TooMany 429 "Too many requests; `Retry-After` has seconds",
    NoMovie 501 "Footage of different codecs does not fit into one file",
    Unavailable 503 "The server cannot do this now; `Retry-After` has seconds",
    NoRoom 507 "The disk is full or a quota is reached; `Retry-After` has seconds",
}

/// Problems that often occur together.
macro_rules! groups {
    ($($(#[$about:meta])* $name:ident: $($problem:ident)+;)+) => { $(
        $(#[$about])*
        pub enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$($problem::responses()),+].into_iter().flatten().collect()
            }
        }
    )+ };
}

groups! {
    /// Of operations that need to know the caller.
    CallerProblems: Unauthorized Forbidden Unavailable;
    /// Of operations with a JSON body.
    BodyProblems: BadRequest Slow TooLarge NotJson Unprocessable;
    /// Of uploads from recorders.
    UploadProblems: CallerProblems BadRequest NotFound Conflict Deleted LengthRequired TooLarge TooMany
        NoRoom;
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct RecordingPath {
    #[param(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$", example = "r-1")]
    recording: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PartPath {
    #[param(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$", example = "r-1")]
    recording: String,
    #[param(pattern = r"^[^/\u0000-\u001f\u007f-\u009f]{1,100}$", example = "video")]
    track: String,
    #[param(pattern = "^[1-9][0-9]{0,8}$", example = "1")]
    part: String,
}

/// The end of a fragment's path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct NumberPath {
    #[param(pattern = "^(0|[1-9][0-9]{0,8})$", example = "1")]
    number: String,
}

/// The end of a path to several fragments.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct NumbersPath {
    #[param(pattern = r"^(0|[1-9][0-9]{0,8})(-(0|[1-9][0-9]{0,8}))?(\.m4s|\.mp4)?$", example = "0-1")]
    number: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct UploadHeaders {
    #[param(rename = "Content-Digest")]
    content_digest: Digest,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct InteractionPath {
    #[param(example = "call-1")]
    interaction: String,
}

/// Conditions of a search.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SearchQuery {
    agent: Option<Text>,
    /// With the groups below it.
    group: Option<Text>,
    role: Option<Text>,
    call: Option<Text>,
    label: Option<Text>,
    media: Option<Text>,
    direction: Option<Text>,
    /// `product`, or `product=loan`.
    #[param(max_items = 16)]
    tag: Option<Vec<Text>>,
    #[param(format = DateTime)]
    from: Option<String>,
    #[param(format = DateTime)]
    to: Option<String>,
    #[param(minimum = 0, maximum = 9223372036854775807i64)]
    min_ms: Option<i64>,
    #[param(minimum = 0, maximum = 9223372036854775807i64)]
    max_ms: Option<i64>,
    /// `next` of the page before.
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeriodQuery {
    #[param(format = DateTime)]
    from: Option<String>,
    #[param(format = DateTime)]
    to: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    subject: Option<Text>,
    /// `next` of the page before.
    cursor: Option<Text>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
}

/// RFC 9457.
#[derive(ToSchema)]
pub struct Problem {
    /// A sentence for people.
    title: String,
    #[schema(value_type = usize)]
    status: u16,
    #[schema(nullable = false)]
    detail: Option<String>,
}

/// The problem of a manifest that names fragments which the server does not have.
#[derive(ToSchema)]
pub struct MissingFragments {
    #[serde(flatten)]
    problem: Problem,
    #[schema(required = false)]
    missing: Vec<FragmentName>,
}

/// The problem of events of which some are none; the others are stored.
#[derive(ToSchema)]
pub struct WrongEvents {
    #[serde(flatten)]
    problem: Problem,
    #[schema(required = false)]
    stored: usize,
    #[schema(required = false)]
    wrong: Vec<String>,
}

/// Bodies that `input::OneOrMany` reads.
macro_rules! one_or_many {
    ($($name:ident: $one:ident, $many:ty;)+) => { $(
        #[derive(ToSchema)]
        #[serde(untagged)]
        pub enum $name {
            One($one),
            Many($many),
        }
    )+ };
}

one_or_many! {
    Agents: DirectoryAgent, Vec<DirectoryAgent>;
    Groups: DirectoryGroup, Vec<DirectoryGroup>;
    Places: DirectoryPlace, Vec<DirectoryPlace>;
    Events: Event, EventList;
}

/// docs/events.md has each type and its fields.
#[derive(ToSchema)]
pub struct Event {
    #[schema(value_type = Text)]
    r#type: String,
    #[schema(format = DateTime)]
    at: String,
}

/// At most 1000 events.
#[derive(ToSchema)]
#[schema(max_items = 1000)]
pub struct EventList(Vec<Event>);

// `admin::NewPerson` with a password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    name: Word,
    role: Role,
    #[schema(required = false)]
    groups: Vec<Text>,
    agent: Option<Text>,
    #[schema(min_length = 8, max_length = 1000, pattern = r"^[^\u0000]*$")]
    password: String,
}

// `admin::NewPerson` without a password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProgram {
    name: Word,
    role: Role,
    #[schema(required = false)]
    groups: Vec<Text>,
    agent: Option<Text>,
}

#[derive(ToSchema)]
#[serde(untagged)]
pub enum RecordingOrHeld {
    Recording(RecordingView),
    Held(Holdings),
}

#[derive(ToSchema)]
pub struct Document {
    openapi: String,
    #[schema(value_type = Object)]
    info: (),
    #[schema(value_type = Object)]
    paths: (),
    #[schema(value_type = Object)]
    components: (),
}
