//! Links of malicious recorders: answers that come twice or for another recorder's command, repeated
//! messages, recordings of others. The recorder's end is written by hand here, since deskreel's sends none of
//! this. docs/link.md has the messages.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::people::{admin, upload};
use deskreel_test_support::server::{Server, Who};

const PATIENCE: Duration = Duration::from_secs(30);
/// A recording that another recorder has made.
const OLD: &str = "20260105T090000Z-000007";

/// One connection of a recorder: a WebSocket of texts, masked with zeros.
pub struct Line(TcpStream);

impl Line {
    pub fn open(server: &Server, token: &str) -> Line {
        let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "GET /api/v1/link HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Line(stream)
    }

    /// Opens a link with this status. Also returns the server's messages.
    pub fn greet(server: &Server, token: &str, stream: &str, status: Value) -> (Line, Vec<Value>) {
        let mut line = Line::open(server, token);
        line.say(json!({
            "type": "hello", "version": 1, "program": "0", "recorder": "pc", "place": "ignored", "stream": stream, "first": 1,
            "status": status,
        }));
        let said = line.settle();
        assert_eq!(said[0]["type"], "welcome", "{said:?}");
        (line, said)
    }

    pub fn say(&mut self, message: Value) {
        self.say_text(&message.to_string());
    }

    fn say_text(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match u16::try_from(text.len()) {
            Ok(length @ ..126) => frame.push(0x80 | length as u8),
            Ok(length) => frame.extend([&[0xfe][..], &length.to_be_bytes()].concat()),
            Err(_) => frame.extend([&[0xff][..], &(text.len() as u64).to_be_bytes()].concat()),
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        let _ = self.0.write_all(&frame);
    }

    /// `None`: the connection is closed.
    fn hear(&mut self) -> Option<Value> {
        let mut head = [0; 2];
        if let Err(error) = self.0.read_exact(&mut head) {
            assert!(error.kind() != ErrorKind::WouldBlock, "the link is open, and nothing is sent");
            return None;
        }
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut long = [0; 2];
            self.0.read_exact(&mut long).ok()?;
            length = usize::from(u16::from_be_bytes(long));
        }
        let mut text = vec![0; length];
        self.0.read_exact(&mut text).ok()?;
        (head[0] == 0x81).then(|| serde_json::from_slice(&text).unwrap())
    }

    /// Everything that the server sends in answer to earlier messages: it answers in order, and to this probe
    /// last.
    pub fn settle(&mut self) -> Vec<Value> {
        self.say(json!({ "type": "probe", "probe": 7 }));
        let mut said = Vec::new();
        loop {
            match self.hear().expect("the line is open") {
                clock if clock["type"] == "clock" => return said,
                other => said.push(other),
            }
        }
    }

    pub fn command(&mut self) -> Value {
        loop {
            let message = self.hear().expect("a command");
            if message["type"] == "command" {
                return message;
            }
        }
    }

    /// Reads until this many events are acknowledged, and then until nothing more arrives.
    fn heard(&mut self, number: u64) {
        let mut last = 0;
        while last < number {
            last = self.hear().expect("the line is open")["number"].as_u64().unwrap_or(last);
        }
        let more = self.settle();
        assert!(more.iter().all(|message| message["number"].as_u64().unwrap_or(0) <= number), "{more:?}");
    }

    pub fn ends(mut self) -> bool {
        while self.hear().is_some() {}
        true
    }
}

pub fn commands(said: &[Value]) -> Vec<&Value> {
    said.iter().filter(|message| message["type"] == "command").collect()
}

pub fn idle() -> Value {
    json!({ "agent": null, "recordings": [], "offset_ms": null, "uncertainty_ms": null })
}

pub fn records(recording: &Value, agent: &str) -> Value {
    let running =
        json!({ "recording": recording, "agent": agent, "capture": "live", "since": "2026-01-05T09:00:00Z" });
    json!({ "agent": agent, "recordings": [running], "offset_ms": 0, "uncertainty_ms": 1 })
}

pub fn with_type(kind: &str, mut status: Value) -> Value {
    status["type"] = json!(kind);
    status
}

/// Ann at seat-12 and Bob at seat-13, each in a recorded call.
pub struct Site {
    pub server: Server,
    pub root: Who,
    pub ann: String,
    pub bob: String,
}

impl Site {
    pub fn new() -> Site {
        let server = Server::start_with("[policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n");
        let (ann, bob) = (server.enrol("seat-12"), server.enrol("seat-13"));
        let root = admin(&server);
        Site { server, root, ann, bob }
    }

    pub fn greet(&self, token: &str, status: Value) -> (Line, Vec<Value>) {
        Line::greet(&self.server, token, "stream", status)
    }

    pub fn tell(&self, events: &[Value]) {
        let now = jiff::Timestamp::now().to_string();
        let events: Vec<Value> = events
            .iter()
            .map(|event| {
                let mut event = event.clone();
                event["at"] = json!(now);
                event
            })
            .collect();
        let answer = self.server.ask(&self.root, "POST", "/api/v1/events", Some(json!(events)));
        assert_eq!(answer.status, 202, "{}", answer.text());
    }

    pub fn call(&self, agent: &str, place: &str, call: &str) {
        self.tell(&[
            json!({ "type": "agent.logged_in", "agent": agent, "place": place }),
            json!({ "type": "call.established", "agent": agent, "call": call }),
        ]);
    }

    pub fn get(&self, path: &str) -> Value {
        self.server.get(&self.root, &format!("/api/v1{path}")).json()
    }

    fn recordings_of(&self, interaction: &str) -> Vec<Value> {
        let whole = self.get(&format!("/interactions/{interaction}"));
        whole["segments"].as_array().unwrap().iter().map(|segment| segment["recording"].clone()).collect()
    }
}

#[test]
fn an_answer_counts_once_and_only_from_the_recorder_that_was_asked() {
    let site = Site::new();
    let (mut ann, _) = site.greet(&site.ann, idle());
    let (mut bob, _) = site.greet(&site.bob, idle());
    site.call("ann", "seat-12", "77");
    site.call("bob", "seat-13", "78");
    let (anns, bobs) = (ann.command(), bob.command());
    assert_eq!(
        (&anns["kind"], &anns["agent"], &bobs["agent"]),
        (&json!("start"), &json!("ann"), &json!("bob"))
    );
    for id in [&anns["id"], &anns["id"], &bobs["id"], &json!("c-none")] {
        for result in ["done", "refused", "failed"] {
            ann.say(json!({
                "type": "answer", "id": id, "result": result, "refusal": "busy", "message": "no",
                "failure": { "fault": "disk", "message": "no" },
            }));
        }
    }
    assert!(commands(&ann.settle()).is_empty());
    // Both connect again: Bob's recorder did not answer his command, Ann's did answer hers.
    let (mut bob, said) = site.greet(&site.bob, idle());
    assert!(commands(&said).iter().any(|again| again["id"] == bobs["id"]), "{said:?}");
    let (mut ann, said) = site.greet(&site.ann, records(&anns["recording"], "ann"));
    assert!(commands(&said).is_empty(), "{said:?}");

    // Repeats earlier messages, as an eavesdropper could.
    for _ in 0..3 {
        bob.say(with_type("status", records(&bobs["recording"], "bob")));
        ann.say(with_type("status", records(&anns["recording"], "ann")));
        ann.say(with_type("status", idle()));
        ann.say(with_type("status", records(&anns["recording"], "ann")));
    }
    assert!(commands(&ann.settle()).is_empty() && commands(&bob.settle()).is_empty());
    let live = site.get("/live");
    assert_eq!(live["recordings"].as_array().unwrap().len(), 2, "{live:#}");
    assert_eq!(site.recordings_of("77"), [anns["recording"].clone()]);
    assert_eq!(site.recordings_of("78"), [bobs["recording"].clone()]);
}

#[test]
fn a_recorder_that_claims_a_recording_of_another_gets_nothing_of_it() {
    let site = Site::new();
    upload(&site.server, &site.bob, OLD, "bob", "9", 0);
    let (mut ann, _) = site.greet(&site.ann, idle());
    let (mut bob, _) = site.greet(&site.bob, idle());
    site.call("ann", "seat-12", "77");
    site.call("bob", "seat-13", "78");
    let (anns, bobs) = (ann.command(), bob.command());
    for lie in [&bobs["recording"], &json!(OLD)] {
        for agent in ["ann", "bob"] {
            ann.say(with_type("status", records(lie, agent)));
        }
    }
    ann.settle();
    bob.say(with_type("status", records(&bobs["recording"], "bob")));
    bob.settle();
    assert_eq!(site.recordings_of("77"), [anns["recording"].clone()]);
    assert_eq!(site.recordings_of("78"), [bobs["recording"].clone()]);
    assert_eq!(site.recordings_of("9"), [json!(OLD)]);
    let (old, running) =
        (format!("/recordings/{OLD}"), format!("/recordings/{}", bobs["recording"].as_str().unwrap()));
    assert_eq!(site.get(&old)["agent"], "bob");
    assert_eq!(site.get(&running)["agent"], "bob");
    // Nor can an event of Ann's desktop end Bob's call.
    let event = json!({ "type": "recorder.disconnected", "at": "2026-01-05T09:00:00Z", "place": "seat-13" });
    ann.say(json!({ "type": "event", "number": 1, "first": 1, "event": event }));
    // It is skipped, and not requested again.
    ann.heard(1);
    site.call("bob", "seat-13", "79");
    site.tell(&[
        json!({ "type": "call.cleared", "agent": "bob", "call": "78" }),
        json!({ "type": "call.cleared", "agent": "bob", "call": "79" }),
    ]);
    assert_eq!(bob.command()["kind"], "stop");
}

#[test]
fn an_event_that_comes_again_is_acknowledged_and_stored_once() {
    let site = Site::new();
    let event = |number: u64| {
        let event = json!({ "type": "interaction.accepted", "at": "2026-01-05T09:00:00Z", "agent": "ann", "interaction": "c1" });
        json!({ "type": "event", "number": number, "first": 1, "event": event })
    };
    let (mut line, said) = site.greet(&site.ann, idle());
    assert_eq!(said[0]["heard"], 0);
    for number in [1, 1, 2, 1, 3] {
        line.say(event(number));
    }
    line.heard(3);
    let (mut line, said) = site.greet(&site.ann, idle());
    assert_eq!(said[0]["heard"], 3);
    for number in [1, 2, 3, 5] {
        line.say(event(number));
    }
    // 4 is missing.
    line.heard(3);
    // Another recorder's stream is separate, though it has the same name.
    let (_, said) = site.greet(&site.bob, idle());
    assert_eq!(said[0]["heard"], 0);
}

#[test]
fn a_restart_takes_no_stored_event_again() {
    let site = Site::new();
    let event = json!({ "type": "interaction.accepted", "at": "2026-01-05T09:00:00Z", "agent": "ann", "interaction": "c1" });
    let (mut line, _) = site.greet(&site.ann, idle());
    for number in [1, 2] {
        line.say(json!({ "type": "event", "number": number, "first": 1, "event": event }));
    }
    line.heard(2);
    let site = Site { server: Server::in_folder(site.server.kill()), ..site };
    let (_, said) = site.greet(&site.ann, idle());
    assert_eq!(said[0]["heard"], 2);
    // A recorder that was set up again counts from the beginning.
    let (_, said) = Line::greet(&site.server, &site.ann, "another stream", idle());
    assert_eq!(said[0]["heard"], 0);
}

/// Waits until what the server says is as wanted.
pub fn until(site: &Site, path: &str, is_wanted: impl Fn(&Value) -> bool) {
    let limit = std::time::Instant::now() + PATIENCE;
    loop {
        let found = site.get(path);
        if is_wanted(&found) {
            return;
        }
        assert!(std::time::Instant::now() < limit, "{path}: {found:#}");
        std::thread::yield_now();
    }
}

fn connected(recorders: &Value) -> usize {
    recorders["recorders"].as_array().unwrap().iter().filter(|one| one["connected"] == true).count()
}

fn live(live: &Value) -> usize {
    live["recordings"].as_array().unwrap().len()
}

/// The server closes a line that has fallen silent in the same way as one that says nonsense.
#[test]
fn a_recorder_whose_line_the_server_closed_is_away_and_gets_its_commands_when_it_returns() {
    let site = Site::new();
    let (mut line, _) = site.greet(&site.ann, records(&json!("20260105T090000Z-000008"), "ann"));
    until(&site, "/live", |found| live(found) == 1);
    assert_eq!(connected(&site.get("/recorders")), 1);
    line.say_text("nonsense");
    assert!(line.ends());
    until(&site, "/recorders", |found| connected(found) == 0);
    assert_eq!(live(&site.get("/live")), 0);
    site.call("ann", "seat-12", "77");
    let (mut line, said) = site.greet(&site.ann, idle());
    let start = commands(&said).first().map(|start| (*start).clone()).unwrap_or_else(|| line.command());
    assert_eq!((&start["kind"], &start["agent"]), (&json!("start"), &json!("ann")));
    until(&site, "/recorders", |found| connected(found) == 1);
}

#[test]
fn a_server_that_was_killed_knows_no_connected_recorder_when_it_starts() {
    let site = Site::new();
    let (_line, _) = site.greet(&site.ann, records(&json!("20260105T090000Z-000008"), "ann"));
    until(&site, "/live", |found| live(found) == 1);
    let site = Site { server: Server::in_folder(site.server.kill()), ..site };
    assert_eq!((connected(&site.get("/recorders")), live(&site.get("/live"))), (0, 0));
}

#[test]
fn an_invalid_message_closes_its_own_link_only() {
    let site = Site::new();
    let (mut bob, _) = site.greet(&site.bob, idle());
    let nul = with_type("status", json!({ "agent": "a\0b", "recordings": [] })).to_string();
    for text in ["", "{}", "[", "{\"type\":5}", &"[".repeat(100_000), &"x".repeat(300_000), &nul] {
        let (mut line, _) = site.greet(&site.ann, idle());
        line.say_text(text);
        assert!(line.ends(), "{:.40}", text);
    }
    // Numbers at their limits.
    let (mut line, _) = site.greet(&site.ann, idle());
    for offset_ms in [i64::MAX, i64::MIN, -1, 0] {
        for since in ["9999-12-30T22:00:00Z", "-009999-01-02T01:59:59Z", "2026-01-05T09:00:00Z"] {
            let running = json!({ "recording": OLD, "agent": "ann", "capture": "live", "since": since });
            let status = json!({ "agent": "ann", "recordings": [running], "waiting": u64::MAX, "offset_ms": offset_ms, "uncertainty_ms": u64::MAX });
            line.say(with_type("status", status));
        }
    }
    for name in ["../../etc", "..", "", "a/b", "a\u{7f}"] {
        line.say(with_type("status", records(&json!(name), "ann")));
    }
    line.say(with_type("status", records(&json!(OLD), "ann")));
    line.say(json!({ "type": "probe", "probe": u32::MAX }));
    line.say(json!({ "type": "event", "number": u64::MAX, "first": u64::MAX, "event": {} }));
    line.settle();
    for path in ["/recorders", "/live", "/interactions", "/completeness", &format!("/recordings/{OLD}")] {
        let answer = site.server.get(&site.root, &format!("/api/v1{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    until(&site, "/live", |found| live(found) == 1);
    site.call("bob", "seat-13", "78");
    assert_eq!(bob.command()["agent"], "bob");
}
