//! Every route, called by every kind of caller: those who are allowed get an answer, the others none, and
//! hidden objects look absent.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::ingest::{digest, put};
use crate::people::{admin, upload};
use deskreel_test_support::server::{Server, Who};

/// The callers that a route allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Anybody,
    /// The recorder that uploaded it.
    Recorder,
    /// Recorders, and people who see Ann's interactions.
    RecorderOrSeer,
    Seer,
    /// People who see Ann's interactions, except agents.
    Changer,
    Person,
    /// Supervisors and administrators.
    Lead,
    Administrator,
}

use May::{Administrator, Anybody, Changer, Lead, Person, RecorderOrSeer, Seer};

/// The routes: method, path in the document, path of the request, body, status if allowed, who is allowed.
fn routes() -> Vec<(&'static str, &'static str, String, Value, u16, May)> {
    let of = |rest: &str| format!("/interactions/call-1{rest}");
    let recording = |rest: &str| format!("/recordings/r-1{rest}");
    let fragment = "/recordings/{recording}/tracks/{track}/parts/{part}/fragments/{number}";
    let route = |text: &str| text.to_owned();
    let clip = json!({ "recording": "r-1" });
    let about = json!({ "agent": "ann", "calls": ["call-1"], "interactions": ["call-1"] });
    vec![
        ("get", "/health", route("/health"), Value::Null, 200, Anybody),
        ("get", "/openapi.json", route("/openapi.json"), Value::Null, 200, Anybody),
        ("post", "/enrol", route("/enrol"), json!({ "code": "wrong" }), 403, Anybody),
        ("put", "/recordings/{recording}/about", recording("/about"), about, 200, May::Recorder),
        ("put", "/recordings/{recording}/manifest", recording("/manifest"), json!({}), 409, May::Recorder),
        ("put", "/recordings/{recording}/file", recording("/file"), json!({}), 409, May::Recorder),
        ("put", fragment, recording("/tracks/video/parts/1/fragments/9"), json!({}), 409, May::Recorder),
        ("get", fragment, recording("/tracks/video/parts/1/fragments/1"), Value::Null, 200, Seer),
        ("head", fragment, recording("/tracks/video/parts/1/fragments/1"), Value::Null, 200, RecorderOrSeer),
        ("get", "/recordings/{recording}", recording(""), Value::Null, 200, RecorderOrSeer),
        ("get", "/link", route("/link"), Value::Null, 400, May::Recorder),
        ("get", "/session", route("/session"), Value::Null, 200, Person),
        ("get", "/interactions", route("/interactions"), Value::Null, 200, Person),
        ("get", "/interactions/{interaction}", of(""), Value::Null, 200, Seer),
        (
            "get",
            "/recordings/{recording}/hls/{playlist}",
            recording("/hls/video.m3u8"),
            Value::Null,
            200,
            Seer,
        ),
        // It is noise, not a video.
        ("get", "/recordings/{recording}/movie.mp4", recording("/movie.mp4"), Value::Null, 422, Seer),
        ("post", "/interactions/{interaction}/export", of("/export"), clip, 422, Seer),
        (
            "post",
            "/interactions/{interaction}/notes",
            of("/notes"),
            json!({ "at_ms": 0, "text": "n" }),
            201,
            Seer,
        ),
        ("post", "/interactions/{interaction}/labels", of("/labels"), json!({ "label": "l" }), 201, Changer),
        ("delete", "/interactions/{interaction}/labels/{label}", of("/labels/l"), Value::Null, 204, Changer),
        ("post", "/interactions/{interaction}/hold", of("/hold"), json!({ "reason": "r" }), 201, Changer),
        ("delete", "/interactions/{interaction}/hold", of("/hold"), Value::Null, 204, Administrator),
        ("get", "/live", route("/live"), Value::Null, 200, Person),
        ("get", "/agents", route("/agents"), Value::Null, 200, Person),
        ("post", "/agents", route("/agents"), json!({ "agent": "zoe" }), 204, Administrator),
        ("get", "/groups", route("/groups"), Value::Null, 200, Person),
        ("post", "/groups", route("/groups"), json!({ "group": "new" }), 204, Administrator),
        ("get", "/places", route("/places"), Value::Null, 200, Administrator),
        ("post", "/places", route("/places"), json!({ "place": "seat-99" }), 204, Administrator),
        ("get", "/completeness", route("/completeness"), Value::Null, 200, Lead),
        ("get", "/users", route("/users"), Value::Null, 200, Administrator),
        (
            "post",
            "/users",
            route("/users"),
            json!({ "name": "new", "role": "administrator", "password": "correct horse" }),
            201,
            Administrator,
        ),
        ("delete", "/users/{name}", route("/users/new"), Value::Null, 204, Administrator),
        ("post", "/tokens", route("/tokens"), json!({ "name": "p", "role": "agent" }), 201, Administrator),
        ("post", "/enrolments", route("/enrolments"), json!({ "place": "seat-1" }), 201, Administrator),
        ("get", "/recorders", route("/recorders"), Value::Null, 200, Administrator),
        ("get", "/identities", route("/identities"), Value::Null, 200, Administrator),
        (
            "post",
            "/identities",
            route("/identities"),
            json!({ "kind": "device", "name": "4711", "agent": "zoe" }),
            204,
            Administrator,
        ),
        ("get", "/retention", route("/retention"), Value::Null, 200, Administrator),
        ("post", "/retention", route("/retention"), json!({ "rules": [] }), 200, Administrator),
        ("post", "/retention/sweep", route("/retention/sweep"), Value::Null, 200, Administrator),
        ("get", "/audit", route("/audit"), Value::Null, 200, Administrator),
        ("post", "/events", route("/events"), json!([]), 202, Administrator),
        ("get", "/metrics", route("/metrics"), Value::Null, 200, Administrator),
        // None of these exists.
        ("delete", "/interactions/{interaction}/notes/{note}", of("/notes/none"), Value::Null, 404, Seer),
        ("delete", "/tokens/{id}", route("/tokens/none"), Value::Null, 404, Administrator),
        ("delete", "/recorders/{recorder}", route("/recorders/none"), Value::Null, 404, Administrator),
        ("delete", "/interactions/{interaction}", of(""), Value::Null, 204, Administrator),
    ]
}

/// A caller.
struct Caller {
    name: &'static str,
    who: Who,
    is_agent: bool,
    sees_ann: bool,
}

fn expected(caller: &Caller, may: May, good: u16) -> u16 {
    let sees = if caller.sees_ann { good } else { 404 };
    match (may, caller.name) {
        (Anybody, _) => good,
        (_, "nobody" | "revoked") => 401,
        (May::Recorder | RecorderOrSeer, "recorder") => good,
        (May::Recorder, _) | (_, "recorder") => 403,
        (RecorderOrSeer | Seer, _) => sees,
        (Changer | Lead, _) if caller.is_agent => 403,
        (Changer, _) => sees,
        (Person | Lead, _) => good,
        (Administrator, "root") => good,
        (Administrator, _) => 403,
    }
}

#[test]
fn each_route_answers_allowed_callers_only() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    upload(&server, &token, "r-1", "ann", "call-1", 0);
    let root = admin(&server);
    let directory = server.folder.path().join("directory.toml");
    let text = "groups = [{ group = \"all\" }, { group = \"sales\", parent = \"all\" }, { group = \"service\", parent = \"all\" }]\n\
                agents = [{ agent = \"ann\", group = \"sales\" }, { agent = \"bob\", group = \"service\" }]\n";
    std::fs::write(&directory, text).unwrap();
    let output = server.command(&["import", "FILE", directory.to_str().unwrap()], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let revoked = server.enrol("seat-13");
    let listed = server.command(&["recorder", "list", "FILE"], "");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let id = listed.lines().find(|line| line.ends_with("seat-13")).unwrap().split(' ').next().unwrap();
    server.command(&["recorder", "revoke", "FILE", id], "");

    let mut callers = vec![
        Caller { name: "nobody", who: Who::Nobody, is_agent: false, sees_ann: false },
        Caller { name: "revoked", who: Who::Token(revoked), is_agent: false, sees_ann: false },
        Caller { name: "recorder", who: Who::Token(token), is_agent: false, sees_ann: false },
    ];
    for (name, role, more, sees_ann) in [
        ("ann", "agent", ["--agent", "ann"], true),
        ("bob", "agent", ["--agent", "bob"], false),
        ("head-of-sales", "supervisor", ["--group", "sales"], true),
        ("head-of-all", "supervisor", ["--group", "all"], true),
        ("head-of-service", "supervisor", ["--group", "service"], false),
    ] {
        server.add_user(name, &[&["--role", role], &more[..]].concat());
        callers.push(Caller { name, who: server.log_in(name), is_agent: role == "agent", sees_ann });
    }
    callers.push(Caller { name: "root", who: root, is_agent: false, sees_ann: true });

    let routes = routes();
    let mut wrong = Vec::new();
    for caller in &callers {
        for (method, _, path, body, good, may) in &routes {
            let path = format!("/api/v1{path}");
            let text = body.to_string();
            let digest = format!("Content-Digest: {}", digest(text.as_bytes()));
            let mut more = Vec::new();
            if !body.is_null() {
                more.extend(["-H", "Content-Type: application/json", "-H", &digest, "--data-binary", &text]);
            }
            let answer = server.curl(&caller.who, &method.to_uppercase(), &path, &more);
            let expected = expected(caller, *may, *good);
            if answer.status != expected {
                wrong.push(format!("{} {method} {path}: {} and not {expected}", caller.name, answer.status));
            }
            if answer.status >= 400
                && answer.header("content-type") != Some("application/problem+json")
                && *good != 400
            {
                wrong.push(format!("{} {method} {path}: {} is no problem", caller.name, answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // All routes are covered, except log-in and log-out.
    let document = server.get(&Who::Nobody, "/api/v1/openapi.json").json();
    let paths = document["paths"].as_object().unwrap().iter();
    let documented: BTreeSet<String> = paths
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
        })
        .filter(|route| route != "post /session" && route != "delete /session")
        .collect();
    let asked: BTreeSet<String> =
        routes.iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    assert_eq!(asked, documented);
}

#[test]
fn a_session_changes_nothing_without_its_csrf_token_and_ends_when_asked() {
    let server = Server::start();
    server.enrol("seat-12");
    let root = admin(&server);
    let Who::Session { cookie, .. } = &root else { panic!("a session") };
    let forged = Who::Session { cookie: cookie.clone(), csrf: "guessed".to_owned() };
    let place = json!({ "place": "seat-1" });
    assert_eq!(server.ask(&forged, "POST", "/api/v1/places", Some(place.clone())).status, 403);
    assert_eq!(server.ask(&root, "POST", "/api/v1/places", Some(place)).status, 204);
    // A page of another site can send this without permission, but it is not JSON.
    let form = ["-H", "Content-Type: text/plain", "-d", "{\"place\":\"seat-2\"}"];
    assert_eq!(server.curl(&root, "POST", "/api/v1/places", &form).status, 415);
    assert_eq!(server.ask(&root, "DELETE", "/api/v1/session", None).status, 204);
    assert_eq!(server.get(&root, "/api/v1/session").status, 401);
}

#[test]
fn a_code_enrols_one_recorder_once() {
    let server = Server::start();
    let root = admin(&server);
    let answer = server.ask(&root, "POST", "/api/v1/enrolments", Some(json!({ "place": "seat-7" }))).json();
    let body = json!({ "code": answer["code"] });
    let enrolled = server.ask(&Who::Nobody, "POST", "/api/v1/enrol", Some(body.clone()));
    assert_eq!((enrolled.status, &enrolled.json()["place"]), (201, &json!("seat-7")));
    assert_eq!(server.ask(&Who::Nobody, "POST", "/api/v1/enrol", Some(body)).status, 403, "used");
    let token = enrolled.json()["token"].as_str().unwrap().to_owned();
    upload(&server, &token, "r-9", "ann", "call-9", 0);
    let seen = server.get(&root, "/api/v1/interactions/call-9");
    assert_eq!(seen.status, 200, "{}", seen.text());
    // Looks are in the audit log.
    let log = server.get(&root, "/api/v1/audit?subject=call-9").json();
    assert_eq!((&log["entries"][0]["who"], &log["entries"][0]["what"]), (&json!("root"), &json!("saw")));
}

#[test]
fn retention_deletes_what_is_due_unless_it_is_on_hold() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    for (id, call) in [("r-1", "call-1"), ("r-2", "call-2"), ("r-3", "call-3")] {
        upload(&server, &token, id, "ann", call, 0);
    }
    let root = admin(&server);
    let ask =
        |path: &str, body: Value| server.ask(&root, "POST", &format!("/api/v1{path}"), Some(body)).json();
    ask("/interactions/call-2/hold", json!({ "reason": "court" }));
    ask("/interactions/call-3/labels", json!({ "label": "keep" }));
    let rules = json!([{ "label": "keep", "days": 36500 }, { "days": 30 }]);
    let due = |answer: &Value| {
        let due = answer["due"].as_array().unwrap().iter();
        due.map(|one| one["interaction"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let dry = ask("/retention", json!({ "rules": rules, "dry_run": true }));
    assert_eq!(due(&dry), ["call-1"]);
    assert_eq!(server.get(&root, "/api/v1/retention").json()["rules"], json!([]), "nothing was changed");
    ask("/retention", json!({ "rules": rules }));
    assert_eq!(ask("/retention/sweep", json!({}))["deleted"], 1);
    let left = server.get(&root, "/api/v1/interactions").json();
    let left: Vec<_> =
        left["interactions"].as_array().unwrap().iter().map(|one| one["interaction"].clone()).collect();
    assert_eq!(left, ["call-3", "call-2"]);
    assert_eq!(server.get(&root, "/api/v1/completeness").json()["uploaded"], 3);
}

#[test]
fn a_hold_also_keeps_what_arrives_late() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    upload(&server, &token, "r-1", "ann", "call-1", 0);
    upload(&server, &token, "r-2", "ann", "call-2", 0);
    let root = admin(&server);
    let ask =
        |path: &str, body: Value| server.ask(&root, "POST", &format!("/api/v1{path}"), Some(body)).json();
    ask("/interactions/call-1/hold", json!({ "reason": "court" }));
    // The recorder changes its `about`: the interaction has no segment any more, and is removed.
    let about = json!({ "agent": "ann", "calls": ["call-9"], "interactions": ["call-9"] }).to_string();
    assert_eq!(put(&server, &token, "/api/v1/recordings/r-1/about", about.as_bytes()).status, 200);
    assert_eq!(server.get(&root, "/api/v1/interactions/call-1").status, 404);
    ask("/retention", json!({ "rules": [{ "days": 30 }] }));
    upload(&server, &token, "r-3", "ann", "call-1", 5);
    assert_eq!(ask("/retention/sweep", json!({}))["deleted"], 2);
    let found = server.get(&root, "/api/v1/interactions").json();
    let left: Vec<_> =
        found["interactions"].as_array().unwrap().iter().map(|one| one["interaction"].clone()).collect();
    assert_eq!(left, ["call-1"]);
    assert_eq!(server.get(&root, "/api/v1/recordings/r-3").status, 200);
    let gone = server.ask(&root, "DELETE", "/api/v1/interactions/call-1", None);
    assert_eq!(gone.status, 409, "{gone:?}");
}
