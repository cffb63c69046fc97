//! Too many connections, and the shutdown of the server.

use std::net::TcpStream;
use std::time::Instant;

use deskreel_desk_api::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::http::Http;
use super::world::{SOON, limited, world};

/// This process holds both ends of each connection.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
}

#[test]
fn a_thousand_idle_connections_block_nobody() {
    raise_file_limit();
    let world = world();
    let session = world.session("ann");
    let mut stream = world.http();
    stream.send("GET", "/api/v1/events", &[("Authorization", &session)], "");
    assert_eq!(stream.head().unwrap().status, 200);

    let mut idle: Vec<TcpStream> = (0..500).map(|_| TcpStream::connect(world.address).unwrap()).collect();
    // Some are in the middle of a request, which is idle too.
    for _ in 0..500 {
        let mut http = world.http();
        http.write(format!(
            "POST /api/v1/session HTTP/1.1\r\nHost: {}\r\nContent-Length: 9\r\n\r\n{{",
            world.address
        ))
        .unwrap();
        idle.push(http.stream.into_inner());
    }
    let asked = Instant::now();
    let answer = world.ask("GET", "/api/v1/status", &[("Authorization", &session)], "");
    assert_eq!(answer.status, 200);
    assert!(asked.elapsed() < SOON / 4, "{:?}", asked.elapsed());

    // The oldest were closed: only as many as the limit are open.
    let most = Limits::default().connections;
    let closed = idle.iter().filter(|stream| is_cut(stream)).count();
    assert!(closed >= idle.len() - most, "{closed} of {}", idle.len());

    // A listener is not idle.
    world.tell("still there");
    assert!(std::iter::from_fn(|| stream.chunk()).any(|chunk| chunk.contains("still there")));
}

/// Waits for the end of the connection, but not for long.
fn is_cut(stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(std::time::Duration::from_millis(1))).unwrap();
    !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn a_new_connection_is_refused_if_all_are_busy() {
    let world = limited(Limits { connections: 2, ..Limits::default() });
    let session = world.session("ann");
    let mut streams: Vec<Http> = (0..2)
        .map(|_| {
            let mut http = world.http();
            http.send("GET", "/api/v1/events", &[("Authorization", &session)], "");
            assert_eq!(http.head().unwrap().status, 200);
            assert!(http.chunk().is_some());
            http
        })
        .collect();
    assert!(world.http().is_closed());
    world.tell("still there");
    assert!(streams.iter_mut().all(|stream| stream.chunk().unwrap().contains("still there")));
    // One of them closes, and there is room.
    streams.pop();
    let limit = Instant::now() + SOON;
    loop {
        let mut http = world.http();
        http.send("GET", "/api/v1/health", &[], "");
        if http.answer().is_some_and(|answer| answer.status == 200) {
            break;
        }
        assert!(Instant::now() < limit);
    }
}

#[test]
fn shutdown_finishes_requests_and_accepts_nothing_new() {
    let mut world = world();
    let session = world.session("ann");
    world.hold(true);
    let mut asked = world.http();
    asked.send("POST", "/api/v1/recording/stop", &[("Authorization", &session)], "");
    world.wait_for(|act| matches!(act, deskreel_desk::Act::Request { .. }));
    let mut stream = world.http();
    stream.send("GET", "/api/v1/events", &[("Authorization", &session)], "");
    assert_eq!(stream.head().unwrap().status, 200);
    let mut idle = world.http();

    world.begin_stop();
    while stream.chunk().is_some() {}
    assert!(idle.is_closed(), "who asks nothing is not waited for");
    world.hold(false);
    assert_eq!(asked.answer().unwrap().status, 200);
    let address = world.address;
    world.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn shutdown_does_not_wait_forever() {
    let farewell = std::time::Duration::from_millis(200);
    let mut world = limited(Limits { farewell, ..Limits::default() });
    let session = world.session("ann");
    world.hold(true);
    let mut asked = world.http();
    asked.send("POST", "/api/v1/recording/stop", &[("Authorization", &session)], "");
    world.wait_for(|act| matches!(act, deskreel_desk::Act::Request { .. }));
    let begun = Instant::now();
    world.stop();
    assert!(begun.elapsed() < Limits::default().answer, "{:?}", begun.elapsed());
    assert!(asked.answer().is_none());
}

#[test]
fn a_port_in_use_is_an_error_at_the_start_with_the_cure() {
    use deskreel_desk_api::{Server, ServerSetup, Settings};
    use serde_json::json;
    let world = world();
    let settings = json!({ "listen": world.address.to_string(), "scheme": "http" });
    let setup = ServerSetup {
        link: None,
        settings: Settings::read(&settings).unwrap(),
        limits: Limits::default(),
        desk: super::world::desk(),
        directory: world.folder.path().to_owned(),
        metrics: Box::new(String::new),
        recordings: Box::new(super::world::two_recordings),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Err(error) = runtime.block_on(Server::bind(setup)) else { panic!("bound twice") };
    let text = error.to_string();
    assert!(text.contains(&world.address.to_string()) && text.contains("set `listen`"), "{text}");
}
