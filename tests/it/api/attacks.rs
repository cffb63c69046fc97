//! Attacks by hostile pages and programs on loopback, one kind per test. None may reach the desk.

use std::time::Duration;

use deskreel_desk_api::Limits;

use super::http::Answer;
use super::world::{PAGE, PASSWORD, TOKEN, World, basic, limited, world};

fn is_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert!(!answer.is_shared(), "a page could read it: {answer:?}");
}

/// Valid credentials, so that only the attack can be the reason of a refusal.
fn credentials(world: &World) -> String {
    world.session("ann")
}

#[test]
fn a_foreign_page_is_refused_and_cannot_even_read_that() {
    let world = world();
    let session = credentials(&world);
    for origin in [
        "https://evil.example",
        "null",
        "",
        "http://desktop.example",
        "https://desktop.example.evil.example",
        "https://desktop.example, https://evil.example",
        "https://desktop.example:8443",
        "file://",
        "chrome-extension://abcdefgh",
        "http://localhost",
    ] {
        for (method, path) in [
            ("GET", "/api/v1/status"),
            ("GET", "/api/v1/health"),
            ("POST", "/api/v1/recording/stop"),
            ("GET", "/api/v1/events"),
            ("GET", "/api/v2/me"),
            ("OPTIONS", "/api/v2/me"),
            ("GET", "/no/such/path"),
        ] {
            let answer = world.ask(method, path, &[("Origin", origin), ("Authorization", &session)], "");
            is_refused(&answer, 403, "foreign_origin");
        }
    }
    assert_eq!(world.acts().len(), 1, "only the log-in");
}

#[test]
fn two_origins_are_refused() {
    let world = world();
    let answer =
        world.ask("GET", "/api/v1/health", &[("Origin", PAGE), ("Origin", "https://evil.example")], "");
    is_refused(&answer, 403, "foreign_origin");
}

#[test]
fn a_page_that_hides_its_origin_is_refused() {
    let world = world();
    for site in ["cross-site", "same-site"] {
        let answer = world.ask("GET", "/api/v1/health", &[("Sec-Fetch-Site", site)], "");
        is_refused(&answer, 403, "foreign_origin");
    }
    assert_eq!(
        world.ask("GET", "/api/v1/health", &[("Sec-Fetch-Site", "none")], "").status,
        200,
        "typed by somebody"
    );
}

#[test]
fn a_rebound_name_is_refused_before_anything_else() {
    let world = world();
    let session = credentials(&world);
    let port = world.address.port();
    for host in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        "localhost".to_owned(),
        format!("localhost:{}", port ^ 1),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.nip.io:{port}"),
        format!("0.0.0.0:{port}"),
        format!("x@localhost:{port}"),
    ] {
        // Same-origin with itself, as a rebound page is; and a path that does not exist.
        for (path, origin) in
            [("/api/v1/status", PAGE), ("/api/v1/status", "http://evil.example"), ("/x", PAGE)]
        {
            let headers = [("Host", host.as_str()), ("Origin", origin), ("Authorization", &session)];
            is_refused(&world.ask("GET", path, &headers, ""), 421, "unknown_host");
        }
    }
    let ours = format!("localhost:{port}");
    assert_eq!(world.ask("GET", "/api/v1/health", &[("Host", &ours)], "").status, 200);
}

#[test]
fn a_host_name_in_the_target_is_checked_as_well() {
    let world = world();
    let session = credentials(&world);
    let answer = world.ask("GET", "http://evil.example/api/v1/status", &[("Authorization", &session)], "");
    is_refused(&answer, 421, "unknown_host");
    let ours = format!("http://{}/api/v1/status", world.address);
    assert_eq!(world.ask("GET", &ours, &[("Authorization", &session)], "").status, 200);
}

#[test]
fn no_host_and_two_hosts_are_refused() {
    let world = world();
    let mut http = world.http();
    http.write("GET /api/v1/health HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(http.answer().unwrap().status, 400);
    let mut http = world.http();
    http.write("GET /api/v1/health HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(http.answer().unwrap().status, 421);
    let mut http = world.http();
    let host = format!("Host: {}\r\n", world.address);
    http.write(format!("GET /api/v1/health HTTP/1.1\r\n{host}Host: evil.example\r\n\r\n")).unwrap();
    assert_eq!(http.answer().unwrap().status, 400);
}

#[test]
fn what_a_form_can_send_is_refused() {
    let world = world();
    let answer = world.page_session(PAGE);
    let cookie = answer.cookie();
    let bodies = [
        ("application/x-www-form-urlencoded", "name=a&value=b"),
        ("multipart/form-data; boundary=x", "--x--"),
        ("text/plain", r#"{"name":"a"}"#),
        ("text/plain; application/json", "{}"),
        ("", "{}"),
    ];
    for (kind, body) in bodies {
        for path in ["/api/v1/recording/tag", "/api/v1/events", "/api/v2/me", "/api/v1/session"] {
            // With an allowed origin and without any.
            for headers in [
                &[("Content-Type", kind), ("Cookie", &cookie), ("Origin", PAGE)][..],
                &[("Content-Type", kind)],
            ] {
                let answer = world.ask("POST", path, headers, body);
                assert_eq!((answer.status, answer.code().as_str()), (415, "not_json"), "{kind}");
            }
        }
    }
    assert_eq!(world.acts().len(), 1, "only the log-in");
}

#[test]
fn a_preflight_opens_the_private_network_to_known_pages_only() {
    let world = world();
    let asks = [
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type,idempotency-key"),
        ("Access-Control-Request-Private-Network", "true"),
    ];
    let ask = |origin| {
        let headers = [("Origin", origin), asks[0], asks[1], asks[2]];
        world.ask("OPTIONS", "/api/v1/recording/start", &headers, "")
    };
    let known = ask(PAGE);
    assert_eq!(known.status, 200);
    assert_eq!(known.header("Access-Control-Allow-Origin"), Some(PAGE), "never *");
    assert_eq!(known.header("Access-Control-Allow-Private-Network"), Some("true"));
    assert_eq!(known.header("Access-Control-Allow-Credentials"), Some("true"));
    let allowed = known.header("Access-Control-Allow-Headers").unwrap().to_ascii_lowercase();
    assert!(["authorization", "content-type", "idempotency-key"].iter().all(|name| allowed.contains(name)));
    assert!(known.header("Vary").unwrap().contains("Origin"));
    is_refused(&ask("https://evil.example"), 403, "foreign_origin");

    // Without the request header, the answer does not have it.
    let plain = world.ask("OPTIONS", "/api/v1/recording/start", &[("Origin", PAGE), asks[0]], "");
    assert_eq!(plain.header("Access-Control-Allow-Private-Network"), None);
}

#[test]
fn large_bodies_are_refused_without_reading_them() {
    let world = world();
    let session = credentials(&world);
    let mut http = world.http();
    let headers = [("Authorization", session.as_str()), ("Content-Length", "65537")];
    http.send("POST", "/api/v1/events", &headers, "");
    let answer = http.answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    assert!(http.is_closed(), "what follows would be taken for a request");

    // Without a length in the head.
    let mut http = world.http();
    let headers =
        [("Authorization", session.as_str()), ("Transfer-Encoding", "chunked"), ("Content-Length", "0")];
    http.send("POST", "/api/v1/events", &[headers[0]], "");
    http.answer().unwrap();
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: {}\r\nAuthorization: {session}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        world.address
    );
    http.write(head).unwrap();
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    for _ in 0..5 {
        let _ = http.write(&chunk);
    }
    assert_eq!(http.answer().unwrap().status, 413);
    assert!(http.is_closed());
}

#[test]
fn a_body_of_just_the_limit_is_read() {
    let world = limited(Limits { body_bytes: 100, ..Limits::default() });
    let session = credentials(&world);
    let tag = |length: usize| format!(r#"{{"name":"a","value":"{}"}}"#, "x".repeat(length - 23));
    assert_eq!(tag(100).len(), 100);
    let ask = |length| {
        world.ask("POST", "/api/v1/recording/tag", &[("Authorization", &session)], &tag(length)).status
    };
    assert_eq!([ask(100), ask(101)], [200, 413]);
}

#[test]
fn slow_heads_and_bodies_are_cut_off() {
    let quick = Duration::from_millis(200);
    let world = limited(Limits { head: quick, body: quick, ..Limits::default() });
    let mut silent = world.http();
    let mut half = world.http();
    half.write("GET /api/v1/health HTTP/1.1\r\nHost: loc").unwrap();
    let mut slow = world.http();
    let host = format!("Host: {}\r\n", world.address);
    slow.write(format!("POST /api/v1/session HTTP/1.1\r\n{host}Content-Type: application/json\r\n"))
        .and_then(|()| slow.write("Content-Length: 100\r\n\r\n{"))
        .unwrap();
    let answer = slow.answer().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (408, "slow_request"));
    assert!(slow.is_closed() && silent.is_closed() && half.is_closed());
}

#[test]
fn paths_that_mean_two_things_mean_nothing() {
    let world = world();
    let session = credentials(&world);
    for path in [
        "/api/v1/../../metrics",
        "/api/v1/./status",
        "//metrics",
        "/api/v1//status",
        "/api%2fv1%2fstatus",
        "/api/v1/%73tatus",
        "/api/v1/status%00",
        "/api/v1/status/",
        "/api/v1/operations/..%2f..%2fetc%2fpasswd",
        "/api/v1/status;x",
        "/api/v1/status\\",
        "/API/V1/status",
        "/",
        "/api/v1/operations/",
    ] {
        let answer = world.ask("GET", path, &[("Authorization", &session)], "");
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    for target in ["*", "/api/v1/status\0", "/api/v1/status\u{7f}", "api/v1/status", ""] {
        let mut http = world.http();
        let host = format!("Host: {}\r\n", world.address);
        http.write(format!("GET {target} HTTP/1.1\r\n{host}Authorization: {session}\r\n\r\n")).unwrap();
        let answer = http.answer();
        assert!(
            answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)),
            "{target:?}: {answer:?}"
        );
    }
}

#[test]
fn two_lengths_of_one_body_smuggle_nothing() {
    let world = world();
    let session = credentials(&world);
    let lengths = [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n"),
        ("Content-Length: 2\r\nContent-Length: 4\r\n", "{}"),
        ("Transfer-Encoding: identity\r\nContent-Length: 2\r\n", "{}"),
        ("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("Content-Length: +2\r\n", "{}"),
        ("Content-Length : 2\r\n", "{}"),
    ];
    for (lengths, body) in lengths {
        let mut http = world.http();
        let smuggled = format!(
            "POST /api/v1/recording/stop HTTP/1.1\r\nHost: {}\r\nAuthorization: {session}\r\nContent-Length: 0\r\n\r\n",
            world.address
        );
        let head = format!(
            "POST /api/v1/session/ping HTTP/1.1\r\nHost: {}\r\nAuthorization: {session}\r\n\
             Content-Type: application/json\r\n{lengths}\r\n{body}",
            world.address
        );
        http.write(format!("{head}{smuggled}")).unwrap();
        // If both are present, the chunks count and the connection ends (RFC 9112, 6.1).
        let first = http.answer();
        let ends = |first: &Answer| first.status == 400 || first.header("Connection") == Some("close");
        assert!(first.as_ref().is_none_or(ends), "{lengths:?}: {first:?}");
        assert!(http.answer().is_none(), "{lengths:?}: a second answer came");
    }
    assert_eq!(world.acts().len(), 1, "only the log-in");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = world();
    let session = credentials(&world);
    let mut http = world.http();
    let request = |method: &str, path: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {session}\r\nContent-Length: 0\r\n\r\n",
            world.address
        )
    };
    let all =
        [request("GET", "/api/v1/version"), request("POST", "/api/v1/session/ping"), request("GET", "/x")];
    http.write(all.concat()).unwrap();
    let statuses: Vec<u16> = (0..3).map(|_| http.answer().unwrap().status).collect();
    assert_eq!(statuses, [200, 204, 404]);
}

#[test]
fn heads_that_are_bombs_are_refused() {
    let world = world();
    let host = format!("Host: {}\r\n", world.address);
    let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
    let large = format!("X-Large: {}\r\n", "x".repeat(100_000));
    for bomb in [many, large] {
        let mut http = world.http();
        let _ = http.write(format!("GET /api/v1/health HTTP/1.1\r\n{host}{bomb}\r\n"));
        let answer = http.answer();
        assert!(answer.as_ref().is_none_or(|answer| answer.status == 431), "{answer:?}");
    }
    let mut http = world.http();
    let long = "x".repeat(70_000);
    let _ = http.write(format!("GET /{long} HTTP/1.1\r\n{host}\r\n"));
    let answer = http.answer();
    assert!(answer.as_ref().is_none_or(|answer| matches!(answer.status, 414 | 431)), "{answer:?}");
}

#[test]
fn every_answer_forbids_sniffing_caching_and_framing() {
    let world = world();
    for (path, headers) in [
        ("/api/v1/health", &[][..]),
        ("/nothing", &[]),
        ("/api/v1/status", &[]),
        ("/api/v1/health", &[("Host", "evil.example")]),
        ("/api/v1/health", &[("Origin", "https://evil.example")]),
    ] {
        let answer = world.ask("GET", path, headers, "");
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
}

#[test]
fn unusual_methods_do_nothing() {
    let world = world();
    let session = credentials(&world);
    for (method, path) in [
        ("TRACE", "/api/v1/status"),
        ("DELETE", "/api/v1/status"),
        ("GET", "/api/v1/recording/stop"),
        ("PATCH", "/api/v1/state"),
        ("PROPFIND", "/metrics"),
        ("POST", "/ping"),
    ] {
        let answer = world.ask(method, path, &[("Authorization", &session)], "");
        assert_eq!((answer.status, answer.code().as_str()), (405, "wrong_method"), "{method} {path}");
        assert!(answer.header("Allow").is_some());
    }
    let mut http = world.http();
    http.write(format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: {}\r\n\r\n", world.address)).unwrap();
    let answer = http.answer();
    assert!(answer.as_ref().is_none_or(|answer| (400..500).contains(&answer.status)), "{answer:?}");
}

#[test]
fn no_secret_comes_back_in_a_problem() {
    let world = world();
    let secrets = [TOKEN, PASSWORD, "argon2id"];
    for authorization in [format!("Bearer {TOKEN}x"), basic("ann", "wr0ng-guess"), format!("Bearer {TOKEN}")]
    {
        let answer = world.ask("POST", "/api/v1/session", &[("Authorization", &authorization)], "{}");
        assert!((400..500).contains(&answer.status));
        assert!(
            !secrets.iter().chain(&["wr0ng-guess"]).any(|secret| answer.body.contains(secret)),
            "{answer:?}"
        );
    }
}
