//! What a recorder and its server say to each other over the link: JSON texts over a WebSocket, one message each. docs/link.md
//! is the document. Who reads ignores fields and messages that it does not know, so that either side may be newer.

use deskreel_contract::CaptureMode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AgentId, Failure, Place, RecordingId, Utc};

/// The newest version of this protocol that this program speaks.
pub const VERSION: u32 = 1;
/// Behind the server's address.
pub const PATH: &str = "/api/v1/link";
/// Longest message either side accepts, in bytes. An event with all the data that a call may have takes some kilobytes.
pub const MESSAGE_LIMIT: usize = 256 << 10;

/// Recorder to server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRecorder {
    /// First of a connection. Answered by `Welcome` or `Refused`.
    Hello(Hello),
    /// How things stand; it replaces what was said before.
    Status(Status),
    /// Something that a desktop told the recorder. Sent again until a `Heard` covers it. `first` is as in `Hello`: where it
    /// is beyond what the server has, the events between were lost.
    Event { number: u64, first: u64, event: Value },
    /// What became of a command. Sent once for each time that the command comes.
    Answer {
        id: CommandId,
        #[serde(flatten)]
        result: CommandResult,
    },
    /// Answered by `Clock`. Also the sign of life of a recorder that has nothing to say.
    Probe { probe: u32 },
    /// What an agent has typed at a desktop. Answered by `Verdict`; not sent again, since the agent waits.
    Credentials { id: u32, name: String, password: Password },
    #[serde(other)]
    Unknown,
}

/// Server to recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    Welcome(Welcome),
    /// The server does not want this connection; it closes it.
    Refused {
        reason: String,
    },
    /// Sent again until it is answered.
    Command(Command),
    /// All events of the stream up to this number are stored.
    Heard {
        stream: StreamId,
        number: u64,
    },
    /// The server's clock when it got the probe, and when it answered.
    Clock {
        probe: u32,
        received: Utc,
        sent: Utc,
    },
    /// On the credentials with this id.
    Verdict {
        id: u32,
        #[serde(flatten)]
        verdict: Verdict,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The newest version of the protocol that the recorder speaks.
    pub version: u32,
    /// Of the program.
    pub program: String,
    /// The recorder's name for people; who it is, the token says.
    pub recorder: String,
    pub place: Place,
    /// Which numbering of events: a recorder that has started anew counts from 1 again, under another id.
    pub stream: StreamId,
    /// The number of the oldest event that the recorder still has; if it has none, of the next one.
    pub first: u64,
    pub status: Status,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that is spoken from here on: the recorder's or an older one.
    pub version: u32,
    /// The server's clock.
    pub now: Utc,
    /// The events of this stream that are stored already: up to this number.
    pub heard: u64,
}

/// Whose credentials these are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    Right {
        agent: AgentId,
    },
    /// Nobody's, or not an agent's.
    Wrong,
    /// Too many were wrong, under this name or at this recorder.
    TooMany {
        seconds: u32,
    },
    /// The server cannot tell at present, or says something newer.
    #[serde(other)]
    CannotSay,
}

/// Not shown where a message is logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// How things stand at a recorder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Who is logged in there, as far as the recorder knows.
    pub agent: Option<AgentId>,
    pub recordings: Vec<Running>,
    /// Why a recording could not begin now, or does not grow; empty where all is well.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Recordings that wait for delivery.
    #[serde(default)]
    pub waiting: u64,
    /// By how much the recorder's wall clock is behind the server's; negative where it is ahead. The link fills it in.
    pub offset_ms: Option<i64>,
    /// How wrong that may be.
    pub uncertainty_ms: Option<u64>,
}

/// A recording that runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    pub recording: RecordingId,
    pub agent: AgentId,
    pub capture: CaptureMode,
    /// By the recorder's wall clock.
    pub since: Utc,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    /// By the server's clock: from then on it is refused rather than done.
    pub deadline: Utc,
    #[serde(flatten)]
    pub kind: CommandKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommandKind {
    /// Record under this id. A recorder that has a recording of that id already begins no other.
    Start {
        recording: RecordingId,
        agent: AgentId,
        capture: CaptureMode,
        why: String,
    },
    Stop {
        recording: RecordingId,
        why: String,
    },
    #[serde(rename = "capture")]
    SetMode {
        recording: RecordingId,
        capture: CaptureMode,
        why: String,
    },
    Tag {
        recording: RecordingId,
        name: String,
        value: String,
    },
    /// Of a newer server; refused as `unsupported`.
    #[serde(other)]
    Unknown,
}

/// What became of a command. The same command gets the same answer, however often it comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CommandResult {
    /// It is so now: for a start, the recording has begun to be made.
    Done,
    /// It was not even tried.
    Refused { refusal: Refusal, message: String },
    /// It was tried.
    Failed { failure: Failure },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It came after its deadline.
    Late,
    /// This recorder knows no such command.
    Unsupported,
    /// More commands are waiting than the recorder keeps.
    Busy,
    /// There is no such recording, or it is another's.
    Unknown,
    /// Anything else; the message says what.
    Other,
}

/// Names a command; whoever commands makes it up, once for each thing that is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Box<str>);

impl std::fmt::Display for CommandId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one numbering of events: one start of a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(pub Box<str>);

impl FromRecorder {
    /// Does not panic, whatever the text is.
    pub fn parse(text: &str) -> Result<FromRecorder, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl FromServer {
    /// Does not panic, whatever the text is.
    pub fn parse(text: &str) -> Result<FromServer, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl CommandResult {
    pub fn refused(refusal: Refusal, message: impl Into<String>) -> Self {
        CommandResult::Refused { refusal, message: message.into() }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn both_ways<T>(value: &T, json: Value)
    where
        T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        assert_eq!(serde_json::to_value(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(&json.to_string()).unwrap(), value);
    }

    #[test]
    fn messages_are_written_as_the_document_has_them() {
        let recording = RecordingId::new(Utc::parse("2026-01-05T09:00:00Z").unwrap(), 7);
        let command = Command {
            id: CommandId("c-1".into()),
            deadline: Utc::parse("2026-01-05T09:00:05Z").unwrap(),
            kind: CommandKind::Start {
                recording,
                agent: "ann".into(),
                capture: CaptureMode::Live,
                why: "call 77".to_owned(),
            },
        };
        both_ways(
            &FromServer::Command(command),
            json!({
                "type": "command", "id": "c-1", "deadline": "2026-01-05T09:00:05Z", "kind": "start",
                "recording": "20260105T090000Z-000007", "agent": "ann", "capture": "live", "why": "call 77",
            }),
        );
        let refused = CommandResult::refused(Refusal::Late, "2 s late");
        both_ways(
            &FromRecorder::Answer { id: CommandId("c-1".into()), result: refused },
            json!({ "type": "answer", "id": "c-1", "result": "refused", "refusal": "late", "message": "2 s late" }),
        );
        both_ways(
            &FromRecorder::Answer { id: CommandId("c-1".into()), result: CommandResult::Done },
            json!({ "type": "answer", "id": "c-1", "result": "done" }),
        );
    }

    #[test]
    fn credentials_and_verdicts_are_written_as_the_document_has_them_and_a_password_is_not_shown() {
        let asked =
            FromRecorder::Credentials { id: 3, name: "ann".into(), password: Password("s3cret".into()) };
        both_ways(&asked, json!({ "type": "credentials", "id": 3, "name": "ann", "password": "s3cret" }));
        assert!(!format!("{asked:?}").contains("s3cret"), "{asked:?}");
        for (verdict, json) in [
            (
                Verdict::Right { agent: "ann".into() },
                json!({ "type": "verdict", "id": 3, "verdict": "right", "agent": "ann" }),
            ),
            (Verdict::Wrong, json!({ "type": "verdict", "id": 3, "verdict": "wrong" })),
            (
                Verdict::TooMany { seconds: 60 },
                json!({ "type": "verdict", "id": 3, "verdict": "too_many", "seconds": 60 }),
            ),
            (Verdict::CannotSay, json!({ "type": "verdict", "id": 3, "verdict": "cannot_say" })),
        ] {
            both_ways(&FromServer::Verdict { id: 3, verdict }, json);
        }
    }

    #[test]
    fn what_is_newer_is_let_through() {
        let newer = r#"{ "type": "weather", "sun": true }"#;
        assert_eq!(FromServer::parse(newer).unwrap(), FromServer::Unknown);
        assert_eq!(FromRecorder::parse(newer).unwrap(), FromRecorder::Unknown);
        let command = r#"{ "type": "command", "id": "1", "deadline": "2026-01-05T09:00:05Z", "kind": "dance", "how": 1 }"#;
        let FromServer::Command(command) = FromServer::parse(command).unwrap() else { panic!("no command") };
        assert_eq!(command.kind, CommandKind::Unknown);
        let probe = r#"{ "type": "probe", "probe": 3, "mood": "good" }"#;
        assert_eq!(FromRecorder::parse(probe).unwrap(), FromRecorder::Probe { probe: 3 });
    }
}
