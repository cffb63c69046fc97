//! Log-ins, the lifetime of sessions, and what a session's secrets are worth to others.

use std::time::Duration;

use deskreel_desk::{Act, Done, Refused};
use deskreel_desk_api::Limits;
use deskreel_model::Fault;
use deskreel_model::event::Seat;
use serde_json::json;

use super::world::{OTHER_PAGE, PAGE, PASSWORD, TOKEN, Wish, World, basic, limited, secret, world};

#[test]
fn a_program_opens_a_session_with_the_token_at_the_desk() {
    let world = world();
    let body = json!({ "agent": "ann", "place": "seat 7", "devices": ["4711"], "groups": ["sales"], "skills": ["fr"] });
    let bearer = format!("Bearer {TOKEN}");
    let answer = world.ask("POST", "/api/v1/session", &[("Authorization", &bearer)], &body.to_string());
    assert_eq!(answer.status, 201, "{answer:?}");
    let seat = Seat {
        place: Some("seat 7".into()),
        devices: vec!["4711".into()],
        groups: vec!["sales".into()],
        skills: vec!["fr".into()],
    };
    assert_eq!(world.acts(), [Act::LogIn { agent: "ann".into(), seat }]);

    let session = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    let shown = world.ask("GET", "/api/v1/session", &[("Authorization", &session)], "");
    assert_eq!((shown.status, shown.json()["agent"].as_str()), (200, Some("ann")));
    assert!(shown.json().get("token").is_none(), "secrets are shown once");
}

#[test]
fn a_page_logs_an_agent_in_by_a_password() {
    let world = world();
    let answer = world.page_session(PAGE);
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some(PAGE));
    let set = answer.header("Set-Cookie").unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains("Secure"), "{set}");
    let bearer = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    let status = world.ask("GET", "/api/v1/status", &[("Origin", PAGE), ("Authorization", &bearer)], "");
    assert_eq!((status.status, status.json()["place"].as_str()), (200, Some("seat 7")));
}

#[test]
fn wrong_credentials_say_no_more_than_that() {
    let world = world();
    let ask = |authorization: &str, body: &str| {
        let answer = world.ask("POST", "/api/v1/session", &[("Authorization", authorization)], body);
        assert_eq!(answer.status, 401, "{authorization}");
        assert!(
            !answer.header("WWW-Authenticate").unwrap().starts_with("Basic"),
            "a browser would ask for a password"
        );
        (answer.code(), answer.json()["detail"].as_str().unwrap().to_owned())
    };
    let wrong = ask(&basic("ann", "wrong"), "{}");
    assert_eq!(wrong.0, "wrong_credentials");
    assert_eq!(wrong, ask(&basic("nobody", PASSWORD), "{}"));
    assert_eq!(ask("Bearer the-token-of-somebody-else", r#"{"agent":"ann"}"#).0, "wrong_credentials");
    assert_eq!(ask("Basic ?", "{}").0, "wrong_credentials");
    assert_eq!(ask("Digest x", "{}").0, "no_credentials");
    assert_eq!(world.acts(), []);
}

#[test]
fn a_password_is_for_its_own_agent_only() {
    let world = world();
    let answer = world.ask(
        "POST",
        "/api/v1/session",
        &[("Authorization", &basic("ann", PASSWORD))],
        r#"{"agent":"bob"}"#,
    );
    assert_eq!((answer.status, answer.code().as_str()), (403, "not_yours"));
}

#[test]
fn guessing_a_password_ends_in_waiting() {
    let world = limited(Limits { failures: 2, ..Limits::default() });
    let guess =
        |name: &str| world.ask("POST", "/api/v1/session", &[("Authorization", &basic(name, "x"))], "{}");
    assert_eq!([guess("ann").status, guess("ann").status], [401, 401]);
    let third = guess("ann");
    assert_eq!((third.status, third.code().as_str()), (429, "too_many"));
    let wait: u64 = third.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    assert_eq!(guess("bob").status, 401, "others are not made to wait");
}

#[test]
fn a_silent_session_is_over_and_the_agent_logged_out() {
    let world = World::new(Wish { settings: json!({ "session": "300ms" }), ..Wish::default() });
    let session = world.session("ann");
    world.wait_for(|act| *act == Act::LogOut { agent: "ann".into() });
    let late = world.ask("GET", "/api/v1/status", &[("Authorization", &session)], "");
    assert_eq!((late.status, late.code().as_str()), (401, "session_over"));
}

#[test]
fn a_session_that_pings_lives() {
    let world = World::new(Wish { settings: json!({ "session": "2s" }), ..Wish::default() });
    let session = world.session("ann");
    let mut http = world.http();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        let ping = http.ask("POST", "/api/v1/session/ping", &[("Authorization", &session)], "");
        assert_eq!(ping.status, 204);
    }
    assert!(!world.acts().iter().any(|act| matches!(act, Act::LogOut { .. })));
}

#[test]
fn logging_out_ends_all_sessions_of_the_agent() {
    let world = world();
    let (first, second) = (world.session("ann"), world.session("ann"));
    let ended = world.ask("DELETE", "/api/v1/session", &[("Authorization", &first)], "");
    assert_eq!(ended.status, 204);
    assert_eq!(world.acts().last(), Some(&Act::LogOut { agent: "ann".into() }));
    for session in [&first, &second] {
        assert_eq!(world.ask("GET", "/api/v1/session", &[("Authorization", session)], "").status, 401);
    }
}

#[test]
fn another_agent_ends_the_session_of_the_one_before() {
    let world = world();
    let (ann, bob) = (world.session("ann"), world.session("bob"));
    assert_eq!(world.ask("GET", "/api/v1/session", &[("Authorization", &ann)], "").status, 401);
    assert_eq!(world.ask("GET", "/api/v1/session", &[("Authorization", &bob)], "").status, 200);
}

#[test]
fn a_desk_that_refuses_gives_no_session() {
    let reply = |_: &Act| -> Result<Done, Refused> {
        Err(Refused::Failed { fault: Fault::Disk, reason: "no room".to_owned() })
    };
    let world = World::new(Wish { reply: Box::new(reply), ..Wish::default() });
    let bearer = format!("Bearer {TOKEN}");
    let answer = world.ask("POST", "/api/v1/session", &[("Authorization", &bearer)], r#"{"agent":"ann"}"#);
    assert_eq!((answer.status, answer.code().as_str()), (500, "failed"));
    assert_eq!(answer.json()["fault"], "disk");
}

#[test]
fn a_token_that_was_stolen_by_another_page_or_a_program_is_worth_nothing() {
    let world = world();
    let answer = world.page_session(PAGE);
    let bearer = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    for headers in
        [&[("Authorization", bearer.as_str()), ("Origin", OTHER_PAGE)][..], &[("Authorization", &bearer)]]
    {
        let stolen = world.ask("POST", "/api/v1/recording/start", headers, "");
        assert_eq!((stolen.status, stolen.code().as_str()), (403, "foreign_origin"), "{headers:?}");
    }
    assert_eq!(world.acts().len(), 1, "only the log-in");
}

#[test]
fn the_token_of_programs_is_not_for_pages() {
    let world = world();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Authorization", bearer.as_str()), ("Origin", PAGE)];
    for (method, path, body) in
        [("POST", "/api/v1/session", r#"{"agent":"ann"}"#), ("GET", "/api/v1/status", "")]
    {
        let answer = world.ask(method, path, &headers, body);
        assert_eq!((answer.status, answer.code().as_str()), (403, "foreign_origin"), "{path}");
    }
}

#[test]
fn the_token_of_programs_looks_and_commands_nothing() {
    let world = world();
    let bearer = format!("Bearer {TOKEN}");
    for path in ["/api/v1/status", "/metrics", "/api/v1/health"] {
        assert_eq!(world.ask("GET", path, &[("Authorization", &bearer)], "").status, 200, "{path}");
    }
    let start = world.ask("POST", "/api/v1/recording/start", &[("Authorization", &bearer)], "");
    assert_eq!((start.status, start.code().as_str()), (403, "needs_session"));
}

#[test]
fn a_cookie_looks_and_commands_only_with_the_csrf_token() {
    let world = world();
    let answer = world.page_session(PAGE);
    let (cookie, csrf) = (answer.cookie(), answer.json()["csrf_token"].as_str().unwrap().to_owned());
    let base = [("Origin", PAGE), ("Cookie", cookie.as_str())];
    assert_eq!(world.ask("GET", "/api/v1/status", &base, "").status, 200);
    for wrong in
        [&base[..], &[base[0], base[1], ("X-CSRF-Token", "x")], &[base[0], base[1], ("X-CSRF-Token", "")]]
    {
        let refused = world.ask("POST", "/api/v1/recording/start", wrong, "");
        assert_eq!((refused.status, refused.code().as_str()), (403, "no_csrf_token"), "{wrong:?}");
    }
    let right = [base[0], base[1], ("X-CSRF-Token", csrf.as_str())];
    assert_eq!(world.ask("POST", "/api/v1/recording/start", &right, "").status, 200);
    // The cookie is not the token.
    let value = cookie.split_once('=').unwrap().1;
    let bearer = format!("Bearer {value}");
    let as_token = world.ask("GET", "/api/v1/status", &[("Origin", PAGE), ("Authorization", &bearer)], "");
    assert_eq!(as_token.status, 401);
}

#[test]
fn without_credentials_there_is_nothing_but_health_and_the_documents() {
    let world = world();
    for (method, path) in [
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/recordings"),
        ("GET", "/api/v1/events"),
        ("GET", "/api/v1/ws"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/session"),
        ("POST", "/api/v1/recording/stop"),
        ("POST", "/api/v1/session"),
    ] {
        let answer = world.ask(method, path, &[], "");
        assert_eq!((answer.status, answer.code().as_str()), (401, "no_credentials"), "{path}");
    }
    world.problem("no encoder works: /dev/dri is not there");
    let health = world.ask("GET", "/api/v1/health", &[], "");
    assert_eq!((health.status, health.body.as_str()), (503, r#"{"healthy":false}"#));
    assert_eq!(world.ask("GET", "/api/v1/version", &[], "").status, 200);
    assert_eq!(world.ask("GET", "/api/v1/openapi.json", &[], "").status, 200);
}

#[test]
fn invalid_names_are_refused_with_their_place() {
    let world = world();
    let bearer = format!("Bearer {TOKEN}");
    let long = "x".repeat(257);
    for (body, place) in [
        (json!({ "agent": "" }), "/agent"),
        (json!({}), "/agent"),
        (json!({ "agent": "a\nb" }), "/agent"),
        (json!({ "agent": "ann", "place": long }), "/place"),
        (json!({ "agent": "ann", "devices": ["1", ""] }), "/devices/1"),
        (json!({ "agent": "ann", "groups": vec!["g"; 65] }), "/groups"),
        (json!({ "agent": "ann", "extra": 1 }), "body"),
    ] {
        let answer = world.ask("POST", "/api/v1/session", &[("Authorization", &bearer)], &body.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (422, "bad_body"), "{body}");
        assert_eq!(answer.json()["place"], place, "{body}");
    }
}

#[test]
fn an_agent_who_is_added_can_log_in_at_once() {
    let world = world();
    let headers = [("Authorization", &*basic("carol", "n3w"))];
    assert_eq!(world.ask("POST", "/api/v1/session", &headers, "{}").status, 401);
    secret(&world.folder, "agents", &deskreel_desk_api::agents_file_line("carol", "n3w").unwrap());
    assert_eq!(world.ask("POST", "/api/v1/session", &headers, "{}").status, 201);
}
