//! Schemas of texts in the API's document. In Rust these are strings or ids of other crates.

#![expect(dead_code, reason = "these types only have a schema")]

use utoipa::ToSchema;

/// UTC, with milliseconds.
#[derive(ToSchema)]
#[schema(format = DateTime)]
pub struct Time(String);

/// A text without NUL, which PostgreSQL cannot store.
#[derive(ToSchema)]
#[schema(pattern = r"^[^\u0000]*$")]
pub struct Text(String);

/// A text that is not blank.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 200, pattern = r"^[^\u0000]*\S[^\u0000]*$")]
pub struct Word(String);

/// SHA-256 of the content (RFC 9530).
#[derive(ToSchema)]
#[schema(pattern = "^sha-256=:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=:$")]
pub struct Digest(String);

#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$")]
pub struct Sha256(String);

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum LiveCapture {
    Live,
    Masked,
    Paused,
}
