//! Connections of malicious or broken clients: too slow, too many, or not HTTP; one way per test. Other
//! clients are served all the time. Malicious requests are in hostile.rs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream, SupportedProtocolVersion};

use crate::ingest::{digest, put};
use deskreel_test_support::server::{Server, Who};
use deskreel_test_support::tls::Authority;

/// Every connection that the server ends is ended within this: less than the usual ten seconds.
pub const SOON: Duration = Duration::from_secs(9);
/// Time between two bytes of a slow client.
pub const TRICKLE: Duration = Duration::from_millis(20);

const QUICK: &str = "head_patience = \"1s\"\nbody_patience = \"1s\"\n";

/// A connection on which any bytes can be sent.
pub struct Raw(TcpStream);

impl Raw {
    pub fn to(server: &Server) -> Raw {
        let address = server.url.split("//").nth(1).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw(stream)
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref())
    }

    /// Everything received within that time, and whether the connection ended.
    pub fn hear(&mut self, limit: Duration) -> (Vec<u8>, bool) {
        self.0.set_read_timeout(Some(limit)).unwrap();
        let (mut all, mut some) = (Vec::new(), [0; 4096]);
        loop {
            match self.0.read(&mut some) {
                Ok(0) => return (all, true),
                Ok(length) => all.extend_from_slice(&some[..length]),
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                    return (all, false);
                }
                Err(_) => return (all, true),
            }
        }
    }

    /// Sends the same bytes slowly again and again until the server ends the connection. Returns what was
    /// received.
    pub fn trickle(&mut self, bytes: &[u8]) -> Vec<u8> {
        let limit = Instant::now() + SOON;
        let (mut all, mut times) = (Vec::new(), 0);
        while Instant::now() < limit {
            let broken = self.say(bytes).is_err();
            let (some, over) = self.hear(TRICKLE);
            all.extend(some);
            times += 1;
            if over || broken {
                assert!(times > 3, "ended at once instead of for its slowness");
                return all;
            }
        }
        panic!("{times} messages later the connection is still open: {}", String::from_utf8_lossy(&all));
    }

    pub fn status(&mut self) -> u16 {
        let mut some = [0; 12];
        self.0.set_read_timeout(Some(SOON)).unwrap();
        self.0.read_exact(&mut some).unwrap();
        std::str::from_utf8(&some[9..]).unwrap().parse().unwrap()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn fragment(recording: &str, number: u32) -> String {
    format!("/api/v1/recordings/{recording}/tracks/video/parts/1/fragments/{number}")
}

/// The head of an upload of `length` bytes, of which none is sent.
pub fn head(token: &str, path: &str, length: u64) -> String {
    let digest = digest(b"");
    format!(
        "PUT {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\
         Content-Digest: {digest}\r\n\r\n"
    )
}

#[test]
fn slow_bodies_are_aborted_and_delay_no_other_client() {
    let server = Server::start_with(QUICK);
    let (slow, other) = (server.enrol("seat-12"), server.enrol("seat-13"));
    let log_in = "POST /api/v1/session HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n";
    let begun: Vec<_> = (0..20)
        .map(|number| {
            let mut raw = Raw::to(&server);
            raw.say(head(&slow, &fragment("r-1", number), 1000)).unwrap();
            raw
        })
        .collect();
    assert_eq!(put(&server, &other, &fragment("r-2", 1), b"bytes").status, 201);
    let begin = |what: &str| {
        let mut raw = Raw::to(&server);
        raw.say(what).unwrap();
        raw
    };
    let mut json = begin(log_in);
    // A refused body is read to its end, but no longer than the limit allows.
    let mut refused = begin(&head(&slow, &fragment("r-2", 1), 1000));
    std::thread::scope(|scope| {
        for mut raw in begun {
            scope.spawn(move || {
                let answer = text(&raw.trickle(b"x"));
                assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"), "{answer}");
            });
        }
        scope.spawn(|| {
            let answer = text(&json.trickle(b" "));
            assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("problem+json"), "{answer}");
        });
        scope.spawn(|| {
            let answer = text(&refused.trickle(b"x"));
            assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        });
    });
    assert_eq!(server.get(&Who::Token(slow), "/api/v1/recordings/r-1").status, 404, "nothing of it is kept");
}

#[test]
fn slow_heads_and_silence_are_ended() {
    let server = Server::start_with(QUICK);
    let answer = Raw::to(&server).trickle(b"GET");
    assert_eq!(text(&answer), "", "no request, no answer");
    let mut raw = Raw::to(&server);
    raw.say("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n").unwrap();
    let answer = text(&raw.trickle(b"X: 1\r\n"));
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    // The head of a second request is limited too.
    let mut raw = Raw::to(&server);
    raw.say("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert_eq!(raw.status(), 200);
    raw.say("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n").unwrap();
    raw.trickle(b"X: 1\r\n");
    assert_eq!(Raw::to(&server).hear(SOON), (Vec::new(), true), "a silent client");
}

#[test]
fn connections_beyond_the_limit_are_refused_until_one_ends() {
    // 256 are reserved for other files.
    const PLACES: usize = 20;
    let server = Server::start_with_files(256 + PLACES as u32, "head_patience = \"1m\"\n");
    let ask = |raw: &mut Raw| {
        let _ = raw.say("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut some = [0; 4096];
        raw.0.set_read_timeout(Some(SOON)).unwrap();
        raw.0.read(&mut some).is_ok_and(|length| some[..length].starts_with(b"HTTP/1.1 200"))
    };
    let mut guests: Vec<Raw> = (0..PLACES).map(|_| Raw::to(&server)).collect();
    assert!(guests.iter_mut().all(ask), "all are within the limit");
    for _ in 0..50 {
        assert!(!ask(&mut Raw::to(&server)), "one more than the limit");
    }
    assert!(guests.iter_mut().all(ask), "and stay connected");
    guests.pop();
    let limit = Instant::now() + SOON;
    while !ask(&mut Raw::to(&server)) {
        assert!(Instant::now() < limit, "a connection ended, and no other is accepted");
    }
}

#[test]
fn http_2_is_not_spoken() {
    let server = Server::start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut raw = Raw::to(&server);
    raw.say(preface).unwrap();
    assert_eq!(raw.hear(SOON), (Vec::new(), true), "no HTTP/2 frame is answered");
    let mut raw = Raw::to(&server);
    let _ = preface.iter().try_for_each(|byte| raw.say([*byte]));
    assert_eq!(raw.hear(SOON), (Vec::new(), true), "also byte by byte");
    // HTTP/1.1 that begins with the same bytes.
    let mut raw = Raw::to(&server);
    raw.say("PRIME / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(raw.status(), 405);
}

fn https(authority: &Authority) -> Server {
    let (certificate, key) = (&authority.certificate, &authority.key);
    Server::start_with(&format!("scheme = \"https\"\ncertificate = {certificate:?}\nkey = {key:?}\n{QUICK}"))
}

/// The first bytes of the answer to a request by TLS of this version, for these protocols.
fn by_tls(
    server: &Server,
    authority: &Authority,
    version: &'static SupportedProtocolVersion,
    protocols: &[&[u8]],
) -> std::io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&authority.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut raw = Raw::to(server);
    let mut stream = Stream::new(&mut tls, &mut raw.0);
    stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut some = vec![0; 12];
    stream.read_exact(&mut some)?;
    Ok(some)
}

#[test]
fn old_tls_and_plain_http_are_refused_on_a_tls_port() {
    let authority = Authority::new();
    let server = https(&authority);
    for version in [&TLS12, &TLS13] {
        let answer = by_tls(&server, &authority, version, &[b"h2", b"http/1.1"]).unwrap();
        assert_eq!(text(&answer), "HTTP/1.1 200", "{version:?}");
    }
    by_tls(&server, &authority, &TLS13, &[b"h2"]).expect_err("HTTP/2 alone");

    let mut raw = Raw::to(&server);
    raw.say("GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (answer, over) = raw.hear(SOON);
    assert!(over && !text(&answer).contains("HTTP"), "{answer:?}");

    // A ClientHello of TLS 1.1 with a cipher suite of its time.
    let extensions = [0, 16, 0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 23];
    let hello = [&[3, 2][..], &[7; 32], &[0, 0, 2, 0xc0, 0x13, 1, 0], &extensions].concat();
    let length = hello.len() as u8;
    let record = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat();
    let mut raw = Raw::to(&server);
    raw.say(record).unwrap();
    let (answer, over) = raw.hear(SOON);
    assert!(
        over && answer.first() == Some(&21) && answer.last() == Some(&70),
        "protocol_version: {answer:?}"
    );

    assert_eq!(Raw::to(&server).hear(SOON), (Vec::new(), true), "a client that never begins the handshake");
}

#[test]
fn a_recorder_gets_its_share_of_memory_and_no_more() {
    let server = Server::start();
    let (greedy, other) = (server.enrol("seat-12"), server.enrol("seat-13"));
    let large = |number| {
        let mut raw = Raw::to(&server);
        raw.say(head(&greedy, &fragment("r-1", number), 40 << 20)).unwrap();
        raw
    };
    // One recorder may have a quarter of 256 MiB: one of these is read, the others get an answer to wait.
    let mut all: Vec<Raw> = (0..4).map(large).collect();
    let limit = Instant::now() + SOON;
    let (mut refused, mut answers) = (0, vec![Vec::new(); 4]);
    while refused < 3 {
        assert!(Instant::now() < limit, "{refused} of 4 are refused");
        for (raw, answer) in all.iter_mut().zip(&mut answers) {
            answer.extend(raw.hear(TRICKLE).0);
        }
        refused = answers.iter().filter(|answer| !answer.is_empty()).count();
    }
    for answer in answers.iter().filter(|answer| !answer.is_empty()) {
        let answer = text(answer);
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("retry-after: 1"), "{answer}");
    }
    assert_eq!(refused, 3);
    assert_eq!(put(&server, &other, &fragment("r-2", 1), b"bytes").status, 201, "others are served");
    assert_eq!(
        put(&server, &greedy, &fragment("r-1", 9), b"bytes").status,
        201,
        "and bodies within the share"
    );
    drop(all);
    let limit = Instant::now() + SOON;
    loop {
        // Aborted uploads return their memory.
        let mut raw = large(5);
        let (answer, _) = raw.hear(Duration::from_millis(300));
        if answer.is_empty() {
            break;
        }
        assert!(Instant::now() < limit, "{}", text(&answer));
    }
}

#[test]
fn recorders_that_take_all_the_memory_and_trickle_do_not_hold_up_the_others() {
    let server = Server::start_with("body_patience = \"1s\"\n");
    let slow = |number: u32| {
        let token = server.enrol(&format!("seat-{number}"));
        let mut raw = Raw::to(&server);
        // Their bodies may take most of an hour.
        raw.say(head(&token, &fragment(&format!("r-{number}"), 1), 64 << 20)).unwrap();
        raw
    };
    let slow: Vec<Raw> = (1..=4).map(slow).collect();
    let other = server.enrol("seat-14");
    let limit = Instant::now() + SOON;
    // Wait until all four have their memory.
    let mut number = 1;
    loop {
        let answer = put(&server, &other, &fragment("r-14", number), b"bytes");
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("5"), "{answer:?}");
            break;
        }
        assert!(answer.status == 201 && Instant::now() < limit, "{answer:?}");
        number += 1;
    }
    drop(slow);
}

/// Requests a video of 48 MiB, which no buffers on the way can hold, and reads nothing of it.
fn ask_for_much(server: &Server, token: &str) -> Raw {
    let mut raw = Raw::to(server);
    let path = fragment("r-1", 1);
    raw.say(format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")).unwrap();
    raw
}

#[test]
fn a_client_that_stops_reading_is_closed_and_a_slow_reader_is_not() {
    const PLACES: usize = 20;
    let server = Server::start_with_files(256 + PLACES as u32, "answer_patience = \"2s\"\n");
    let recorder = server.enrol("seat-12");
    assert_eq!(put(&server, &recorder, &fragment("r-1", 1), &vec![7; 48 << 20]).status, 201);
    let root = crate::people::admin(&server);
    let program = serde_json::json!({ "name": "player", "role": "administrator" });
    let token = server.ask(&root, "POST", "/api/v1/tokens", Some(program)).json()["token"].clone();
    let token = token.as_str().unwrap();

    // Takes eight seconds, six megabytes in each.
    let mut slow = Command::new("curl")
        .args(["-sf", "--limit-rate", "6M", "-H", &format!("Authorization: Bearer {token}")])
        .arg(format!("{}{}", server.url, fragment("r-1", 1)))
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl runs (script/setup installs it)");
    let mut film = slow.stdout.take().unwrap();
    film.read_exact(&mut [0]).unwrap();
    let rest = std::thread::spawn(move || std::io::copy(&mut film, &mut std::io::sink()).unwrap());
    let idle: Vec<Raw> = (1..PLACES).map(|_| ask_for_much(&server, token)).collect();
    let limit = Instant::now() + SOON;
    let has_place = || {
        let mut other = Raw::to(&server);
        let _ = other.say("GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
        String::from_utf8_lossy(&other.hear(TRICKLE).0).starts_with("HTTP/1.1 200")
    };
    while !has_place() {
        assert!(Instant::now() < limit, "a client that reads nothing stays connected");
    }
    assert!(slow.try_wait().unwrap().is_none(), "it was not slow");
    assert!(slow.wait().unwrap().success(), "a slow client loses its place");
    assert_eq!(1 + rest.join().unwrap(), 48 << 20);
    drop(idle);
}
