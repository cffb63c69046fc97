//! What the daemon holds of the link. Nothing here waits for the server, or for anything else.

use std::time::Duration;

use deskreel_model::Utc;
use deskreel_model::event::Event;
use deskreel_model::link::{CommandId, CommandResult, MESSAGE_LIMIT, Password, Status, Verdict};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Beside the event, a message has its number.
const EVENT_LIMIT: usize = MESSAGE_LIMIT - 256;
/// An agent waits for the verdict; a server that does not know the question never answers.
const VERDICT_LIMIT: Duration = Duration::from_secs(5);

/// What is asked of the link.
#[derive(Debug)]
pub(crate) enum Ask {
    Tell(Value),
    Answer(CommandId, CommandResult),
    Status(Status),
    /// Dropped unanswered where there is no line.
    Verify {
        name: String,
        password: Password,
        verdict: oneshot::Sender<Verdict>,
    },
}

/// Cheap to clone. The link ends when the last one is gone.
#[derive(Debug, Clone)]
pub struct LinkHandle {
    pub(crate) asks: mpsc::UnboundedSender<Ask>,
    pub(crate) state: watch::Receiver<LinkState>,
}

/// How things stand with the line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkState {
    #[serde(flatten)]
    pub phase: Phase,
    /// Events that the server has not acknowledged.
    pub waiting: usize,
    /// Events that were dropped, the oldest first, since too many waited.
    pub lost: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    Connecting,
    /// Connected, and welcome; `offset_ms` is by how much our wall clock is behind the server's.
    Open {
        since: Utc,
        offset_ms: Option<i64>,
        uncertainty_ms: Option<u64>,
    },
    /// It broke, or could not be opened; it is tried again then.
    Cut {
        problem: String,
        next: Utc,
    },
}

impl LinkState {
    pub(crate) const FIRST: LinkState = LinkState { phase: Phase::Connecting, waiting: 0, lost: 0 };

    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }
}

impl LinkHandle {
    /// Tells the server of an event: now, or when it can. One that is longer than a message may be is left out.
    pub fn tell(&self, event: &Event) {
        if event.json.len() > EVENT_LIMIT {
            let (kind, bytes) = (event.kind.name(), event.json.len());
            tracing::warn!(kind, bytes, "the server is not told of an event: it is too long");
            return;
        }
        match serde_json::from_str(&event.json) {
            Ok(json) => self.ask(Ask::Tell(json)),
            Err(error) => tracing::warn!(%error, "the server is not told of an event: it is not JSON"),
        }
    }

    /// What became of a command. Each command that came out of the link's receiver is to be answered, once.
    pub fn answer(&self, command: CommandId, result: CommandResult) {
        self.ask(Ask::Answer(command, result));
    }

    /// How things stand at this recorder; the link adds the offset of the clocks.
    pub fn status(&self, status: Status) {
        self.ask(Ask::Status(status));
    }

    /// Whose credentials these are, by the server's word. `None`: it did not answer, or there is no line.
    pub async fn verify(&self, name: &str, password: &str) -> Option<Verdict> {
        let (verdict, answer) = oneshot::channel();
        let password = Password(password.to_owned());
        self.ask(Ask::Verify { name: name.to_owned(), password, verdict });
        timeout(VERDICT_LIMIT, answer).await.ok()?.ok()
    }

    /// Changes are seen by `changed` of what this gives.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    fn ask(&self, ask: Ask) {
        // The link takes them in whatever the line does. It is gone only with the program's runtime.
        let _ = self.asks.send(ask);
    }
}
