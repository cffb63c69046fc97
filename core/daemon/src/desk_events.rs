//! Turns desktops' requests into events, so that they go through the policies like the events of any other
//! feed.

use deskreel_model::event::{Event, EventError, Request, Seat};
use deskreel_model::{AgentId, Place, Utc};
use serde_json::{Value, json};

/// The feed name of desktops' events.
pub const FEED: &str = "desktop";

pub fn logged_in(agent: &AgentId, seat: &Seat, place: &Place, at: Utc) -> Result<Event, EventError> {
    event(
        json!({
            "type": "agent.logged_in", "agent": agent, "place": place,
            "devices": seat.devices, "groups": seat.groups, "skills": seat.skills,
        }),
        at,
    )
}

/// The place says where: the agent may sit elsewhere by now.
pub fn logged_out(agent: &AgentId, place: &Place, at: Utc) -> Result<Event, EventError> {
    event(json!({ "type": "agent.logged_out", "agent": agent, "place": place }), at)
}

/// This daemon has started; what it logged before is the past.
pub fn host_started(at: Utc) -> Result<Event, EventError> {
    Event::parse(&json!({ "type": "host.started", "at": at.to_string() }).to_string())
}

pub fn requested(agent: &AgentId, request: &Request, at: Utc) -> Result<Event, EventError> {
    let mut json = match request {
        Request::Start => json!({ "type": "screen.start_requested" }),
        Request::Stop => json!({ "type": "screen.stop_requested" }),
        Request::Pause { limit_ms } => json!({ "type": "screen.pause_requested", "limit_ms": limit_ms }),
        Request::Mask { limit_ms } => json!({ "type": "screen.mask_requested", "limit_ms": limit_ms }),
        Request::Resume => json!({ "type": "screen.resume_requested" }),
        Request::Tag { name, value } => {
            json!({ "type": "screen.tag_requested", "name": name, "value": value })
        }
    };
    json["agent"] = json!(agent);
    event(json, at)
}

/// Policies read events as JSON, so the event is built as JSON and parsed like one that comes from outside.
fn event(mut json: Value, at: Utc) -> Result<Event, EventError> {
    json["at"] = json!(at.to_string());
    json["feed"] = json!(FEED);
    Event::parse(&json.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_request_is_read_back_unchanged() {
        let (agent, at) = (AgentId::from("ann"), Utc::parse("2026-01-05T09:00:00.000Z").unwrap());
        let requests = [
            Request::Start,
            Request::Stop,
            Request::Pause { limit_ms: Some(500) },
            Request::Pause { limit_ms: None },
            Request::Mask { limit_ms: None },
            Request::Resume,
            Request::Tag { name: "product".into(), value: "loan \"b\"".into() },
        ];
        for request in requests {
            let event = requested(&agent, &request, at).unwrap();
            let expected = deskreel_model::event::Kind::Request { agent: agent.clone(), request };
            assert_eq!((event.at, event.kind), (at, expected));
        }
    }

    #[test]
    fn a_log_in_carries_the_seat() {
        let at = Utc::parse("2026-01-05T09:00:00.000Z").unwrap();
        let seat = Seat { groups: vec!["sales".into()], ..Seat::default() };
        let event = logged_in(&"ann".into(), &seat, &"seat-12".into(), at).unwrap();
        let deskreel_model::event::Kind::LoggedIn { seat, .. } = event.kind else { panic!("{event}") };
        assert_eq!((seat.place, seat.groups), (Some("seat-12".into()), vec!["sales".into()]));
    }
}
