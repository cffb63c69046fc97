//! Schemas of types that belong to other crates or have no type, and parameters that several operations
//! share. Nothing constructs them.
#![expect(dead_code)]

use utoipa::{IntoParams, ToSchema};

/// Any JSON object.
type Object = serde_json::Map<String, serde_json::Value>;

#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 256, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
pub struct Name(String);

#[derive(ToSchema)]
#[schema(max_items = 64)]
pub struct Names(Vec<Name>);

#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Time(String);

// The contract's `CaptureMode`.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Capture {
    Live,
    Masked,
    Paused,
}

// `deskreel_desk::Done`.
#[derive(ToSchema)]
pub struct Standing {
    /// The running recording, or the one that has just been stopped.
    #[schema(required = true)]
    recording: Option<String>,
    #[schema(required = true)]
    capture: Option<Capture>,
}

// `deskreel_desk::status::Status`. Its inner objects may grow.
#[derive(ToSchema)]
pub struct Status {
    version: String,
    pipeline: String,
    #[schema(format = DateTime)]
    started: String,
    place: String,
    health: Object,
    #[schema(required = true)]
    agent: Option<Object>,
    #[schema(required = true)]
    recording: Option<Object>,
    spool: Object,
}

// `deskreel_model::Fault`.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Fault {
    Config,
    Plugin,
    Device,
    Disk,
    Network,
    Bug,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Command {
    Start,
    Stop,
    Pause,
    Mask,
    Resume,
    Tag,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum OperationState {
    Pending,
    Done,
}

/// One event or a list.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Events {
    One(Event),
    List(#[schema(inline)] EventList),
}

#[derive(ToSchema)]
#[schema(min_items = 1, max_items = 100)]
pub struct EventList(Vec<Event>);

/// As docs/events.md describes them. The session's agent is added (as `from_agent` if calls are joined), and
/// `at` if it is missing.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum Event {
    Call(#[schema(inline)] CallEvent),
    Transfer(#[schema(inline)] TransferEvent),
    Interaction(#[schema(inline)] InteractionEvent),
    Voice(#[schema(inline)] VoiceEvent),
}

#[derive(ToSchema)]
pub struct CallEvent {
    #[schema(rename = "type", inline)]
    kind: CallEventType,
    at: Option<Time>,
    #[schema(min_length = 1)]
    call: String,
    device: Option<String>,
    direction: Option<String>,
    call_type: Option<String>,
    parent_call: Option<String>,
    attached: Option<Object>,
}

#[derive(ToSchema)]
pub enum CallEventType {
    #[schema(rename = "call.delivered")]
    Delivered,
    #[schema(rename = "call.established")]
    Established,
    #[schema(rename = "call.held")]
    Held,
    #[schema(rename = "call.retrieved")]
    Retrieved,
    #[schema(rename = "call.cleared")]
    Cleared,
}

#[derive(ToSchema)]
pub struct TransferEvent {
    #[schema(rename = "type", inline)]
    kind: TransferEventType,
    at: Option<Time>,
    #[schema(min_length = 1)]
    primary_call: String,
    secondary_call: Option<String>,
    resulting_call: Option<String>,
    to_agent: Option<String>,
}

#[derive(ToSchema)]
pub enum TransferEventType {
    #[schema(rename = "call.transferred")]
    Transferred,
    #[schema(rename = "call.conferenced")]
    Conferenced,
}

#[derive(ToSchema)]
pub struct InteractionEvent {
    #[schema(rename = "type", inline)]
    kind: InteractionEventType,
    at: Option<Time>,
    #[schema(min_length = 1)]
    interaction: String,
    media: Option<String>,
}

#[derive(ToSchema)]
pub enum InteractionEventType {
    #[schema(rename = "interaction.accepted")]
    Accepted,
    #[schema(rename = "interaction.completed")]
    Completed,
}

#[derive(ToSchema)]
pub struct VoiceEvent {
    #[schema(rename = "type", inline)]
    kind: VoiceEventType,
    at: Option<Time>,
    #[schema(min_length = 1)]
    call: String,
}

#[derive(ToSchema)]
pub enum VoiceEventType {
    #[schema(rename = "recording.started")]
    Started,
    #[schema(rename = "recording.paused")]
    Paused,
    #[schema(rename = "recording.resumed")]
    Resumed,
    #[schema(rename = "recording.stopped")]
    Stopped,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct CsrfToken {
    /// Needed beside the cookie, but not beside a bearer token.
    #[param(rename = "X-CSRF-Token", nullable = false)]
    token: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKey {
    /// A repeated key with the same body is the same operation, for at least an hour.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 255)]
    key: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct LastEventId {
    /// The last `id` that was received: what came after it follows, or an item `lost`.
    #[param(rename = "Last-Event-ID", nullable = false)]
    id: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub struct SupportCsrf {
    /// `True` requests a CSRF token.
    #[param(rename = "X-Support-CSRFP", nullable = false)]
    wish: Option<String>,
}
