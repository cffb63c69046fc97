//! Uploads are kept as docs/server-api.md says, both from the shipped `sink.upload` and by hand.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use deskreel_contract::Answer as Delivered;
use deskreel_host::{HostCallbacks, LOAD_LIMIT, Plugin, examine, load_with_deadline};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use deskreel_test_support::paths::plugin;
use deskreel_test_support::sealed_recording::{ID, SealedRecording};
use deskreel_test_support::server::{Answer, Server, Who};
use deskreel_test_support::upload_server::hex;

/// The upload sink of a recorder with this token, which it reads from that folder.
pub fn sink(url: &str, token: &str, folder: &Path) -> Plugin {
    let file = folder.join("token");
    fs::write(&file, token).unwrap();
    let library = load_with_deadline(&examine(&plugin("sink_upload")), LOAD_LIMIT);
    let library = library.unwrap_or_else(|wrong| panic!("{wrong}"));
    let settings = json!({ "server": url, "token_file": file, "timeout": "5s" });
    library.create("sink.upload", &settings, HostCallbacks::default()).unwrap()
}

pub fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(bytes)))
}

/// A `PUT` with a correct digest.
pub fn put(server: &Server, token: &str, path: &str, body: &[u8]) -> Answer {
    put_as(server, token, path, body, &digest(body))
}

fn put_as(server: &Server, token: &str, path: &str, body: &[u8], digest: &str) -> Answer {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), body).unwrap();
    let (data, header) = (format!("@{}", file.path().display()), format!("Content-Digest: {digest}"));
    server.curl(&Who::Token(token.to_owned()), "PUT", path, &["-H", &header, "--data-binary", &data])
}

fn fragment(number: u32) -> String {
    format!("/api/v1/recordings/{ID}/tracks/video/parts/1/fragments/{number}")
}

#[test]
fn a_recording_arrives_byte_for_byte_and_survives_a_restart() {
    let (server, recording) = (Server::start(), SealedRecording::new());
    let token = server.enrol("seat-12");
    let mut upload = sink(&server.url, &token, server.folder.path());
    for delivery in &recording.deliveries {
        let answer = upload.fragment(delivery).unwrap().unwrap();
        assert!(matches!(answer, Delivered::Acknowledged { .. }), "{answer:?}");
    }
    let answer = upload.finish(&recording.finished()).unwrap();
    assert!(matches!(answer, Delivered::Acknowledged { .. }), "{answer:?}");

    let server = Server::in_folder(server.stop());
    let who = Who::Token(token);
    let held = server.get(&who, &format!("/api/v1/recordings/{ID}")).json();
    assert_eq!(held["closed"], true);
    let (bytes, stored) = (recording.bytes(), server.stored());
    assert_eq!(held["fragments"].as_array().unwrap().len(), bytes.len());
    for one in held["fragments"].as_array().unwrap() {
        let number = |key: &str| u32::try_from(one[key].as_u64().unwrap()).unwrap();
        let name = (one["track"].as_str().unwrap().to_owned(), number("part"), number("number"));
        assert_eq!(one["sha256"], hex(&bytes[&name]), "{name:?}");
        let object = format!("{ID}/{}", one["sha256"].as_str().unwrap());
        assert!(stored[&object] == bytes[&name], "{name:?}");
    }
}

#[test]
fn each_answer_is_the_one_that_the_document_promises() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let who = Who::Token(token.clone());
    assert_eq!(server.get(&who, &format!("/api/v1/recordings/{ID}")).status, 404);
    assert_eq!(server.curl(&who, "HEAD", &fragment(1), &[]).status, 404);

    let first = put(&server, &token, &fragment(1), b"bytes");
    assert_eq!((first.status, first.header("repr-digest")), (201, Some(digest(b"bytes").as_str())));
    let again = put(&server, &token, &fragment(1), b"bytes");
    assert_eq!((again.status, again.header("repr-digest")), (200, Some(digest(b"bytes").as_str())));
    let other = put(&server, &token, &fragment(1), b"other bytes");
    assert_eq!((other.status, other.header("content-type")), (409, Some("application/problem+json")));
    assert_eq!((other.json()["status"].clone(), other.json()["missing"].clone()), (json!(409), Value::Null));
    let torn = put_as(&server, &token, &fragment(2), b"bytes", &digest(b"bytez"));
    assert_eq!(torn.status, 400, "{torn:?}");
    assert_eq!(put_as(&server, &token, &fragment(2), b"bytes", "md5=:AAAA:").status, 400);
    assert_eq!(server.curl(&who, "HEAD", &fragment(2), &[]).status, 404, "a torn body is not kept");
    let head = server.curl(&who, "HEAD", &fragment(1), &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(head.header("repr-digest"), Some(digest(b"bytes").as_str()));

    for wrong in [Who::Nobody, Who::Token("wrong".to_owned())] {
        assert_eq!(server.curl(&wrong, "PUT", &fragment(1), &["-d", "bytes"]).status, 401);
    }
    for path in ["parts/0/fragments/1", "parts/01/fragments/1", "parts/1/fragments/-1", "parts/x/fragments/1"]
    {
        let path = format!("/api/v1/recordings/{ID}/tracks/video/{path}");
        assert_eq!(put(&server, &token, &path, b"bytes").status, 404, "{path}");
    }

    let manifest = |fragments: Value| {
        let init = json!({ "file": "init.mp4", "size": 5, "sha256": hex(b"start") });
        let part = json!({ "number": 1, "init": init, "fragments": fragments });
        let track = json!({ "name": "video", "parts": [part] });
        json!({ "schema": 1, "recording": ID, "tracks": [track] }).to_string()
    };
    let file = |number: u32, bytes: &[u8]| json!({ "number": number, "size": 5, "sha256": hex(bytes) });
    let path = format!("/api/v1/recordings/{ID}/manifest");
    let (good, differs) = (manifest(json!([file(1, b"bytes")])), manifest(json!([file(1, b"bites")])));
    let answer = put(&server, &token, &path, good.as_bytes());
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()["missing"], json!([{ "track": "video", "part": 1, "number": 0 }]));
    assert_eq!(answer.json()["title"], "1 fragment is missing");
    assert_eq!(put(&server, &token, &fragment(0), b"start").status, 201);
    let answer = put(&server, &token, &path, differs.as_bytes());
    assert_eq!((answer.status, answer.json()["missing"].clone()), (409, Value::Null));
    assert_eq!(put(&server, &token, &path, b"{}").status, 409);
    let other = good.replace(ID, "another");
    assert_eq!(put(&server, &token, &path, other.as_bytes()).status, 409);
    assert_eq!(put(&server, &token, &path, good.as_bytes()).status, 201);
    assert_eq!(put(&server, &token, &path, good.as_bytes()).status, 200);
    assert_eq!(put(&server, &token, &path, differs.as_bytes()).status, 409);
    assert_eq!(
        put(&server, &token, &fragment(1), b"bytes").status,
        200,
        "a fragment that it names may come again"
    );
    assert_eq!(put(&server, &token, &fragment(7), b"bytes").status, 409, "another may not");

    let about = format!("/api/v1/recordings/{ID}/about");
    assert_eq!(put(&server, &token, &about, b"{\"agent\":\"ann\"}").status, 201);
    assert_eq!(put(&server, &token, &about, b"{\"agent\":\"bob\"}").status, 200);
}

#[test]
fn a_stolen_token_reaches_only_the_recordings_of_its_recorder() {
    let server = Server::start();
    let (ann, thief) = (server.enrol("seat-12"), server.enrol("seat-13"));
    assert_eq!(put(&server, &ann, &fragment(1), b"bytes").status, 201);
    let who = Who::Token(thief.clone());
    for body in [b"bytes", b"other"] {
        assert_eq!(put(&server, &thief, &fragment(1), body).status, 403);
        assert_eq!(put(&server, &thief, &fragment(2), body).status, 403);
    }
    assert_eq!(server.curl(&who, "HEAD", &fragment(1), &[]).status, 403);
    assert_eq!(server.get(&who, &format!("/api/v1/recordings/{ID}")).status, 403);
    assert_eq!(put(&server, &thief, &format!("/api/v1/recordings/{ID}/about"), b"{}").status, 403);
    assert_eq!(put(&server, &thief, &format!("/api/v1/recordings/{ID}/manifest"), b"{}").status, 403);

    let listed = server.command(&["recorder", "list", "FILE"], "");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let id = listed.lines().find(|line| line.ends_with("seat-12")).unwrap().split(' ').next().unwrap();
    let rotated = server.command(&["recorder", "rotate", "FILE", id], "");
    let rotated = String::from_utf8(rotated.stdout).unwrap().trim().to_owned();
    assert_eq!(put(&server, &ann, &fragment(1), b"bytes").status, 401, "the previous token is invalid");
    assert_eq!(put(&server, &rotated, &fragment(1), b"bytes").status, 200);
    server.command(&["recorder", "revoke", "FILE", id], "");
    assert_eq!(put(&server, &rotated, &fragment(1), b"bytes").status, 401);
}

#[test]
fn names_lead_nowhere_else() {
    let server = Server::start();
    let token = server.enrol("seat-12");
    let names =
        ["..", "%2e%2e", "..%2f..%2fetc", "a%2fb", "a%00b", ".hidden", "a%5cb", "%ff", "a'--", "", "%20"];
    for name in names {
        for path in [
            format!("/api/v1/recordings/{name}/about"),
            format!("/api/v1/recordings/{name}/manifest"),
            format!("/api/v1/recordings/{name}/tracks/video/parts/1/fragments/1"),
        ] {
            let status = put(&server, &token, &path, b"{}").status;
            assert!([400, 404, 405].contains(&status), "{status} {path}");
        }
        let status = put(&server, &token, &fragment(1).replace("video", name), b"bytes").status;
        // A track may have almost any name: no path is made of it.
        assert!([201, 200, 409, 400, 404, 405].contains(&status), "{status} {name}");
    }
    let objects: Vec<String> = server.stored().into_keys().collect();
    assert!(
        !objects.is_empty() && objects.iter().all(|name| name.starts_with(&format!("{ID}/"))),
        "{objects:?}"
    );
    assert!(fs::read_dir(server.folder.path()).unwrap().count() <= 5);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let server = Server::start_with("largest_upload = \"1MB\"\nquota = \"10MB\"\n");
    let token = server.enrol("seat-12");
    let host = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "PUT {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 99999999999999\r\n\
         Content-Digest: {}\r\n\r\n",
        fragment(1),
        digest(b"")
    )
    .unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");

    let megabyte = vec![7; 1_000_000];
    let statuses: Vec<u16> =
        (1..=11).map(|number| put(&server, &token, &fragment(number), &megabyte).status).collect();
    assert_eq!(statuses, [vec![201; 10], vec![507]].concat(), "the quota");
}
