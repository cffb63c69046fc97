//! Parses one line of a log into an [`Event`].

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::{
    CallChange, CallFields, CallJoin, Event, EventError, Kind, Request, Seat, Supervision, VoiceChange,
};
use crate::ids::{AgentId, CallId};
use crate::time::Utc;

/// Every field of every event type. One struct, read in one pass, since a server reads hundreds of thousands
/// a second.
#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    at: Cow<'a, str>,
    #[serde(borrow, default)]
    feed: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow, default)]
    agent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    place: Option<Cow<'a, str>>,
    #[serde(default)]
    devices: Vec<Box<str>>,
    #[serde(default)]
    groups: Vec<Box<str>>,
    #[serde(default)]
    skills: Vec<Box<str>>,
    #[serde(borrow, default)]
    media: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    state: Option<Cow<'a, str>>,
    #[serde(default)]
    work_mode: Option<Box<str>>,
    #[serde(default)]
    reason: Option<Box<str>>,
    #[serde(borrow, default)]
    call: Option<Cow<'a, str>>,
    #[serde(default)]
    device: Option<Box<str>>,
    #[serde(default)]
    direction: Option<Box<str>>,
    #[serde(default)]
    call_type: Option<Box<str>>,
    #[serde(borrow, default)]
    parent_call: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(default)]
    voice_recording: Option<Box<str>>,
    #[serde(borrow, default)]
    attached: Option<&'a RawValue>,
    #[serde(borrow, default)]
    primary_call: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    secondary_call: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resulting_call: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    from_agent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    to_agent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    interaction: Option<Cow<'a, str>>,
    #[serde(default)]
    limit_ms: Option<u64>,
    #[serde(default)]
    offset_ms: Option<i64>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
}

pub fn parse(text: &str) -> Result<Event, EventError> {
    let text = text.trim();
    let raw: RawEvent<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => EventError::NotAnEvent(plain(&error)),
        _ => EventError::NotJson(plain(&error)),
    })?;
    let at = Utc::parse(&raw.at).ok_or_else(|| EventError::At(raw.at.to_string()))?;
    let feed = raw.feed.as_deref().map(Into::into);
    Ok(Event { at, feed, seq: raw.seq, kind: raw.kind()?, json: text.into() })
}

/// serde_json reports a line and a column. The line is always the first; the column helps.
fn plain(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

impl RawEvent<'_> {
    fn kind(self) -> Result<Kind, EventError> {
        let kind = &*self.kind;
        if let Some((change, _)) = CallChange::ALL.iter().find(|(_, name)| *name == kind) {
            return self.call(*change);
        }
        match kind {
            "agent.logged_in" => Ok(Kind::LoggedIn {
                agent: self.agent()?,
                seat: Seat {
                    place: self.place.as_deref().filter(|place| !place.is_empty()).map(Into::into),
                    devices: self.devices,
                    groups: self.groups,
                    skills: self.skills,
                },
            }),
            "agent.logged_out" => {
                let place = self.place.as_deref().filter(|place| !place.is_empty()).map(Into::into);
                Ok(Kind::LoggedOut { agent: self.agent()?, place })
            }
            "agent.state" => Ok(Kind::State {
                agent: self.agent()?,
                media: self.media.as_deref().unwrap_or("voice").into(),
                state: self.state.as_deref().unwrap_or_default().into(),
                work_mode: self.work_mode,
                reason: self.reason,
            }),
            "call.transferred" | "call.conferenced" => {
                let primary: CallId = self.need("primary_call", &self.primary_call)?.into();
                Ok(Kind::Joined(CallJoin {
                    conference: kind == "call.conferenced",
                    secondary: self.secondary_call.as_deref().map(Into::into),
                    resulting: self.resulting_call.as_deref().map_or_else(|| primary.clone(), Into::into),
                    primary,
                    from: self.need("from_agent", &self.from_agent)?.into(),
                    to: self.to_agent.as_deref().map(Into::into),
                }))
            }
            "recording.started" => self.voice(VoiceChange::Started),
            "recording.paused" => self.voice(VoiceChange::Paused),
            "recording.resumed" => self.voice(VoiceChange::Resumed),
            "recording.stopped" => self.voice(VoiceChange::Stopped),
            "interaction.accepted" => Ok(Kind::Accepted {
                interaction: self.need("interaction", &self.interaction)?.into(),
                agent: self.agent()?,
                media: self.media.as_deref().unwrap_or("other").into(),
            }),
            "interaction.completed" => Ok(Kind::Completed {
                interaction: self.need("interaction", &self.interaction)?.into(),
                agent: self.agent()?,
            }),
            "screen.start_requested" => self.request(Request::Start),
            "screen.stop_requested" => self.request(Request::Stop),
            "screen.pause_requested" => self.request(Request::Pause { limit_ms: self.limit_ms }),
            "screen.mask_requested" => self.request(Request::Mask { limit_ms: self.limit_ms }),
            "screen.resume_requested" => self.request(Request::Resume),
            "screen.tag_requested" => {
                let name = self.need("name", &self.name)?.into();
                let value = self.value.as_deref().unwrap_or_default().into();
                self.request(Request::Tag { name, value })
            }
            "recorder.connected" | "recorder.disconnected" => {
                let place = self.need("place", &self.place)?.into();
                Ok(Kind::Recorder { place, online: kind == "recorder.connected" })
            }
            "host.started" => Ok(Kind::HostStarted),
            "feed.gap" => Ok(Kind::FeedGap {
                feed: self.need("feed", &self.feed)?.into(),
                agent: self.agent.as_deref().filter(|agent| !agent.is_empty()).map(Into::into),
            }),
            "feed.clock" => {
                let offset_ms = self.offset_ms.ok_or_else(|| self.missing("offset_ms"))?;
                Ok(Kind::FeedClock { feed: self.need("feed", &self.feed)?.into(), offset_ms })
            }
            // It names no agent: the state of a feed is not a fact for policies.
            "feed.state" => {
                self.need("feed", &self.feed)?;
                self.need("state", &self.state)?;
                Ok(Kind::Other { name: kind.into(), agent: None })
            }
            // Only the host may send these to policies.
            "timer" | "policy.changed" => Err(EventError::Reserved { kind: kind.to_owned() }),
            _ => Ok(Kind::Other { name: kind.into(), agent: self.agent.as_deref().map(Into::into) }),
        }
    }

    fn call(self, change: CallChange) -> Result<Kind, EventError> {
        let call = self.need("call", &self.call)?.into();
        let agent = match (&self.agent, change) {
            (None, CallChange::Cleared) => None,
            _ => self.agent_or_device()?,
        };
        let attached = self.attached.map(|attached| attached.get().trim());
        if attached.is_some_and(|attached| !attached.starts_with('{')) {
            return Err(EventError::Attached { kind: self.kind.into_owned() });
        }
        Ok(Kind::Call {
            change,
            call,
            agent,
            about: CallFields {
                role: supervision(self.role.as_deref(), self.call_type.as_deref()),
                device: self.device,
                direction: self.direction,
                call_type: self.call_type,
                parent_call: self.parent_call.as_deref().map(Into::into),
                attached: attached.map(Into::into),
            },
        })
    }

    fn voice(self, change: VoiceChange) -> Result<Kind, EventError> {
        Ok(Kind::Voice {
            change,
            call: self.need("call", &self.call)?.into(),
            agent: self.agent_or_device()?,
            device: self.device,
            recording: self.voice_recording,
        })
    }

    fn request(&self, request: Request) -> Result<Kind, EventError> {
        Ok(Kind::Request { agent: self.agent()?, request })
    }

    /// The agent, unless only a device says whose call it is.
    fn agent_or_device(&self) -> Result<Option<AgentId>, EventError> {
        let has_device = self.device.as_ref().is_some_and(|device| !device.is_empty());
        match self.agent() {
            Ok(agent) => Ok(Some(agent)),
            Err(_) if has_device => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn agent(&self) -> Result<AgentId, EventError> {
        self.need("agent", &self.agent).map(Into::into)
    }

    fn need<'l>(&self, name: &'static str, field: &'l Option<Cow<'_, str>>) -> Result<&'l str, EventError> {
        field.as_deref().filter(|text| !text.is_empty()).ok_or_else(|| self.missing(name))
    }

    fn missing(&self, field: &'static str) -> EventError {
        EventError::Missing { kind: self.kind.to_string(), field }
    }
}

/// The supervisor's part that an event states, by its own field or as the type of the call.
fn supervision(role: Option<&str>, call_type: Option<&str>) -> Option<Supervision> {
    let named = |text: &str| {
        let known = Supervision::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        known.map(|(supervision, _)| *supervision)
    };
    role.and_then(named).or_else(|| call_type.and_then(named))
}
