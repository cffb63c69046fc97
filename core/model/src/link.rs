//! The messages between a recorder and its server: JSON texts over a WebSocket, one message each, documented
//! in docs/link.md. A reader ignores fields and messages that it does not know, so that either end may be
//! newer.

use deskreel_contract::CaptureMode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AgentId, Failure, Place, RecordingId, Utc};

/// The newest version of this protocol that this program speaks.
pub const VERSION: u32 = 1;
/// Path of the WebSocket, appended to the server's address.
pub const PATH: &str = "/api/v1/link";
/// Longest message that either end accepts, in bytes. An event with all the data that a call may have takes a
/// few kilobytes.
pub const MESSAGE_LIMIT: usize = 256 << 10;

/// A message from recorder to server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromRecorder {
    /// First message of a connection. Answered by `Welcome` or `Refused`.
    Hello(Hello),
    /// The recorder's status; replaces the last one.
    Status(RecorderStatus),
    /// An event from a desktop. Sent again until a `Heard` covers it. `first` is as in `Hello`: if the server
    /// lacks earlier events, those were lost.
    Event { number: u64, first: u64, event: Value },
    /// The result of a command. Sent each time that the command comes.
    Answer {
        id: CommandId,
        #[serde(flatten)]
        result: CommandResult,
    },
    /// Asks for the server's clock. Answered by `Clock`. Also the sign of life of a recorder that has nothing
    /// else to send.
    #[serde(rename = "probe")]
    ClockProbe { probe: u32 },
    /// Credentials that an agent has typed at a desktop. Answered by `Verdict`; not sent again, since the
    /// agent waits.
    Credentials { id: u32, name: String, password: Password },
    #[serde(other)]
    Unknown,
}

/// A message from server to recorder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    Welcome(Welcome),
    /// The server refuses this connection and closes it.
    Refused {
        reason: String,
    },
    /// Sent again until it is answered.
    Command(Command),
    /// All events of the stream up to this number are stored.
    Heard {
        stream: EventStreamId,
        number: u64,
    },
    /// The server's clock when it received the probe, and when it answered.
    Clock {
        probe: u32,
        received: Utc,
        sent: Utc,
    },
    /// The verdict on the credentials with this id.
    Verdict {
        id: u32,
        #[serde(flatten)]
        verdict: CredentialVerdict,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The newest version of the protocol that the recorder speaks.
    pub version: u32,
    /// Version of the program.
    pub program: String,
    /// The recorder's name, for people; the token identifies the recorder.
    pub recorder: String,
    pub place: Place,
    /// The numbering of events: a recorder that has restarted counts from 1 again, under another id.
    pub stream: EventStreamId,
    /// The number of the oldest event that the recorder still has; of the next one if it has none.
    pub first: u64,
    pub status: RecorderStatus,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version that is spoken from now on: the recorder's or an older one.
    pub version: u32,
    /// The server's clock.
    pub now: Utc,
    /// The number of the last event of this stream that is stored already.
    pub heard: u64,
    /// The place of this recorder, as the server has it. Servers before this field send none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The name of another recorder that is connected at this place. While it is, this one is not commanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupied_by: Option<String>,
}

/// The owner of credentials, if they are right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum CredentialVerdict {
    Right {
        agent: AgentId,
    },
    /// They belong to no account, or to one that is not an agent's.
    Wrong,
    /// Too many were wrong, under this name or at this recorder.
    TooMany {
        /// Time to wait before the next try.
        seconds: u32,
    },
    /// The server cannot tell at present, or its verdict is newer than we are.
    #[serde(other)]
    CannotSay,
}

/// A password; its `Debug` does not show it, so that no log does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The state of a recorder.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecorderStatus {
    /// The agent who is logged in there, as far as the recorder knows.
    pub agent: Option<AgentId>,
    pub recordings: Vec<RunningRecording>,
    /// Why a recording could not begin now, or does not grow; empty if all is well.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Recordings that wait for delivery.
    #[serde(default)]
    pub waiting: u64,
    /// Milliseconds by which the recorder's wall clock is behind the server's; negative if it is ahead.
    /// Filled in by the link.
    pub offset_ms: Option<i64>,
    /// Greatest error of `offset_ms`.
    pub uncertainty_ms: Option<u64>,
}

/// A running recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunningRecording {
    pub recording: RecordingId,
    pub agent: AgentId,
    pub capture: CaptureMode,
    /// Start time by the recorder's wall clock.
    pub since: Utc,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    pub id: CommandId,
    /// Time by the server's clock after which it is refused rather than done.
    pub deadline: Utc,
    #[serde(flatten)]
    pub kind: CommandKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CommandKind {
    /// Record under this id. A recorder that already has a recording with that id starts no other.
    Start {
        recording: RecordingId,
        agent: AgentId,
        capture: CaptureMode,
        why: String,
        /// The name under which this agent is logged in there, if it is another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seated: Option<AgentId>,
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
    /// Somebody watches the recording for this many seconds from now on: footage grows each second, though
    /// the screen is still. `joins`: a viewer has come and wants a keyframe.
    Watch {
        recording: RecordingId,
        seconds: u32,
        joins: bool,
    },
    /// A command of a newer server; refused as `unsupported`.
    #[serde(other)]
    Unknown,
}

/// The result of a command. The same command gets the same answer, however often it comes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum CommandResult {
    /// The command is carried out; for a start, the recording is being made.
    Done,
    /// It was not tried.
    Refused {
        refusal: CommandRefusal,
        message: String,
        /// The agent who sits there instead of the one to be recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seated: Option<AgentId>,
    },
    /// It was tried and failed.
    Failed { failure: Failure },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandRefusal {
    /// It came after its deadline.
    Late,
    /// This recorder does not know such a command.
    Unsupported,
    /// More commands are waiting than the recorder keeps.
    Busy,
    /// There is no such recording, or it is not this recorder's.
    Unknown,
    /// Anything else, or a newer reason; the message says what.
    #[serde(other)]
    Other,
}

/// Id of a command, chosen by the sender, one for each thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub Box<str>);

impl std::fmt::Display for CommandId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Id of one numbering of events: one start of a recorder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventStreamId(pub Box<str>);

impl FromRecorder {
    /// Reads one message. Does not panic, whatever the text is.
    pub fn parse(text: &str) -> Result<FromRecorder, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl FromServer {
    /// Reads one message. Does not panic, whatever the text is.
    pub fn parse(text: &str) -> Result<FromServer, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl CommandResult {
    pub fn refused(refusal: CommandRefusal, message: impl Into<String>) -> Self {
        CommandResult::Refused { refusal, message: message.into(), seated: None }
    }

    /// A start was refused because somebody else is logged in there.
    pub fn refused_for(seated: &AgentId, place: &Place, agent: &AgentId) -> Self {
        let message = format!("{seated} is logged in at {place}, not {agent}");
        CommandResult::Refused { refusal: CommandRefusal::Other, message, seated: Some(seated.clone()) }
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
    fn messages_are_written_as_documented() {
        let recording = RecordingId::new(Utc::parse("2026-01-05T09:00:00Z").unwrap(), 7);
        let command = Command {
            id: CommandId("c-1".into()),
            deadline: Utc::parse("2026-01-05T09:00:05Z").unwrap(),
            kind: CommandKind::Start {
                recording,
                agent: "ann".into(),
                capture: CaptureMode::Live,
                why: "call 77".to_owned(),
                seated: None,
            },
        };
        both_ways(
            &FromServer::Command(command),
            json!({
                "type": "command", "id": "c-1", "deadline": "2026-01-05T09:00:05Z", "kind": "start",
                "recording": "20260105T090000Z-000007", "agent": "ann", "capture": "live", "why": "call 77",
            }),
        );
        let refused = CommandResult::refused(CommandRefusal::Late, "2 s late");
        both_ways(
            &FromRecorder::Answer { id: CommandId("c-1".into()), result: refused },
            json!({ "type": "answer", "id": "c-1", "result": "refused", "refusal": "late", "message": "2 s late" }),
        );
        let seated = CommandResult::refused_for(&"bob".into(), &"seat-12".into(), &"ann".into());
        both_ways(
            &FromRecorder::Answer { id: CommandId("c-1".into()), result: seated },
            json!({ "type": "answer", "id": "c-1", "result": "refused", "refusal": "other",
                "message": "bob is logged in at seat-12, not ann", "seated": "bob" }),
        );
        both_ways(
            &FromRecorder::Answer { id: CommandId("c-1".into()), result: CommandResult::Done },
            json!({ "type": "answer", "id": "c-1", "result": "done" }),
        );
    }

    #[test]
    fn credentials_and_verdicts_are_written_as_documented_and_a_password_is_not_shown() {
        let asked =
            FromRecorder::Credentials { id: 3, name: "ann".into(), password: Password("s3cret".into()) };
        both_ways(&asked, json!({ "type": "credentials", "id": 3, "name": "ann", "password": "s3cret" }));
        assert!(!format!("{asked:?}").contains("s3cret"), "{asked:?}");
        for (verdict, json) in [
            (
                CredentialVerdict::Right { agent: "ann".into() },
                json!({ "type": "verdict", "id": 3, "verdict": "right", "agent": "ann" }),
            ),
            (CredentialVerdict::Wrong, json!({ "type": "verdict", "id": 3, "verdict": "wrong" })),
            (
                CredentialVerdict::TooMany { seconds: 60 },
                json!({ "type": "verdict", "id": 3, "verdict": "too_many", "seconds": 60 }),
            ),
            (CredentialVerdict::CannotSay, json!({ "type": "verdict", "id": 3, "verdict": "cannot_say" })),
        ] {
            both_ways(&FromServer::Verdict { id: 3, verdict }, json);
        }
    }

    #[test]
    fn newer_messages_and_fields_are_ignored() {
        let newer = r#"{ "type": "weather", "sun": true }"#;
        assert_eq!(FromServer::parse(newer).unwrap(), FromServer::Unknown);
        assert_eq!(FromRecorder::parse(newer).unwrap(), FromRecorder::Unknown);
        let command = r#"{ "type": "command", "id": "1", "deadline": "2026-01-05T09:00:05Z", "kind": "dance", "how": 1 }"#;
        let FromServer::Command(command) = FromServer::parse(command).unwrap() else { panic!("no command") };
        assert_eq!(command.kind, CommandKind::Unknown);
        let answer =
            r#"{ "type": "answer", "id": "1", "result": "refused", "refusal": "mood", "message": "no" }"#;
        let FromRecorder::Answer { result, .. } = FromRecorder::parse(answer).unwrap() else {
            panic!("no answer")
        };
        assert_eq!(result, CommandResult::refused(CommandRefusal::Other, "no"));
        let probe = r#"{ "type": "probe", "probe": 3, "mood": "good" }"#;
        assert_eq!(FromRecorder::parse(probe).unwrap(), FromRecorder::ClockProbe { probe: 3 });
    }
}
