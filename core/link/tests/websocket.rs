//! The link over real WebSockets to the server's end: in time, across breaks, with TLS, and refused.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deskreel_link::recorder::RecorderIdentity;
use deskreel_link::server::{Effect, ServerEnd};
use deskreel_link::{
    ClockReading, Link, LinkError, LinkHandle, LinkPhase, LinkSettings, LinkState, TokenSource,
};
use deskreel_model::event::Event;
use deskreel_model::link::{
    Command, CommandId, CommandKind, CommandResult, CredentialVerdict, EventStreamId, FromRecorder,
    FromServer, Password, RecorderStatus,
};
use deskreel_model::{RecordingId, Utc};
use futures_util::{SinkExt, StreamExt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

const TOKEN: &str = "a-recorder's-token";

/// A server for one recorder, driven by the test.
struct Server {
    listener: TcpListener,
    end: ServerEnd,
    began: Instant,
    events: Vec<(u64, Value)>,
    answers: Vec<(CommandId, CommandResult)>,
    statuses: Vec<RecorderStatus>,
    stored: Option<(EventStreamId, u64)>,
}

impl Server {
    async fn start() -> Server {
        Server {
            listener: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            end: ServerEnd::new(None),
            began: Instant::now(),
            events: Vec::new(),
            answers: Vec::new(),
            statuses: Vec::new(),
            stored: None,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    fn now(&self) -> ClockReading {
        ClockReading { monotonic: self.began.elapsed(), utc: Utc(jiff::Timestamp::now()) }
    }

    async fn accept(&mut self) -> WebSocketStream<TcpStream> {
        let (stream, _) = self.listener.accept().await.unwrap();
        let socket = accept_hdr_async(stream, checked).await.unwrap();
        self.end.connected(self.now());
        socket
    }

    /// Serves the connection until `done` holds.
    async fn until<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        mut done: impl FnMut(&Server) -> bool,
    ) {
        while !done(self) {
            let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
            let Message::Text(text) = message.unwrap().unwrap().unwrap() else { continue };
            let effects = self.end.receive(FromRecorder::parse(&text).unwrap(), self.now());
            self.act(socket, effects).await;
        }
    }

    async fn command<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        command: Command,
    ) {
        let effects = self.end.send_command(command, self.now());
        self.act(socket, effects).await;
    }

    async fn act<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        socket: &mut WebSocketStream<S>,
        effects: Vec<Effect>,
    ) {
        for effect in effects {
            match effect {
                Effect::Send(message) => {
                    let text = serde_json::to_string(&message).unwrap();
                    socket.send(Message::text(text)).await.unwrap();
                }
                Effect::Event { stream, number, event } => {
                    self.events.push((number, event));
                    self.stored = Some((stream.clone(), number));
                    let effects = self.end.stored(&stream, number);
                    Box::pin(self.act(socket, effects)).await;
                }
                Effect::Answered { id, result } => self.answers.push((id, result)),
                Effect::Status(status) => self.statuses.push(status),
                Effect::Present(hello) => assert_eq!(hello.place.as_str(), "seat-12"),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[expect(clippy::result_large_err, reason = "the library's type")]
fn checked(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    assert_eq!(request.uri().path(), "/api/v1/link");
    match request.headers().get("authorization").map(|it| it.to_str().unwrap()) {
        Some(bearer) if bearer == format!("Bearer {TOKEN}") => Ok(response),
        _ => {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::UNAUTHORIZED;
            Err(refused)
        }
    }
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        std::fs::write(folder.path("token"), format!("{TOKEN}\n")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn settings(&self, server: String) -> LinkSettings {
        let identity = RecorderIdentity {
            program: "0.1.0".to_owned(),
            recorder: "pc-12".to_owned(),
            place: "seat-12".into(),
        };
        LinkSettings {
            server,
            token: TokenSource::File(self.path("token")),
            ca_file: None,
            plain_http: false,
            identity,
        }
    }
}

fn event(n: u64) -> Event {
    let json =
        json!({ "type": "screen.start_requested", "at": "2026-01-05T09:00:00.000Z", "agent": "ann", "n": n });
    Event::parse(&json.to_string()).unwrap()
}

fn stop(id: &str) -> Command {
    let now = Utc(jiff::Timestamp::now());
    let kind = CommandKind::Stop { recording: RecordingId::new(now, 1), why: "the call is over".to_owned() };
    Command { id: CommandId(id.into()), deadline: now.plus(Duration::from_secs(5)), kind }
}

async fn state(link: &LinkHandle, is: impl FnMut(&LinkState) -> bool) -> LinkState {
    let mut state = link.state();
    let seen = tokio::time::timeout(Duration::from_secs(10), state.wait_for(is)).await;
    seen.unwrap().unwrap().clone()
}

#[tokio::test]
async fn events_commands_and_status_go_over_a_websocket() {
    let (mut server, folder) = (Server::start().await, Folder::new());
    let (link, mut commands) = Link::start(folder.settings(server.url())).unwrap();
    link.send_event(&event(1));
    let mut socket = server.accept().await;
    link.send_event(&event(2));
    server.until(&mut socket, |server| server.events.len() == 2).await;
    assert_eq!(server.events.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(server.events[1].1["n"], 2);

    server.command(&mut socket, stop("a")).await;
    let command = commands.recv().await.unwrap();
    link.answer(command.id, CommandResult::Done);
    link.send_status(RecorderStatus { agent: Some("ann".into()), ..RecorderStatus::default() });
    server
        .until(&mut socket, |server| server.statuses.last().is_some_and(|status| status.agent.is_some()))
        .await;
    assert_eq!(server.answers, [(CommandId("a".into()), CommandResult::Done)]);

    let open = state(&link, |state| state.waiting == 0 && state.is_open()).await;
    let LinkPhase::Open { offset_ms: Some(offset), uncertainty_ms: Some(wrong), .. } = open.phase else {
        panic!("{open:?}")
    };
    assert!(offset.unsigned_abs() <= wrong + 1, "one clock: {offset} ± {wrong} ms");
}

#[tokio::test]
async fn a_broken_connection_is_opened_again_and_nothing_is_lost_or_done_twice() {
    let (mut server, folder) = (Server::start().await, Folder::new());
    let (link, mut commands) = Link::start(folder.settings(server.url())).unwrap();
    let mut socket = server.accept().await;
    server.command(&mut socket, stop("a")).await;
    server.until(&mut socket, |server| server.end.is_open()).await;
    let command = commands.recv().await.unwrap();
    drop(socket);
    server.end.disconnected();
    let cut = state(&link, |state| matches!(state.phase, LinkPhase::Cut { .. })).await;
    assert!(matches!(cut.phase, LinkPhase::Cut { .. }));
    // While there is no connection.
    link.answer(command.id, CommandResult::Done);
    (1..=100).for_each(|n| link.send_event(&event(n)));
    state(&link, |state| state.waiting == 100).await;

    let mut socket = server.accept().await;
    server.until(&mut socket, |server| server.events.len() == 100 && !server.answers.is_empty()).await;
    assert_eq!(
        server.events.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        (1..=100).collect::<Vec<_>>()
    );
    assert_eq!(server.answers.len(), 1);
    assert!(commands.try_recv().is_err(), "it came again, and was not done again");
    assert_eq!(server.stored.as_ref().unwrap().1, 100);
}

#[tokio::test]
async fn the_recorder_speaks_tls_only_to_a_server_with_a_certificate_of_a_trusted_authority() {
    let (mut server, folder) = (Server::start().await, Folder::new());
    let port = server.listener.local_addr().unwrap().port();
    let (authority, config) = authority();
    std::fs::write(folder.path("ca.pem"), authority).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let settings = folder.settings(format!("https://localhost:{port}"));

    let (stranger, _) = Link::start(settings.clone()).unwrap();
    let (stream, _) = server.listener.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err());
    let cut = state(&stranger, |state| matches!(state.phase, LinkPhase::Cut { .. })).await;
    assert!(format!("{cut:?}").contains("certificate"), "{cut:?}");
    drop(stranger);

    let trusting = LinkSettings { ca_file: Some(folder.path("ca.pem")), ..settings };
    let (link, _commands) = Link::start(trusting).unwrap();
    link.send_event(&event(1));
    let mut socket = loop {
        // The stranger may have tried once more.
        let (stream, _) = server.listener.accept().await.unwrap();
        if let Ok(stream) = acceptor.accept(stream).await {
            break accept_hdr_async(stream, checked).await.unwrap();
        }
    };
    server.end.connected(server.now());
    server.until(&mut socket, |server| server.events.len() == 1).await;
}

#[tokio::test]
async fn a_wrong_token_is_reported_and_not_tried_again_soon() {
    let (server, folder) = (Server::start().await, Folder::new());
    std::fs::write(folder.path("token"), "stolen").unwrap();
    let (link, _commands) = Link::start(folder.settings(server.url())).unwrap();
    let (stream, _) = server.listener.accept().await.unwrap();
    assert!(accept_hdr_async(stream, checked).await.is_err());
    let cut = state(&link, |state| matches!(state.phase, LinkPhase::Cut { .. })).await;
    let LinkPhase::Cut { problem, next } = cut.phase else { panic!("{cut:?}") };
    assert!(problem.contains("401"), "{problem}");
    let wait = next.saturating_since(Utc(jiff::Timestamp::now()));
    assert!(wait > Duration::from_secs(140), "{wait:?}");
}

#[tokio::test]
async fn wrong_settings_are_refused_at_once() {
    let folder = Folder::new();
    let start = |server: &str| Link::start(folder.settings(server.to_owned())).map(drop);
    assert_eq!(start("recordings"), Err(LinkError::Address("recordings".to_owned())));
    assert_eq!(start("http://far.example"), Err(LinkError::PlainHttp("http://far.example".to_owned())));
}

/// An authority's certificate, and a server with a certificate of that authority for `localhost`.
fn authority() -> (String, rustls::ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = own.signed_by(&own_key, &issuer).unwrap().der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    (authority, builder.with_single_cert(vec![certificate], key).unwrap())
}

/// Serves until the recorder asks about credentials.
async fn asked<S: AsyncRead + AsyncWrite + Unpin>(
    server: &mut Server,
    socket: &mut WebSocketStream<S>,
) -> u32 {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(10), socket.next()).await;
        let Message::Text(text) = message.unwrap().unwrap().unwrap() else { continue };
        match FromRecorder::parse(&text).unwrap() {
            FromRecorder::Credentials { id, name, password } => {
                assert_eq!((name.as_str(), password), ("ann", Password("s3cret".to_owned())));
                return id;
            }
            other => {
                let effects = server.end.receive(other, server.now());
                server.act(socket, effects).await;
            }
        }
    }
}

#[tokio::test]
async fn only_the_server_says_whose_credentials_these_are() {
    let mut server = Server::start().await;
    let folder = Folder::new();
    let (link, _commands) = Link::start(folder.settings(server.url())).unwrap();
    // A question asked without a connection is not kept until there is one.
    assert_eq!(link.verify("ann", "s3cret").await, None);

    let mut socket = server.accept().await;
    server.until(&mut socket, |server| !server.statuses.is_empty()).await;
    link.state().wait_for(LinkState::is_open).await.unwrap();
    let verify = || {
        let link = link.clone();
        tokio::spawn(async move { link.verify("ann", "s3cret").await })
    };
    let (first, second) = (verify(), verify());
    let ids = [asked(&mut server, &mut socket).await, asked(&mut server, &mut socket).await];
    assert_ne!(ids[0], ids[1]);
    // Answered in reverse order, and one of them twice: each caller gets its own verdict.
    let right = CredentialVerdict::Right { agent: "ann".into() };
    for (id, verdict) in
        [(ids[1], CredentialVerdict::Wrong), (ids[1], right.clone()), (ids[0], right.clone())]
    {
        let text = serde_json::to_string(&FromServer::Verdict { id, verdict }).unwrap();
        socket.send(Message::text(text)).await.unwrap();
    }
    let verdicts = [first.await.unwrap(), second.await.unwrap()];
    assert!(
        verdicts.contains(&Some(right)) && verdicts.contains(&Some(CredentialVerdict::Wrong)),
        "{verdicts:?}"
    );

    // A server that predates the question never answers, and the wait has a limit.
    let waits = verify();
    asked(&mut server, &mut socket).await;
    assert_eq!(tokio::time::timeout(Duration::from_secs(9), waits).await.unwrap().unwrap(), None);

    // When the connection breaks, the wait ends before the limit.
    let (waits, begun) = (verify(), Instant::now());
    asked(&mut server, &mut socket).await;
    drop(socket);
    assert_eq!(waits.await.unwrap(), None);
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
