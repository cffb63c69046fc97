//! Paths, queries and bodies that are made to break something. Each is refused like any other invalid one,
//! and changes nothing.

use serde_json::{Value, json};

use crate::ingest::put;
use crate::people::{admin, upload};
use deskreel_test_support::server::{Answer, Server, Who};

/// Percent-encodes text for a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

const SQL: [&str; 14] = [
    "'",
    "''",
    "\"",
    "`",
    "ann'--",
    "ann' OR '1'='1",
    "' OR 1=1 --",
    "'; DROP TABLE interactions; --",
    "') UNION SELECT name, password, role, groups, agent FROM users --",
    "ann\\' OR 1=1 #",
    "/**/OR/**/1=1",
    "$1",
    "%' OR interaction LIKE '%",
    "ann\0' OR 1=1",
];

#[test]
fn sql_in_a_search_matches_nothing() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    upload(&server, &token, "r-1", "ann", "call-1", 0);
    let root = admin(&server);
    let get = |path: &str| server.get(&root, &format!("/api/v1{path}"));
    let found = |answer: &Answer, list: &str| {
        let is_empty = answer.status == 200 && answer.json()[list] == json!([]);
        assert!(is_empty || (400..500).contains(&answer.status), "{answer:?}: {}", answer.text());
    };
    let before = get("/interactions/call-1").json();
    for attack in SQL.map(encoded) {
        for key in [
            "agent",
            "group",
            "role",
            "call",
            "label",
            "media",
            "direction",
            "tag",
            "attached.product",
            "from",
            "to",
            "min_ms",
            "max_ms",
            "cursor",
            "limit",
        ] {
            found(&get(&format!("/interactions?{key}={attack}")), "interactions");
        }
        found(&get(&format!("/interactions?tag=product={attack}")), "interactions");
        found(&get(&format!("/interactions?attached.{attack}=loan")), "interactions");
        assert_eq!(get(&format!("/interactions?{attack}=1")).status, 400);
        found(&get(&format!("/audit?subject={attack}")), "entries");
        assert_eq!(get(&format!("/completeness?from={attack}")).status, 400);
        for path in [
            "/interactions/",
            "/recordings/",
            "/recordings/r-1/hls/",
            "/recordings/r-1/tracks/video/parts/1/fragments/",
        ] {
            assert_eq!(get(&format!("{path}{attack}")).status, 404, "{path}{attack}");
        }
        for path in [
            "/interactions/call-1/labels/",
            "/interactions/call-1/notes/",
            "/users/",
            "/tokens/",
            "/recorders/",
        ] {
            let path = format!("/api/v1{path}{attack}");
            assert_eq!(server.ask(&root, "DELETE", &path, None).status, 404, "{path}");
        }
        let body = json!({ "name": SQL[6], "password": SQL[6] });
        let answer = server.ask(&Who::Nobody, "POST", "/api/v1/session", Some(body));
        assert!([401, 429].contains(&answer.status), "{answer:?}");
    }
    assert_eq!(get("/interactions/call-1").json(), before, "nothing has changed");
}

/// Posts from a file: no command line is that long.
fn post(server: &Server, who: &Who, path: &str, body: &[u8], more: &[&str]) -> Answer {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), body).unwrap();
    let data = format!("@{}", file.path().display());
    let json = ["-H", "Content-Type: application/json", "--data-binary", &data];
    server.curl(who, "POST", &format!("/api/v1{path}"), &[&json[..], more].concat())
}

#[test]
fn bodies_that_are_bombs_are_refused() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let root = admin(&server);
    let list = |element: &str, count: usize| format!("[{}]", vec![element; count].join(","));
    let event = |text: &str| json!({ "type": text, "at": "2026-01-05T09:00:00.000Z" }).to_string();
    let bombs = [
        ("deep lists", "[".repeat(900_000)),
        ("deep objects", format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))),
        ("a deep field", format!("{{\"agent\":{}}}", "[".repeat(900_000))),
        ("a million numbers", list("1", 1_000_000)),
        ("half a million objects", list("{}", 500_000)),
        ("more than 2 MB", list("1234567", 400_000)),
        ("half a text", "{\"agent\":\"".to_owned()),
        ("no text", "\u{feff}{}".to_owned()),
    ];
    for (what, body) in &bombs {
        for path in ["/agents", "/events", "/retention", "/enrol"] {
            let answer = post(&server, &root, path, body.as_bytes(), &[]);
            assert!([400, 413, 422].contains(&answer.status), "{what} to {path}: {}", answer.text());
            assert_eq!(
                answer.status == 413,
                body.len() > 2 << 20 || *what == "half a million objects" && path == "/events"
            );
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        }
    }
    assert_eq!(post(&server, &root, "/events", event(&"x".repeat(1_900_000)).as_bytes(), &[]).status, 202);
    assert_eq!(post(&server, &root, "/events", list(&event("x"), 1001).as_bytes(), &[]).status, 413);
    let agent = json!({ "agent": "x".repeat(1_000_000) }).to_string();
    assert_eq!(post(&server, &root, "/agents", agent.as_bytes(), &[]).status, 422);

    // Compressed bodies are not unpacked: they are not JSON.
    let packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6\xa3\x02\0\0\0";
    let answer = post(&server, &root, "/agents", packed, &["-H", "Content-Encoding: gzip"]);
    assert_eq!(answer.status, 400);
    let form = ["-H", "Content-Type: text/plain", "-d", &event("x")];
    let answer = server.curl(&root, "POST", "/api/v1/events", &form);
    assert_eq!((answer.status, answer.header("content-type")), (415, Some("application/problem+json")));
    assert_eq!(answer.json()["status"], 415);

    let about = "/api/v1/recordings/r-1/about";
    let manifest = "/api/v1/recordings/r-1/manifest";
    for (what, body) in &bombs {
        assert_eq!(put(&server, &token, about, body.as_bytes()).status, 409, "{what}");
        assert_eq!(put(&server, &token, manifest, body.as_bytes()).status, 409, "{what}");
    }
    assert_eq!(put(&server, &token, manifest, packed).status, 409);
    let fragment = |number: usize| json!({ "number": number, "sha256": "0", "start": u64::MAX, "duration_ns": u64::MAX });
    let part = json!({ "number": 1, "init": { "sha256": "0" }, "fragments": (1..200_000).map(fragment).collect::<Vec<_>>() });
    let whole = json!({ "recording": "r-1", "tracks": [{ "name": "video", "parts": [part] }] }).to_string();
    let answer = put(&server, &token, manifest, whole.as_bytes());
    assert_eq!((answer.status, answer.json()["missing"].as_array().map(Vec::len)), (409, Some(200_000)));
    assert_eq!(server.get(&Who::Nobody, "/api/v1/health").status, 200);
}

#[test]
fn nul_is_in_no_text() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    upload(&server, &token, "r-1", "ann", "call-1", 0);
    let root = admin(&server);
    let bodies = [
        ("/agents", json!([{ "agent": "a\0b" }])),
        ("/groups", json!({ "group": "a", "parent": "\0" })),
        ("/places", json!({ "place": "a", "devices": ["\0"] })),
        ("/users", json!({ "name": "a", "role": "agent", "password": "correct\0horse" })),
        ("/tokens", json!({ "name": "a", "role": "agent", "groups": ["\0"] })),
        ("/enrolments", json!({ "place": "\0" })),
        ("/enrol", json!({ "code": "\0" })),
        ("/session", json!({ "name": "\0", "password": "\0" })),
        ("/retention", json!({ "rules": [{ "label": "\0", "days": 1 }] })),
        ("/events", json!({ "type": "call.established", "at": "2026-01-05T09:00:00Z", "call": "\0" })),
        ("/interactions/call-1/labels", json!({ "label": "a\0" })),
        ("/interactions/call-1/notes", json!({ "at_ms": 0, "text": "a\0" })),
        ("/interactions/call-1/hold", json!({ "reason": "a\0" })),
        ("/interactions/call-1/export", json!({ "recording": "r-1\0" })),
    ];
    for (path, body) in bodies {
        let answer = server.ask(&root, "POST", &format!("/api/v1{path}"), Some(body));
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
    }
    for path in
        ["/interactions?agent=%00", "/audit?subject=%00", "/audit?cursor=a%00", "/completeness?from=%00"]
    {
        assert_eq!(server.get(&root, &format!("/api/v1{path}")).status, 400, "{path}");
    }
    for path in ["/interactions/%00", "/interactions/call-1%00", "/recordings/r-1%00/movie.mp4"] {
        assert_eq!(server.get(&root, &format!("/api/v1{path}")).status, 404, "{path}");
    }
    let about: Value = json!({ "agent": "a\0b", "calls": ["\0"] });
    for path in ["/api/v1/recordings/r-2/about", "/api/v1/recordings/r-2/manifest"] {
        let answer = put(&server, &token, path, about.to_string().as_bytes());
        assert_eq!(answer.status, 409, "{}", answer.text());
        assert!(answer.text().contains("NUL"), "{}", answer.text());
    }
}
