//! Independent judges of the API: Schemathesis sends every operation of the OpenAPI document valid and
//! invalid requests, as each kind of caller, and compares each answer with the document.
//!
//! It comes from script/pip-packages.txt, which `script/setup` installs below `target/python`. Without it,
//! the tests report that they were skipped.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::people::{admin, upload};
use deskreel_test_support::paths::python_program;
use deskreel_test_support::server::{Server, Who};

/// Reasons to refuse a request that is valid by its schema: a cursor must come from a page, a recording must
/// belong to the interaction, an event needs what its type needs, a file must be one, and an integer must not
/// be written as 73.0. NUL, which no text here may contain, is tested in tests/server/attacks.rs.
const SETTINGS: &str = r#"
[generation]
allow-x00 = false

[[operations]]
include-operation-id = "findInteractions"
parameters = { cursor = "OTk5OTk5OTk5OTk5OTo" }

[[operations]]
include-operation-id = ["addNote", "exportClip", "tellEvents", "setRetention", "putFile"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 422]
checks.negative_data_rejection.expected-statuses = [400, 401, 403, 404, 413, 415, 422]

[[operations]]
include-operation-id = ["getPlaylist", "getMovie"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 422]
"#;

/// Adds to each upload the digest of its generated body; otherwise nothing after the digest check would be
/// tested.
const DIGEST: &str = r#"
import base64, hashlib, re, requests, schemathesis

class ContentDigest(requests.auth.AuthBase):
    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        given = request.headers.get("Content-Digest", "")
        if isinstance(given, bytes):
            given = given.decode("latin-1")
        if request.method == "PUT" and isinstance(body, bytes) and re.fullmatch(r"sha-256=:[A-Za-z0-9+/]{43}=:", given):
            digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
            request.headers["Content-Digest"] = f"sha-256=:{digest}:"
        return request

schemathesis.auth.set_from_requests(ContentDigest())
"#;

/// Left out: the link is not HTTP, and log-out ends the session.
const NOT_JUDGED: [&str; 4] = ["--exclude-operation-id", "openLink", "--exclude-operation-id", "logOut"];

/// False: Schemathesis is not installed.
fn schemathesis(server: &Server, who: &Who, more: &[&str]) -> bool {
    let schemathesis = python_program("schemathesis");
    if !schemathesis.exists() {
        eprintln!("skipped: there is no {}; run script/setup", schemathesis.display());
        return false;
    }
    let headers = match who {
        Who::Nobody => vec![],
        Who::Token(token) => vec![format!("Authorization: Bearer {token}")],
        Who::Session { cookie, csrf } => vec![format!("Cookie: {cookie}"), format!("X-CSRF-Token: {csrf}")],
    };
    fs::write(server.folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    fs::write(server.folder.path().join("digest.py"), DIGEST).unwrap();
    let output = Command::new(schemathesis)
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", server.url))
        .args(["--url", &format!("{}/api/v1", server.url)])
        .args(headers.iter().flat_map(|header| ["--header", header]))
        // The same requests each time, so that findings are repeatable.
        .args(["--seed", "1", "--max-examples", "15", "--no-color", "--suppress-health-check", "all"])
        .args(NOT_JUDGED)
        .args(more)
        .env("SCHEMATHESIS_HOOKS", "digest")
        .env("PYTHONPATH", server.folder.path())
        .current_dir(server.folder.path())
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    println!("{text}");
    true
}

/// A server with something to read for each route: the objects in the document's examples exist.
fn furnished() -> (Server, String, Who) {
    let server = Server::start();
    let recorder = server.enrol("seat-12");
    for number in 1..4 {
        upload(&server, &recorder, &format!("r-{number}"), "ann", &format!("call-{number}"), 5 * number);
    }
    let root = admin(&server);
    let ask = |path: &str, body: Value| {
        let answer = server.ask(&root, "POST", &format!("/api/v1{path}"), Some(body));
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    };
    ask("/groups", json!([{ "group": "all" }, { "group": "sales", "parent": "all" }]));
    ask("/agents", json!({ "agent": "ann", "group": "sales", "devices": ["1001"] }));
    ask("/places", json!({ "place": "seat-12", "devices": ["1001"] }));
    ask("/interactions/call-1/labels", json!({ "label": "training" }));
    ask("/interactions/call-1/notes", json!({ "at_ms": 1500, "recording": "r-1", "text": "Well said." }));
    ask("/interactions/call-2/hold", json!({ "reason": "court" }));
    ask("/retention", json!({ "rules": [{ "label": "keep", "days": 36500 }] }));
    (server, recorder, root)
}

/// The token of a program.
fn program(server: &Server, root: &Who, role: &str) -> Who {
    let program = json!({ "name": "judge", "role": role, "groups": ["all"] });
    let answer = server.ask(root, "POST", "/api/v1/tokens", Some(program));
    assert_eq!(answer.status, 201, "{answer:?}");
    Who::Token(answer.json()["token"].as_str().unwrap().to_owned())
}

#[test]
fn schemathesis_finds_nothing_as_an_administrator() {
    let (server, _, root) = furnished();
    let who = program(&server, &root, "administrator");
    schemathesis(&server, &who, &[]);
}

#[test]
fn schemathesis_finds_nothing_with_the_session_of_a_supervisor() {
    let (server, ..) = furnished();
    server.add_user("head", &["--role", "supervisor", "--group", "all"]);
    let who = server.log_in("head");
    schemathesis(&server, &who, &[]);
}

#[test]
fn schemathesis_finds_nothing_as_a_recorder() {
    let (server, recorder, root) = furnished();
    let uploads = || {
        let metrics = server.get(&root, "/api/v1/metrics").text();
        let line = metrics.lines().find(|line| line.starts_with("deskreel_server_uploads_total")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = uploads();
    if schemathesis(&server, &Who::Token(recorder), &["--include-tag", "recorder"]) {
        assert!(uploads() > before, "no upload was accepted");
    }
}

#[test]
fn schemathesis_finds_nothing_without_a_session() {
    let (server, ..) = furnished();
    schemathesis(&server, &Who::Nobody, &["--phases", "examples,coverage"]);
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = Server::start().get(&Who::Nobody, "/api/v1/openapi.json").json();
    let (mut open, mut followed) = (vec![&document], 0);
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
                    followed += 1;
                }
                open.extend(members.values());
            }
            Value::Array(elements) => open.extend(elements),
            _ => {}
        }
    }
    assert!(followed > 400, "{followed}");
}
