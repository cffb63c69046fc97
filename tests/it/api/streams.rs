//! The event stream: server-sent events and WebSockets.

use std::time::Duration;

use deskreel_desk_api::Limits;
use serde_json::{Value, json};

use super::http::{Answer, Http};
use super::world::{PAGE, TOKEN, Wish, World, limited, world};

/// A listener by server-sent events.
struct Events(Http, String);

impl Events {
    fn open(world: &World, session: &str, headers: &[(&str, &str)]) -> Events {
        let mut http = world.http();
        let headers = [&[("Authorization", session)], headers].concat();
        http.send("GET", "/api/v1/events", &headers, "");
        let head = http.head().unwrap();
        assert_eq!((head.status, head.header("Content-Type")), (200, Some("text/event-stream")));
        Events(http, String::new())
    }

    /// Reads the next block: its id and its data. `None` at the end.
    fn next(&mut self) -> Option<(Option<String>, Option<Value>)> {
        while !self.1.contains("\n\n") {
            self.1.push_str(&self.0.chunk()?);
        }
        let (block, rest) = self.1.split_once("\n\n").unwrap();
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let block = (field("id: "), field("data: ").map(|data| serde_json::from_str(&data).unwrap()));
        self.1 = rest.to_owned();
        Some(block)
    }

    /// Reads the next block with data.
    fn item(&mut self) -> (String, Value) {
        loop {
            if let (Some(id), Some(data)) = self.next().expect("no end") {
                return (id, data);
            }
        }
    }
}

#[test]
fn a_listener_hears_what_happens_with_numbers() {
    let world = world();
    let session = world.session("ann");
    world.tell("before");
    let mut events = Events::open(&world, &session, &[]);
    let (first, _) = events.next().unwrap();
    assert!(first.unwrap().ends_with("-1"), "where to go on, before anything happens");
    world.tell("one");
    world.tell("two\nlines");
    let (id, data) = events.item();
    assert_eq!((id.rsplit_once('-').unwrap().1, &data["seq"]), ("2", &json!(2)));
    assert_eq!((&data["type"], &data["why"]), (&json!("recording.stopping"), &json!("one")));
    assert_eq!(events.item().1["why"], "two\nlines");
}

#[test]
fn a_returning_listener_gets_what_it_missed_or_learns_that_it_is_lost() {
    let world = world();
    let session = world.session("ann");
    world.tell("one");
    let mut events = Events::open(&world, &session, &[]);
    let id = events.next().unwrap().0.unwrap();
    drop(events);
    world.tell("two");
    world.tell("three");
    let mut back = Events::open(&world, &session, &[("Last-Event-ID", &id)]);
    assert_eq!([back.item().1["why"].clone(), back.item().1["why"].clone()], ["two", "three"]);

    for stranger in ["0-0-1", "garbage", "-", "18446744073709551616"] {
        let mut lost = Events::open(&world, &session, &[("Last-Event-ID", stranger)]);
        assert_eq!(lost.item().1, json!({ "type": "lost", "seq": 3 }), "{stranger}");
    }
    for number in 0..3000 {
        world.tell(&number.to_string());
    }
    let mut lost = Events::open(&world, &session, &[("Last-Event-ID", &id)]);
    assert_eq!(lost.item().1, json!({ "type": "lost", "seq": 3003 }));
    world.tell("after");
    assert_eq!(lost.item().1["why"], "after");
}

#[test]
fn a_quiet_stream_shows_that_it_lives() {
    let world = limited(Limits { beat: Duration::from_millis(50), ..Limits::default() });
    let session = world.session("ann");
    let mut events = Events::open(&world, &session, &[]);
    events.next().unwrap();
    assert_eq!(events.next(), Some((None, None)), "a comment");
}

#[test]
fn streams_end_with_their_session() {
    let world = world();
    let session = world.session("ann");
    let mut events = Events::open(&world, &session, &[]);
    let mut socket = Socket::open(&world, &[("Authorization", &session)], "").unwrap();
    world.ask("DELETE", "/api/v1/session", &[("Authorization", &session)], "");
    while events.next().is_some() {}
    socket.message();
    assert_eq!(socket.closed(), 4401);
}

#[test]
fn streams_of_a_session_are_limited() {
    let world = limited(Limits { streams: 2, ..Limits::default() });
    let session = world.session("ann");
    let first = Events::open(&world, &session, &[]);
    let _second = Socket::open(&world, &[("Authorization", &session)], "").unwrap();
    let third = world.ask("GET", "/api/v1/events", &[("Authorization", &session)], "");
    assert_eq!((third.status, third.code().as_str()), (429, "too_many"));
    drop(first);
    let limit = std::time::Instant::now() + super::world::SOON;
    // The server notices at its next write.
    loop {
        world.tell("tick");
        let mut http = world.http();
        http.send("GET", "/api/v1/events", &[("Authorization", &session)], "");
        if http.head().unwrap().status == 200 {
            break;
        }
        assert!(std::time::Instant::now() < limit);
    }
}

/// A WebSocket by hand.
struct Socket(Http);

impl Socket {
    fn open(world: &World, headers: &[(&str, &str)], query: &str) -> Result<Socket, Box<Answer>> {
        let mut http = world.http();
        let upgrade = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        http.send("GET", &format!("/api/v1/ws{query}"), &[&upgrade, headers].concat(), "");
        let answer = http.answer().unwrap();
        match answer.status {
            101 => {
                // The example key of RFC 6455.
                assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
                Ok(Socket(http))
            }
            _ => Err(Box::new(answer)),
        }
    }

    fn frame(&mut self) -> (u8, Vec<u8>) {
        use std::io::Read;
        let mut head = [0; 2];
        self.0.stream.read_exact(&mut head).unwrap();
        assert_eq!(head[1] & 0x80, 0, "servers do not mask");
        let length = match head[1] {
            126 => {
                let mut length = [0; 2];
                self.0.stream.read_exact(&mut length).unwrap();
                usize::from(u16::from_be_bytes(length))
            }
            length => usize::from(length),
        };
        let mut payload = vec![0; length];
        self.0.stream.read_exact(&mut payload).unwrap();
        (head[0], payload)
    }

    fn message(&mut self) -> Value {
        let (head, payload) = self.frame();
        assert_eq!(head, 0x81, "one whole text");
        serde_json::from_slice(&payload).unwrap()
    }

    /// Reads the code of the close that comes next.
    fn closed(&mut self) -> u16 {
        let (head, payload) = self.frame();
        assert_eq!(head, 0x88, "a close");
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// Sends a frame masked with zeros, which is a valid mask.
    fn send(&mut self, opcode: u8, payload: &[u8]) {
        let head = [0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
        self.0.write([&head, payload].concat()).unwrap();
    }
}

#[test]
fn a_socket_hears_the_same_as_a_stream() {
    let world = world();
    let session = world.session("ann");
    world.tell("one");
    let mut socket = Socket::open(&world, &[("Authorization", &session)], "").unwrap();
    let hello = socket.message();
    assert_eq!(hello["type"], "hello");
    world.tell("two");
    let item = socket.message();
    assert_eq!((&item["why"], &item["seq"]), (&json!("two"), &json!(2)));
    assert_eq!(item["id"].as_str().unwrap().rsplit_once('-').unwrap().1, "2");

    let after = format!("?after={}", hello["id"].as_str().unwrap());
    let mut back = Socket::open(&world, &[("Authorization", &session)], &after).unwrap();
    assert_eq!([back.message()["type"].clone(), back.message()["why"].clone()], ["hello", "two"]);
    let mut lost = Socket::open(&world, &[("Authorization", &session)], "?after=0-0-0").unwrap();
    lost.message();
    assert_eq!(lost.message(), json!({ "type": "lost", "seq": 2 }));
}

#[test]
fn a_page_brings_its_token_among_the_protocols() {
    let world = world();
    let answer = world.page_session(PAGE);
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let protocols = format!("deskreel.v1, deskreel.bearer.{token}");
    let open = |headers: &[(&str, &str)]| Socket::open(&world, headers, "");
    assert!(open(&[("Origin", PAGE), ("Sec-WebSocket-Protocol", &protocols)]).is_ok());
    assert!(open(&[("Origin", PAGE), ("Cookie", &answer.cookie())]).is_ok());
    for (headers, status) in [
        (&[("Origin", "https://evil.example"), ("Sec-WebSocket-Protocol", protocols.as_str())][..], 403),
        (&[("Origin", "https://evil.example"), ("Cookie", &answer.cookie())], 403),
        (&[("Sec-WebSocket-Protocol", &protocols)], 403),
        (&[("Origin", PAGE)], 401),
        (&[("Origin", PAGE), ("Sec-WebSocket-Protocol", "deskreel.v1, deskreel.bearer.x")], 401),
        (&[("Origin", PAGE), ("Sec-WebSocket-Protocol", &protocols["deskreel.v1, ".len()..])], 400),
    ] {
        assert_eq!(open(headers).err().unwrap().status, status, "{headers:?}");
    }
}

#[test]
fn a_socket_takes_no_commands() {
    let world = world();
    let session = world.session("ann");
    let mut socket = Socket::open(&world, &[("Authorization", &session)], "").unwrap();
    socket.message();
    socket.send(1, br#"{"type":"stop"}"#);
    assert_eq!(socket.closed(), 1003);
}

#[test]
fn a_socket_that_answers_pings_keeps_the_session_and_one_that_does_not_is_closed() {
    let beat = Duration::from_millis(100);
    let world = World::new(Wish {
        settings: json!({ "session": "400ms" }),
        limits: Limits { beat, ..Limits::default() },
        ..Wish::default()
    });
    let session = world.session("ann");
    let mut socket = Socket::open(&world, &[("Authorization", &session)], "").unwrap();
    socket.message();
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        let (head, payload) = socket.frame();
        assert_eq!(head, 0x89, "a ping");
        socket.send(10, &payload);
    }
    assert_eq!(world.ask("GET", "/api/v1/session", &[("Authorization", &session)], "").status, 200);
    assert_eq!(socket.frame().0, 0x89);
    assert_eq!(socket.closed(), 4408);
}

#[test]
fn sockets_are_closed_with_the_reason_when_the_recorder_stops() {
    let mut world = world();
    let bearer = format!("Bearer {TOKEN}");
    let mut socket = Socket::open(&world, &[("Authorization", &bearer)], "").unwrap();
    socket.message();
    world.begin_stop();
    assert_eq!(socket.closed(), 1001);
    socket.send(8, &1001_u16.to_be_bytes());
    assert!(socket.0.is_closed());
}
