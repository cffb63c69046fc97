//! Events that a desktop reports: states, calls, chats, only in the name of the session's agent.

use deskreel_desk::{Act, Done, Refused};
use deskreel_model::event::{Event, Kind};
use serde_json::{Value, json};

use super::world::{Wish, World, world};

fn reported(world: &World) -> Vec<Event> {
    let events = world.acts().into_iter().filter_map(|act| match act {
        Act::Tell(event) => Some(*event),
        _ => None,
    });
    events.collect()
}

#[test]
fn a_state_is_an_event_of_the_agent() {
    let world = world();
    let session = world.session("ann");
    let body = json!({ "media": "chat", "state": "ready", "work_mode": "after_call_work" });
    let answer = world.ask("PUT", "/api/v1/state", &[("Authorization", &session)], &body.to_string());
    assert_eq!((answer.status, &answer.json()["capture"]), (200, &json!("live")));
    let events = reported(&world);
    let Kind::State { agent, media, state, work_mode, reason } = &events[0].kind else {
        panic!("{events:?}")
    };
    assert_eq!((agent.as_str(), &**media, &**state), ("ann", "chat", "ready"));
    assert_eq!((work_mode.as_deref(), reason.as_deref()), (Some("after_call_work"), None));
    assert_eq!(events[0].feed, Some("desktop".into()));
}

#[test]
fn events_are_reported_in_order_in_the_sessions_name() {
    let world = world();
    let session = world.session("ann");
    let body = json!([
        { "type": "call.established", "call": "77", "at": "2026-01-05T09:00:10.000Z", "seq": 9, "feed": "forged" },
        { "type": "call.transferred", "primary_call": "77", "to_agent": "bob" },
        { "type": "interaction.accepted", "interaction": "c1", "agent": "ann" },
        { "type": "recording.paused", "call": "77", "at": null, "agent": null },
    ]);
    let answer = world.ask("POST", "/api/v1/events", &[("Authorization", &session)], &body.to_string());
    assert_eq!((answer.status, &answer.json()["accepted"]), (200, &json!(4)));
    let events = reported(&world);
    let names: Vec<&str> = events.iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["call.established", "call.transferred", "interaction.accepted", "recording.paused"]);
    assert_eq!(events[0].at.to_string(), "2026-01-05T09:00:10.000Z");
    assert!(events.iter().all(|event| event.seq.is_none() && event.feed == Some("desktop".into())));
    assert!(events.iter().all(|event| event.kind.agents().next().unwrap().as_str() == "ann"));
}

#[test]
fn if_one_event_is_wrong_none_is_reported() {
    let world = world();
    let session = world.session("ann");
    let body = json!([
        { "type": "call.held", "call": "77" },
        { "type": "call.held", "call": "77", "agent": "bob" },
        { "type": "call.held" },
        { "type": "agent.logged_out" },
        { "type": "timer" },
        { "type": "call.invented", "call": "77" },
        { "type": "call.held", "call": "77", "at": "yesterday" },
        { "type": "call.conferenced", "primary_call": "77", "from_agent": "bob" },
        7,
    ]);
    let answer = world.ask("POST", "/api/v1/events", &[("Authorization", &session)], &body.to_string());
    assert_eq!((answer.status, answer.code().as_str()), (422, "bad_body"));
    let wrong: Vec<(u64, String)> = answer.json()["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wrong| (wrong["index"].as_u64().unwrap(), wrong["code"].as_str().unwrap().to_owned()))
        .collect();
    let expected: Vec<(u64, String)> = (1..=8)
        .map(|index| (index, if matches!(index, 1 | 7) { "not_yours" } else { "bad_body" }.to_owned()))
        .collect();
    assert_eq!(wrong, expected);
    assert_eq!(reported(&world), []);
}

#[test]
fn none_and_too_many_are_refused() {
    let world = world();
    let session = world.session("ann");
    let event = json!({ "type": "call.held", "call": "77" });
    for body in [json!([]), Value::from(vec![event; 101])] {
        let answer = world.ask("POST", "/api/v1/events", &[("Authorization", &session)], &body.to_string());
        assert_eq!(answer.status, 422);
    }
}

#[test]
fn what_the_desk_refuses_says_how_far_it_came() {
    let reply = |act: &Act| match act {
        Act::Tell(event) if event.kind.name() == "call.cleared" => Err(Refused::GoingDown),
        _ => Ok(Done::default()),
    };
    let world = World::new(Wish { reply: Box::new(reply), ..Wish::default() });
    let session = world.session("ann");
    let body = json!([{ "type": "call.held", "call": "7" }, { "type": "call.cleared", "call": "7" }]);
    let answer = world.ask("POST", "/api/v1/events", &[("Authorization", &session)], &body.to_string());
    assert_eq!((answer.status, &answer.json()["accepted"]), (503, &json!(1)));
}

#[test]
fn recordings_are_the_agents_own_and_come_in_pages() {
    let world = world();
    let ann = world.session("ann");
    let first = world.ask("GET", "/api/v1/recordings?limit=1", &[("Authorization", &ann)], "").json();
    assert_eq!(
        (&first["recordings"][0]["recording"], &first["more"]),
        (&json!("20260105T090000Z-4f2a91"), &json!(true))
    );
    let path = "/api/v1/recordings?after=20260105T090000Z-4f2a91";
    let second = world.ask("GET", path, &[("Authorization", &ann)], "").json();
    assert_eq!(second["recordings"].as_array().unwrap().len(), 1);
    for wrong in
        ["after=../etc", "after=20260105T090000Z-4F2A91", "limit=0", "limit=201", "limit=x", "page=1"]
    {
        let answer = world.ask("GET", &format!("/api/v1/recordings?{wrong}"), &[("Authorization", &ann)], "");
        assert_eq!((answer.status, answer.code().as_str()), (422, "bad_body"), "{wrong}");
    }
    let bob = world.session("bob");
    let none = world.ask("GET", "/api/v1/recordings", &[("Authorization", &bob)], "").json();
    assert_eq!(none["recordings"], json!([]));
}
