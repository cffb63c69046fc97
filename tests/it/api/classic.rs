//! The classic endpoints, used as by a desktop that was written for them.

use deskreel_desk::Act;
use deskreel_model::event::Seat;
use serde_json::json;

use super::world::{OTHER_PAGE, PAGE, PASSWORD, TOKEN, Wish, World, basic, world};

#[test]
fn a_desktop_asks_first_logs_in_and_pings() {
    let world = world();
    let ann = basic("ann", PASSWORD);
    for path in ["/api/v2/me", "/ping"] {
        let asks = world.ask("OPTIONS", path, &[("Origin", PAGE)], "");
        assert_eq!((asks.status, asks.header("Access-Control-Allow-Origin")), (200, Some(PAGE)));
        let preflight = [
            ("Origin", PAGE),
            ("Access-Control-Request-Method", "GET"),
            ("Access-Control-Request-Headers", "authorization, x-support-csrfp"),
        ];
        let asks = world.ask("OPTIONS", path, &preflight, "");
        let allowed = asks.header("Access-Control-Allow-Headers").unwrap().to_ascii_lowercase();
        assert!(
            asks.status == 200 && allowed.contains("authorization") && allowed.contains("x-support-csrfp")
        );
    }
    let me = world.ask("GET", "/api/v2/me", &[("Origin", PAGE), ("Authorization", &ann)], "");
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!(me.header("X-CSRF-Token"), None, "it was not asked for");
    assert_eq!(world.acts(), [Act::LogIn { agent: "ann".into(), seat: Seat::default() }]);
    let with_password = world.ask("GET", "/ping", &[("Origin", PAGE), ("Authorization", &ann)], "");
    let with_cookie = world.ask("GET", "/ping", &[("Origin", PAGE), ("Cookie", &me.cookie())], "");
    assert_eq!([with_password.status, with_cookie.status], [200, 200]);
    assert_eq!(with_cookie.header("Access-Control-Allow-Credentials"), Some("true"));
}

#[test]
fn a_log_in_with_configuration_says_place_and_devices() {
    let world = world();
    let body = json!([
        { "name": "server", "value": "https://rws.example:4443" },
        { "name": "peer_server", "value": "" },
        { "name": "place", "value": "seat 9" },
        { "name": "devices", "value": [{ "dn": "4711", "switch": "sip" }, { "dn": "4712", "switch": "sip" }] },
    ]);
    let headers = [("Origin", PAGE), ("Authorization", &*basic("ann", PASSWORD))];
    assert_eq!(world.ask("POST", "/api/v2/me", &headers, &body.to_string()).status, 200);
    let seat =
        Seat { place: Some("seat 9".into()), devices: vec!["4711".into(), "4712".into()], ..Seat::default() };
    assert_eq!(world.acts(), [Act::LogIn { agent: "ann".into(), seat }]);
    for wrong in [
        json!({ "place": "x" }),
        json!([{ "name": "place", "value": 7 }]),
        json!([{ "name": "devices", "value": "4711" }]),
        json!([{ "name": "devices", "value": [{ "switch": "sip" }] }]),
    ] {
        let answer = world.ask("POST", "/api/v2/me", &headers, &wrong.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (422, "bad_body"), "{wrong}");
    }
}

#[test]
fn the_csrf_token_is_sent_on_request_and_needed_for_commands() {
    let world = world();
    let headers =
        [("Origin", PAGE), ("Authorization", &*basic("ann", PASSWORD)), ("X-Support-CSRFP", "True")];
    let me = world.ask("GET", "/api/v2/me", &headers, "");
    let token = me.header("X-CSRF-Token").unwrap().to_owned();
    assert!(
        me.header("Access-Control-Expose-Headers").unwrap().contains("X-CSRF-Token"),
        "pages may read it"
    );
    let cookie = me.cookie();
    let by_cookie = [("Origin", PAGE), ("Cookie", cookie.as_str())];
    let refused = world.ask("POST", "/api/v1/recording/pause", &by_cookie, "");
    assert_eq!((refused.status, refused.code().as_str()), (403, "no_csrf_token"));
    let with_token = [by_cookie[0], by_cookie[1], ("X-CSRF-Token", &token)];
    assert_eq!(world.ask("POST", "/api/v1/recording/pause", &with_token, "").status, 200);
    assert_eq!(world.ask("GET", "/ping", &by_cookie, "").status, 200, "a ping changes nothing");
}

#[test]
fn without_pings_the_next_one_is_refused_until_the_next_log_in() {
    let world = World::new(Wish { settings: json!({ "session": "300ms" }), ..Wish::default() });
    let ann = basic("ann", PASSWORD);
    let headers = [("Origin", PAGE), ("Authorization", ann.as_str())];
    let me = world.ask("GET", "/api/v2/me", &headers, "");
    world.wait_for(|act| *act == Act::LogOut { agent: "ann".into() });
    let with_password = world.ask("GET", "/ping", &headers, "");
    let with_cookie = world.ask("GET", "/ping", &[("Origin", PAGE), ("Cookie", &me.cookie())], "");
    for late in [with_password, with_cookie] {
        assert_eq!((late.status, late.code().as_str()), (401, "session_over"));
    }
    assert_eq!(world.ask("GET", "/api/v2/me", &headers, "").status, 200);
    assert_eq!(world.ask("GET", "/ping", &headers, "").status, 200);
}

#[test]
fn only_known_pages_with_right_passwords_get_in() {
    let world = world();
    let ann = basic("ann", PASSWORD);
    let wrong = basic("ann", "wrong");
    let bearer = format!("Bearer {TOKEN}");
    for (headers, status) in [
        (&[("Authorization", ann.as_str())][..], 403),
        (&[("Origin", "https://evil.example"), ("Authorization", &ann)], 403),
        (&[("Origin", PAGE)], 401),
        (&[("Origin", PAGE), ("Authorization", &wrong)], 401),
        (&[("Origin", PAGE), ("Authorization", &bearer)], 401),
    ] {
        for (method, path) in [("GET", "/api/v2/me"), ("POST", "/api/v2/me"), ("GET", "/ping")] {
            let answer = world.ask(method, path, headers, "");
            assert_eq!(answer.status, status, "{method} {path} {headers:?}");
        }
    }
    assert_eq!(world.acts(), []);
}

#[test]
fn another_page_cannot_ping_with_a_stolen_cookie() {
    let world = world();
    let me =
        world.ask("GET", "/api/v2/me", &[("Origin", PAGE), ("Authorization", &basic("ann", PASSWORD))], "");
    let stolen = world.ask("GET", "/ping", &[("Origin", OTHER_PAGE), ("Cookie", &me.cookie())], "");
    assert_eq!((stolen.status, stolen.code().as_str()), (403, "foreign_origin"));
}

#[test]
fn logging_in_again_ends_the_previous_session() {
    let world = world();
    let ann = basic("ann", PASSWORD);
    let first = world.ask("GET", "/api/v2/me", &[("Origin", PAGE), ("Authorization", &ann)], "").cookie();
    let headers = [("Origin", PAGE), ("Authorization", ann.as_str()), ("Cookie", first.as_str())];
    let second = world.ask("GET", "/api/v2/me", &headers, "").cookie();
    let ping = |cookie: &str| world.ask("GET", "/ping", &[("Origin", PAGE), ("Cookie", cookie)], "").status;
    assert_eq!([ping(&first), ping(&second)], [401, 200]);
}
