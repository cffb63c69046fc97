//! `feed.webhook`: senders that sign or know the token are accepted, others are not, and nothing is taken
//! twice.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use super::*;
use deskreel_test_support::ports::free_port;
use deskreel_test_support::tls::Authority;

const SECRET: &[u8] = b"a secret of twenty-four.";
const TOKEN: &str = "a-sender's-token";

struct Webhook {
    folder: TempDir,
    port: u16,
    feed: Running,
}

/// A request's proof of its sender.
enum Sender<'a> {
    /// The id of the message, and the error of the sender's clock in seconds.
    Signed(&'a str, i64),
    Token(&'a str),
    Nobody,
}

impl Webhook {
    fn start() -> Webhook {
        Webhook::with(json!({}))
    }

    fn with(more: Value) -> Webhook {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("secret"), format!("whsec_{}\n", STANDARD.encode(SECRET))).unwrap();
        fs::write(path("token"), TOKEN).unwrap();
        let port = free_port();
        let mut settings = json!({
            "listen": format!("127.0.0.1:{port}"), "secret_file": path("secret"), "token_file": path("token"),
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let feed = start("webhook", settings);
        feed.expect_state("live");
        Webhook { folder, port, feed }
    }

    fn connect(&self) -> TcpStream {
        connect(self.port)
    }

    fn post(&self, sender: Sender<'_>, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        exchange(self.connect(), &request("POST", "/events", sender, &body))
    }

    fn send(&self, text: &str) -> (u16, Value) {
        exchange(self.connect(), text)
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn request(method: &str, path: &str, sender: Sender<'_>, body: &str) -> String {
    let head = match sender {
        Sender::Nobody => String::new(),
        Sender::Token(token) => format!("Authorization: Bearer {token}\r\n"),
        Sender::Signed(id, wrong) => {
            let at = jiff::Timestamp::now().as_second() + wrong;
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
            let signature = hmac::sign(&key, format!("{id}.{at}.{body}").as_bytes());
            let signature = STANDARD.encode(signature);
            format!("webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{signature}\r\n")
        }
    };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: feed\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The status and the JSON of the answer.
fn exchange(mut stream: impl Read + Write, text: &str) -> (u16, Value) {
    // A server that refuses a body need not read it.
    let _ = stream.write_all(text.as_bytes());
    let mut reader = BufReader::new(stream);
    let mut status = String::new();
    reader.read_line(&mut status).unwrap();
    let mut rest = String::new();
    let _ = reader.read_to_string(&mut rest);
    let json = rest.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(json).unwrap_or(Value::Null))
}

fn taken(number: u64) -> Value {
    json!({ "taken": number, "doubled": 0, "refused": [] })
}

#[test]
fn one_event_and_many_at_once_are_taken_in_order() {
    let webhook = Webhook::start();
    assert_eq!(webhook.post(Sender::Signed("a", 0), &call(1)), (200, taken(1)));
    let many: Vec<Value> = (2..=200).map(call).collect();
    assert_eq!(webhook.post(Sender::Signed("b", -299), &json!(many)), (200, taken(199)));
    assert_eq!(webhook.post(Sender::Token(TOKEN), &call(201)), (200, taken(1)));
    webhook.feed.expect_calls(1..=201);
    webhook.feed.stop();
}

#[test]
fn other_senders_are_refused() {
    let webhook = Webhook::start();
    let body = call(1).to_string();
    let signed = request("POST", "/events", Sender::Signed("a", 0), &body);
    let other_body = signed.replace("\"agent\":\"ann\"", "\"agent\":\"bob\"");
    assert_ne!(signed, other_body);
    for text in [
        request("POST", "/events", Sender::Nobody, &body),
        request("POST", "/events", Sender::Token("a-sender's-toke"), &body),
        request("POST", "/events", Sender::Signed("a", -301), &body),
        request("POST", "/events", Sender::Signed("a", 301), &body),
        signed.replace("webhook-id: a", "webhook-id: b"),
        signed.replace("v1,", "v1,A"),
        other_body,
    ] {
        let (status, problem) = webhook.send(&text);
        assert_eq!(status, 401, "{text}");
        assert!(problem["title"].is_string(), "{problem}");
    }
    webhook.feed.expect_nothing_for(Duration::from_millis(50));
    assert_eq!(webhook.send(&signed).0, 200);
    webhook.feed.stop();
}

#[test]
fn a_renewed_secret_is_used_at_once() {
    let webhook = Webhook::start();
    fs::write(webhook.folder.path().join("secret"), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    assert_eq!(webhook.post(Sender::Signed("a", 0), &call(1)).0, 401);
    fs::write(webhook.folder.path().join("token"), "new").unwrap();
    assert_eq!(webhook.post(Sender::Token(TOKEN), &call(1)).0, 401);
    assert_eq!(webhook.post(Sender::Token("new"), &call(1)).0, 200);
    fs::remove_file(webhook.folder.path().join("token")).unwrap();
    assert_eq!(webhook.post(Sender::Token("new"), &call(1)).0, 503);
    webhook.feed.expect_calls(1..=1);
    webhook.feed.stop();
}

#[test]
fn repeated_events_are_taken_once() {
    let webhook = Webhook::start();
    let text = request("POST", "/events", Sender::Signed("a", 0), &json!([call(1), call(2)]).to_string());
    assert_eq!(webhook.send(&text), (200, taken(2)));
    let doubled = json!({ "taken": 0, "doubled": 2, "refused": [] });
    assert_eq!(webhook.send(&text), (200, doubled), "by the id of the message");

    let with_id = |number: u64, id: &str| {
        let mut event = call(number);
        event["id"] = json!(id);
        event
    };
    assert_eq!(webhook.post(Sender::Signed("b", 0), &with_id(3, "x")).0, 200);
    let (_, counts) = webhook.post(Sender::Signed("c", 0), &json!([with_id(3, "x"), with_id(4, "y")]));
    assert_eq!(counts, json!({ "taken": 1, "doubled": 1, "refused": [] }), "by the id of the event");
    webhook.feed.expect_calls(1..=4);
    webhook.feed.stop();
}

/// A sender does not know whether its request arrived, and repeats it.
#[test]
fn concurrent_copies_of_a_request_are_taken_once() {
    let webhook = Webhook::start();
    let many: Vec<Value> = (1..=50).map(call).collect();
    let text = request("POST", "/events", Sender::Signed("a", 0), &json!(many).to_string());
    let (port, text) = (webhook.port, &text);
    let takens: u64 = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..20).map(|_| scope.spawn(move || exchange(connect(port), text))).collect();
        let answers = senders.into_iter().map(|sender| sender.join().unwrap());
        answers
            .inspect(|answer| assert_eq!(answer.0, 200))
            .map(|answer| answer.1["taken"].as_u64().unwrap())
            .sum()
    });
    assert_eq!(takens, 50);
    webhook.feed.expect_calls(1..=50);
    webhook.feed.stop();
}

#[test]
fn invalid_events_are_reported_and_the_others_are_taken() {
    let webhook = Webhook::start();
    let held = json!({ "type": "call.held", "at": "2026-01-05T09:00:00.000Z", "agent": "ann" });
    let with = |field: &str, value: Value| {
        let mut event = call(3);
        event[field] = value;
        event
    };
    let wrong = [
        (json!(7), "not an object"),
        (json!({ "type": "x", "at": "noon" }), "noon"),
        (json!({ "type": "x" }), "at"),
        (held, "call"),
        (with("attached", json!([1])), "attached"),
        (with("agent", json!(3)), "integer"),
        (with("type", json!("timer")), "timer"),
    ];
    let mut batch = vec![call(1)];
    batch.extend(wrong.iter().map(|(event, _)| event.clone()));
    batch.push(call(2));
    let (status, counts) = webhook.post(Sender::Token(TOKEN), &json!(batch));
    assert_eq!((status, counts["taken"].as_u64()), (422, Some(2)), "{counts}");
    for (index, (event, reason)) in wrong.iter().enumerate() {
        let refused = &counts["refused"][index];
        assert_eq!(refused["index"], json!(index + 1), "{counts}");
        assert!(refused["title"].as_str().unwrap().contains(reason), "{event}: {refused}");
        assert_eq!(webhook.post(Sender::Token(TOKEN), event).0, 422, "{event}");
    }
    assert_eq!(webhook.post(Sender::Token(TOKEN), &json!([])), (200, taken(0)));
    assert_eq!(webhook.send(&request("POST", "/events", Sender::Token(TOKEN), "{")).0, 400);
    webhook.feed.expect_calls(1..=2);
    webhook.feed.stop();
}

#[test]
fn limits_hold() {
    let webhook = Webhook::with(json!({ "max_body": 2048 }));
    let long = "x".repeat(3000);
    assert_eq!(webhook.send(&request("POST", "/events", Sender::Token(TOKEN), &long)).0, 413);
    let chunked = format!(
        "POST /events HTTP/1.1\r\nHost: feed\r\nAuthorization: Bearer {TOKEN}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nbb8\r\n{long}\r\n0\r\n\r\n"
    );
    assert_eq!(webhook.send(&chunked).0, 413);
    // A client that writes all of it before it reads gets the answer.
    let huge = request("POST", "/events", Sender::Token(TOKEN), &"x".repeat(10 << 20));
    let mut stream = webhook.connect();
    stream.write_all(huge.as_bytes()).unwrap();
    assert_eq!(exchange(stream, "").0, 413);
    assert_eq!(webhook.send(&request("POST", "/", Sender::Token(TOKEN), "{}")).0, 404);
    assert_eq!(webhook.send(&request("POST", "/events/../events", Sender::Token(TOKEN), "{}")).0, 404);
    assert_eq!(webhook.send(&request("GET", "/events", Sender::Token(TOKEN), "")).0, 405);
    webhook.feed.expect_nothing_for(Duration::from_millis(50));
    webhook.feed.stop();
}

#[test]
fn slow_senders_are_disconnected_and_hold_up_no_other() {
    let webhook = Webhook::start();
    let mut silent = webhook.connect();
    let mut slow = webhook.connect();
    let head = "POST /events HTTP/1.1\r\nHost: feed\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).unwrap();
    let began = Instant::now();
    assert_eq!(webhook.post(Sender::Token(TOKEN), &call(1)).0, 200);
    assert!(began.elapsed() < Duration::from_secs(2));
    webhook.feed.expect_calls(1..=1);
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert_eq!(silent.read(&mut answer).unwrap_or(0), 0, "closed");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    webhook.feed.stop();
}

#[test]
fn with_a_certificate_https_is_spoken_and_nothing_else() {
    let authority = Authority::new();
    let webhook = Webhook::with(json!({ "certificate": authority.certificate, "key": authority.key }));
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&authority.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = StreamOwned::new(connection, webhook.connect());
    let text = request("POST", "/events", Sender::Token(TOKEN), &call(1).to_string());
    assert_eq!(exchange(stream, &text), (200, taken(1)));
    webhook.feed.expect_calls(1..=1);

    let mut plain = webhook.connect();
    plain.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    webhook.feed.stop();
}

#[test]
fn a_stopped_feed_does_not_listen_and_can_be_started_again() {
    let mut webhook = Webhook::start();
    let idle = webhook.connect();
    webhook.feed.plugin.stop_feed().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", webhook.port)).is_err());
    drop(idle);
    webhook.feed.plugin.start_feed().unwrap();
    webhook.feed.expect_state("live");
    assert_eq!(webhook.post(Sender::Token(TOKEN), &call(1)).0, 200);
    webhook.feed.expect_calls(1..=1);
    webhook.feed.stop();
}

#[test]
fn settings_that_would_admit_any_sender_or_expose_secrets_are_refused() {
    let error = |settings: Value| match open("webhook", settings) {
        Ok(mut feed) => feed.plugin.start_feed().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let listen = format!("127.0.0.1:{}", free_port());
    assert!(error(json!({ "listen": listen })).contains("secret_file"));
    assert!(error(json!({ "listen": "0.0.0.0:9443", "token_env": "TOKEN" })).contains("plain_http"));
    assert!(error(json!({ "listen": listen, "token_env": "NO_SUCH_VARIABLE" })).contains("NO_SUCH_VARIABLE"));
    assert!(error(json!({ "listen": listen, "token_env": "PATH", "key": "k" })).contains("certificate"));
    assert!(error(json!({ "listen": listen, "secret_env": "PATH" })).contains("whsec_"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(error(json!({ "listen": address, "token_env": "PATH" })).contains("in use"));
}
