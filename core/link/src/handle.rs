//! The daemon's handle of the link. Nothing here waits for the server, except for verdicts on credentials.

use std::time::Duration;

use deskreel_model::event::Event;
use deskreel_model::link::{
    CommandId, CommandResult, CredentialVerdict, MESSAGE_LIMIT, Password, RecorderStatus,
};
use deskreel_model::{Place, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Longest event in bytes: besides the event, a message has its number.
const EVENT_LIMIT: usize = MESSAGE_LIMIT - 256;
/// Longest wait for a verdict: an agent waits for it, and a server that predates the question never answers.
const VERDICT_LIMIT: Duration = Duration::from_secs(5);

/// A request of the daemon to the link.
#[derive(Debug)]
pub(crate) enum LinkRequest {
    SendEvent(Value),
    Answer(CommandId, CommandResult),
    Status(RecorderStatus),
    /// Dropped without an answer if the link is not open.
    Verify {
        name: String,
        password: Password,
        verdict: oneshot::Sender<CredentialVerdict>,
    },
}

/// Handle of a link; cheap to clone. The link ends when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct LinkHandle {
    pub(crate) requests: mpsc::UnboundedSender<LinkRequest>,
    pub(crate) state: watch::Receiver<LinkState>,
}

/// State of the link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkState {
    #[serde(flatten)]
    pub phase: LinkPhase,
    /// Events that the server has not acknowledged.
    pub waiting: usize,
    /// Events that were dropped, the oldest first, because too many waited.
    pub lost: u64,
    /// This recorder's place as the server has it, once the server has said so.
    pub place: Option<Place>,
    /// The name of another recorder that is connected at this place and is commanded instead.
    pub occupied_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum LinkPhase {
    Connecting,
    /// Connected and welcomed. `offset_ms` says by how much our wall clock is behind the server's.
    Open {
        since: Utc,
        offset_ms: Option<i64>,
        uncertainty_ms: Option<u64>,
    },
    /// The connection broke or could not be opened.
    Cut {
        problem: String,
        /// When it is tried again.
        next: Utc,
    },
}

impl LinkState {
    pub(crate) const FIRST: LinkState =
        LinkState { phase: LinkPhase::Connecting, waiting: 0, lost: 0, place: None, occupied_by: None };

    pub fn is_open(&self) -> bool {
        matches!(self.phase, LinkPhase::Open { .. })
    }
}

impl LinkHandle {
    /// Sends an event to the server, now or as soon as the link is open. An event that is too long for a
    /// message is dropped.
    pub fn send_event(&self, event: &Event) {
        if event.json.len() > EVENT_LIMIT {
            let (kind, bytes) = (event.kind.name(), event.json.len());
            tracing::warn!(kind, bytes, "an event is too long for the link and was dropped");
            return;
        }
        match serde_json::from_str(&event.json) {
            Ok(json) => self.request(LinkRequest::SendEvent(json)),
            Err(error) => tracing::warn!(%error, "an event is not JSON and was dropped"),
        }
    }

    /// Answers a command. Each command from the link's receiver needs one answer.
    pub fn answer(&self, command: CommandId, result: CommandResult) {
        self.request(LinkRequest::Answer(command, result));
    }

    /// Sends the recorder's status; the link adds the offset of the clocks.
    pub fn send_status(&self, status: RecorderStatus) {
        self.request(LinkRequest::Status(status));
    }

    /// Asks the server whose credentials these are. `None` if it does not answer or the link is not open.
    pub async fn verify(&self, name: &str, password: &str) -> Option<CredentialVerdict> {
        let (verdict, answer) = oneshot::channel();
        let password = Password(password.to_owned());
        self.request(LinkRequest::Verify { name: name.to_owned(), password, verdict });
        timeout(VERDICT_LIMIT, answer).await.ok()?.ok()
    }

    /// A receiver of the state; its `changed` waits for a change.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    fn request(&self, request: LinkRequest) {
        // The link accepts requests whatever the connection does. It is gone only with the program's runtime.
        let _ = self.requests.send(request);
    }
}
