//! Start, stop, pause, mask, resume, tag: each carried out once per key, and answered within a limit.

use std::time::Duration;

use deskreel_desk::{Act, Done, Refused};
use deskreel_desk_api::Limits;
use deskreel_model::event::Request;
use serde_json::json;

use super::world::{Wish, World, limited, recording, world};

fn requests(world: &World) -> Vec<Request> {
    let requests = world.acts().into_iter().filter_map(|act| match act {
        Act::Request { agent, request } if agent.as_str() == "ann" => Some(request),
        _ => None,
    });
    requests.collect()
}

#[test]
fn each_command_comes_to_the_desk_as_it_was_meant() {
    let world = world();
    let session = world.session("ann");
    let mut http = world.http();
    for (command, body) in [
        ("start", json!({})),
        ("pause", json!({ "limit_ms": 60000 })),
        ("mask", json!({})),
        ("resume", json!({})),
        ("tag", json!({ "name": "order", "value": "4711" })),
        ("stop", json!({})),
    ] {
        let path = format!("/api/v1/recording/{command}");
        let answer = http.ask("POST", &path, &[("Authorization", &session)], &body.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        assert_eq!((&answer["command"], &answer["state"]), (&json!(command), &json!("done")));
        assert_eq!(answer["done"], json!({ "recording": recording(), "capture": "live" }));
    }
    assert_eq!(
        requests(&world),
        [
            Request::Start,
            Request::Pause { limit_ms: Some(60000) },
            Request::Mask { limit_ms: None },
            Request::Resume,
            Request::Tag { name: "order".into(), value: "4711".into() },
            Request::Stop,
        ]
    );
}

#[test]
fn the_same_key_gives_the_same_answer_and_is_done_once() {
    let world = world();
    let session = world.session("ann");
    let headers = [("Authorization", session.as_str()), ("Idempotency-Key", "k1")];
    let first = world.ask("POST", "/api/v1/recording/start", &headers, "");
    let again = world.ask("POST", "/api/v1/recording/start", &headers, "");
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(requests(&world), [Request::Start]);
}

#[test]
fn a_key_of_another_request_is_refused() {
    let world = world();
    let session = world.session("ann");
    let headers = [("Authorization", session.as_str()), ("Idempotency-Key", "k1")];
    world.ask("POST", "/api/v1/recording/pause", &headers, r#"{"limit_ms":1000}"#);
    for (path, body) in [("pause", r#"{"limit_ms":2000}"#), ("mask", r#"{"limit_ms":1000}"#)] {
        let answer = world.ask("POST", &format!("/api/v1/recording/{path}"), &headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (422, "key_reused"));
    }
    // The same key in another session is another key.
    let bob = world.session("ann");
    let headers = [("Authorization", bob.as_str()), ("Idempotency-Key", "k1")];
    assert_eq!(world.ask("POST", "/api/v1/recording/mask", &headers, "").status, 200);
}

#[test]
fn what_is_not_done_soon_is_answered_and_found_later() {
    let world = limited(Limits { answer: Duration::from_millis(50), ..Limits::default() });
    let session = world.session("ann");
    let headers = [("Authorization", session.as_str()), ("Idempotency-Key", "k1")];
    world.hold(true);
    let pending = world.ask("POST", "/api/v1/recording/stop", &headers, "");
    assert_eq!((pending.status, &pending.json()["state"]), (202, &json!("pending")));
    let location = pending.header("Location").unwrap();
    assert_eq!(world.ask("GET", location, &headers[..1], "").status, 202);
    let again = world.ask("POST", "/api/v1/recording/stop", &headers, "");
    assert_eq!((again.status, &again.json()["operation"]), (202, &pending.json()["operation"]));
    world.hold(false);
    let limit = std::time::Instant::now() + super::world::SOON;
    let done = loop {
        let answer = world.ask("GET", location, &headers[..1], "");
        if answer.status != 202 {
            break answer;
        }
        assert!(std::time::Instant::now() < limit, "never done");
    };
    assert_eq!((done.status, &done.json()["done"]["capture"]), (200, &json!("live")));
    assert_eq!(requests(&world), [Request::Stop]);
}

#[test]
fn an_operation_is_its_sessions_own() {
    let world = world();
    let ann = world.session("ann");
    let done = world.ask("POST", "/api/v1/recording/start", &[("Authorization", &ann)], "");
    let path = format!("/api/v1/operations/{}", done.json()["operation"].as_str().unwrap());
    assert_eq!(world.ask("GET", &path, &[("Authorization", &ann)], "").status, 200);
    let other = world.session("ann");
    let answer = world.ask("GET", &path, &[("Authorization", &other)], "");
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[test]
fn what_the_desk_refuses_is_a_problem_with_its_operation() {
    let reply = |act: &Act| match act {
        Act::Request { request: Request::Pause { .. }, .. } => Err(Refused::NothingRecorded),
        Act::Request { request: Request::Start, .. } => {
            Err(Refused::NotAllowed("not by hand here".to_owned()))
        }
        Act::Request { request: Request::Stop, .. } => Err(Refused::GoingDown),
        Act::Request { request: Request::Resume, agent } => Err(Refused::NotLoggedIn(agent.clone())),
        _ => Ok(Done::default()),
    };
    let world = World::new(Wish { reply: Box::new(reply), ..Wish::default() });
    let session = world.session("ann");
    for (command, status, code) in [
        ("pause", 409, "nothing_recorded"),
        ("start", 403, "not_allowed"),
        ("stop", 503, "going_down"),
        ("resume", 401, "session_over"),
    ] {
        let path = format!("/api/v1/recording/{command}");
        let answer = world.ask("POST", &path, &[("Authorization", &session)], "");
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
        assert!(answer.json()["operation"].is_string(), "{answer:?}");
    }
}

#[test]
fn wrong_bodies_are_refused() {
    let world = world();
    let session = world.session("ann");
    for (command, body, status, code) in [
        ("pause", "{", 400, "bad_json"),
        ("pause", r#"{"limit_ms":"1s"}"#, 422, "bad_body"),
        ("pause", r#"{"limit_ms":0}"#, 422, "bad_body"),
        ("pause", r#"{"limit_ms":-1}"#, 422, "bad_body"),
        ("pause", r#"{"limit_ms":86400001}"#, 422, "bad_body"),
        ("pause", r#"{"limt_ms":1}"#, 422, "bad_body"),
        ("start", "[]", 422, "bad_body"),
        ("start", "null", 422, "bad_body"),
        ("tag", "{}", 422, "bad_body"),
        ("tag", r#"{"name":""}"#, 422, "bad_body"),
    ] {
        let path = format!("/api/v1/recording/{command}");
        let answer = world.ask("POST", &path, &[("Authorization", &session)], body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{command} {body}");
    }
    let long = "k".repeat(256);
    for key in ["", &long] {
        let headers = [("Authorization", session.as_str()), ("Idempotency-Key", key)];
        assert_eq!(world.ask("POST", "/api/v1/recording/start", &headers, "").status, 422);
    }
    assert_eq!(requests(&world), []);
}

#[test]
fn more_commands_than_any_desktop_needs_have_to_wait() {
    let world = limited(Limits { rate: 3, ..Limits::default() });
    let session = world.session("ann");
    let mut http = world.http();
    let mut ask = || http.ask("POST", "/api/v1/recording/resume", &[("Authorization", &session)], "");
    let answers: Vec<u16> = (0..10).map(|_| ask().status).collect();
    assert_eq!(answers[..3], [200; 3]);
    assert!(answers.contains(&429), "{answers:?}");
    let mut http = world.http();
    let looks = http.ask("GET", "/api/v1/status", &[("Authorization", &session)], "");
    assert_eq!(looks.status, 200, "looking costs nothing");
}
