//! The WebSocket: opened, served until it breaks, and opened again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use deskreel_model::Utc;
use deskreel_model::link::{
    Command, CommandResult, FromRecorder, FromServer, MESSAGE_LIMIT, PATH, Refusal, StreamId, Verdict,
};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::backoff::Backoff;
use crate::handle::{Ask, LinkHandle, LinkState, Phase};
use crate::recorder::{About, Effect, RecorderEnd};
use crate::{Moment, tls};

/// For each step: to be connected, to be secure, to be a WebSocket, to be rid of a message.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// Commands that wait for the daemon; more are refused.
const COMMANDS: usize = 64;
/// A line that held so long is a good one: the next try after it is soon.
const HELD: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://recordings.example`, perhaps with a path. `http` for this machine, or where `plain_http` allows it.
    pub server: String,
    pub token: Token,
    /// Certificates (PEM) to trust besides the machine's.
    pub ca_file: Option<PathBuf>,
    pub plain_http: bool,
    pub about: About,
}

/// Where the recorder's token is. It is read for each connection, so that one that was renewed is used.
#[derive(Debug, Clone)]
pub enum Token {
    File(PathBuf),
    Variable(String),
}

/// The link cannot begin: the deployer's fault. What happens to the line later is a [`LinkState`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    #[error("`{0}` is not the address of a server; write it as in https://recordings.example")]
    Address(String),
    #[error("`{0}` sends the token over plain http; use https, or allow it with `plain_http = true`")]
    PlainHttp(String),
    #[error("no random numbers: {0}")]
    Random(String),
}

pub struct Link;

impl Link {
    /// Begins on the current tokio runtime, and never blocks it. The receiver gives each command once, to be answered through
    /// the handle.
    pub fn start(settings: Settings) -> Result<(LinkHandle, mpsc::Receiver<Command>), LinkError> {
        let address = Address::parse(&settings.server, settings.plain_http)?;
        let mut stream = [0; 8];
        getrandom::fill(&mut stream).map_err(|error| LinkError::Random(error.to_string()))?;
        let stream = StreamId(format!("{:016x}", u64::from_be_bytes(stream)).into());
        let (asks, asked) = mpsc::unbounded_channel();
        let (state, watched) = watch::channel(LinkState::FIRST);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let line = Line {
            end: RecorderEnd::new(settings.about.clone(), stream),
            began: Instant::now(),
            asked,
            commands,
            state,
            verdicts: HashMap::new(),
            asked_so_far: 0,
        };
        tokio::spawn(line.keep(address, settings));
        Ok((LinkHandle { asks, state: watched }, receiver))
    }
}

#[derive(Debug, Clone)]
struct Address {
    host: String,
    port: u16,
    is_secure: bool,
    /// Of the WebSocket.
    uri: Uri,
}

impl Address {
    fn parse(text: &str, plain_http: bool) -> Result<Address, LinkError> {
        let wrong = || LinkError::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (authority, host) = authority.zip(uri.host()).ok_or_else(wrong)?;
        let is_secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        if uri.query().is_some() {
            return Err(wrong());
        }
        if !is_secure && !plain_http && !is_this_machine(host) {
            return Err(LinkError::PlainHttp(text.to_owned()));
        }
        let scheme = if is_secure { "wss" } else { "ws" };
        let path = uri.path().trim_end_matches('/');
        let uri = format!("{scheme}://{authority}{path}{PATH}").parse().map_err(|_| wrong())?;
        let port = authority.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Address { host, port, is_secure, uri })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Why there is no line.
struct Problem {
    text: String,
    /// The server, or the settings here, do not let us: it will take somebody to mend it.
    is_refused: bool,
}

impl From<String> for Problem {
    fn from(text: String) -> Problem {
        Problem { text, is_refused: false }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
type Socket = WebSocketStream<Box<dyn Stream>>;

async fn dial(address: Address, settings: Settings) -> Result<Socket, Problem> {
    let token = read(&settings.token).map_err(|text| Problem { text, is_refused: true })?;
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut bearer = bearer.map_err(|_| Problem {
        text: "the token has characters that no token has".to_owned(),
        is_refused: true,
    })?;
    bearer.set_sensitive(true);
    let place = format!("{}:{}", address.host, address.port);
    let stream = in_time(TcpStream::connect((address.host.as_str(), address.port)), &place).await?;
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Stream> = match address.is_secure {
        false => Box::new(stream),
        true => {
            let config = tls::config(settings.ca_file.as_deref())?;
            let name = address.host.try_into().map_err(|_| format!("{place}: not a name for TLS"))?;
            let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
            Box::new(in_time(connector.connect(name, stream), &place).await?)
        }
    };
    let mut request = address.uri.into_client_request().map_err(|error| Problem::from(error.to_string()))?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    match timeout(STEP_LIMIT, client_async_with_config(request, stream, Some(config))).await {
        Err(_) => Err(format!("{place}: no WebSocket within {} s", STEP_LIMIT.as_secs()).into()),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let status = response.status();
            let is_refused = status.is_client_error() && status.as_u16() != 429;
            Err(Problem { text: format!("{place} answers {status}"), is_refused })
        }
        Ok(Err(error)) => Err(format!("{place}: {error}").into()),
        Ok(Ok((socket, _))) => Ok(socket),
    }
}

async fn in_time<T>(step: impl Future<Output = std::io::Result<T>>, place: &str) -> Result<T, Problem> {
    match timeout(STEP_LIMIT, step).await {
        Ok(done) => done.map_err(|error| format!("{place}: {error}").into()),
        Err(_) => Err(format!("{place}: no answer within {} s", STEP_LIMIT.as_secs()).into()),
    }
}

fn read(token: &Token) -> Result<String, String> {
    let (text, name) = match token {
        Token::File(file) => {
            (std::fs::read_to_string(file).map_err(|e| e.to_string()), file.display().to_string())
        }
        Token::Variable(name) => {
            (std::env::var(name).map_err(|e| e.to_string()), format!("the variable {name}"))
        }
    };
    match text.map_err(|error| format!("{name}: {error}"))?.trim() {
        "" => Err(format!("{name} is empty")),
        token => Ok(token.to_owned()),
    }
}

struct Line {
    end: RecorderEnd,
    began: Instant,
    asked: mpsc::UnboundedReceiver<Ask>,
    commands: mpsc::Sender<Command>,
    state: watch::Sender<LinkState>,
    /// Who waits for the server's word on credentials, on this connection.
    verdicts: HashMap<u32, oneshot::Sender<Verdict>>,
    asked_so_far: u32,
}

/// Nobody holds the link any more.
struct Gone;

impl Line {
    async fn keep(mut self, address: Address, settings: Settings) {
        let mut backoff = Backoff::default();
        loop {
            self.say(Phase::Connecting);
            let dialed = match self.meanwhile(dial(address.clone(), settings.clone())).await {
                Ok(dialed) => dialed,
                Err(Gone) => return,
            };
            let problem = match dialed {
                Err(problem) => problem,
                Ok(socket) => {
                    let since = Instant::now();
                    let served = self.serve(socket).await;
                    self.end.cut();
                    self.verdicts.clear();
                    if since.elapsed() >= HELD {
                        backoff.reset();
                    }
                    match served {
                        Ok(problem) => problem,
                        Err(Gone) => return,
                    }
                }
            };
            let wait = backoff.wait(problem.is_refused, chance());
            if backoff.tries() == 1 || problem.is_refused {
                tracing::warn!(problem = problem.text, "no link to the server");
            } else {
                tracing::debug!(problem = problem.text, tries = backoff.tries(), "no link to the server");
            }
            self.say(Phase::Cut { problem: problem.text, next: self.now().utc.plus(wait) });
            if self.meanwhile(tokio::time::sleep(wait)).await.is_err() {
                return;
            }
        }
    }

    fn now(&self) -> Moment {
        Moment { monotonic: self.began.elapsed(), utc: Utc(jiff::Timestamp::now()) }
    }

    /// Takes in what is asked while something else is waited for.
    async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> Result<T, Gone> {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                done = &mut wait => return Ok(done),
                ask = self.asked.recv() => {
                    let effects = self.asked_for(ask.ok_or(Gone)?);
                    // There is no line: nothing is to be sent.
                    drop(effects);
                    self.count();
                }
            }
        }
    }

    fn asked_for(&mut self, ask: Ask) -> Vec<Effect> {
        let now = self.now();
        match ask {
            Ask::Tell(event) => self.end.tell(event, now),
            Ask::Answer(id, result) => self.end.answer(&id, result),
            Ask::Status(status) => self.end.status(status, now),
            Ask::Verify { .. } if !self.end.is_open() => Vec::new(),
            Ask::Verify { name, password, verdict } => {
                // Those who have given up waiting make room.
                self.verdicts.retain(|_, waiting| !waiting.is_closed());
                self.asked_so_far = self.asked_so_far.wrapping_add(1);
                self.verdicts.insert(self.asked_so_far, verdict);
                vec![Effect::Send(FromRecorder::Credentials { id: self.asked_so_far, name, password })]
            }
        }
    }

    /// Until the connection is of no use any more.
    async fn serve(&mut self, socket: Socket) -> Result<Problem, Gone> {
        let (mut sink, mut stream) = socket.split();
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut effects = self.end.connected(self.now());
        loop {
            let (messages, closed) = self.act(effects);
            for message in messages {
                let Ok(text) = serde_json::to_string(&message) else { continue };
                match timeout(STEP_LIMIT, sink.send(Message::text(text))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Ok(error.to_string().into()),
                    Err(_) => return Ok("the server takes nothing".to_owned().into()),
                }
            }
            if let Some(problem) = closed {
                let _ = timeout(STEP_LIMIT, sink.close()).await;
                return Ok(problem);
            }
            self.show();
            effects = tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.heard(&text),
                    Some(Ok(Message::Close(_))) | None => return Ok("the server has closed the line".to_owned().into()),
                    Some(Ok(_)) => Vec::new(),
                    Some(Err(error)) => return Ok(error.to_string().into()),
                },
                ask = self.asked.recv() => match ask {
                    Some(ask) => self.asked_for(ask),
                    None => {
                        let _ = timeout(Duration::from_secs(1), sink.close()).await;
                        return Err(Gone);
                    }
                },
                _ = ticks.tick() => self.end.tick(self.now()),
            };
        }
    }

    fn heard(&mut self, text: &str) -> Vec<Effect> {
        match FromServer::parse(text) {
            Ok(FromServer::Verdict { id, verdict }) => {
                if let Some(waiting) = self.verdicts.remove(&id) {
                    let _ = waiting.send(verdict);
                }
                Vec::new()
            }
            Ok(message) => self.end.take(message, self.now()),
            Err(error) => {
                tracing::warn!(%error, "the server says something that is not understood");
                Vec::new()
            }
        }
    }

    /// Hands commands over; what is left is to be sent, and whether to close the line then.
    fn act(&mut self, effects: Vec<Effect>) -> (Vec<FromRecorder>, Option<Problem>) {
        let (mut messages, mut closed) = (Vec::new(), None);
        for effect in effects {
            match effect {
                Effect::Send(message) => messages.push(message),
                Effect::Close { reason, is_refused } => closed = Some(Problem { text: reason, is_refused }),
                Effect::Do(command) => {
                    let id = command.id.clone();
                    if self.commands.try_send(command).is_err() {
                        let busy = CommandResult::refused(Refusal::Busy, "too many commands wait");
                        let answer = self.end.answer(&id, busy).into_iter();
                        messages.extend(answer.filter_map(|effect| match effect {
                            Effect::Send(message) => Some(message),
                            _ => None,
                        }));
                    }
                }
            }
        }
        (messages, closed)
    }

    fn say(&self, phase: Phase) {
        self.state.send_if_modified(|state| {
            let is_new = state.phase != phase;
            state.phase = phase;
            is_new
        });
        self.count();
    }

    /// The counts alone.
    fn count(&self) {
        let (waiting, lost) = self.end.waiting();
        self.state.send_if_modified(|state| {
            let is_new = (state.waiting, state.lost) != (waiting, lost);
            (state.waiting, state.lost) = (waiting, lost);
            is_new
        });
    }

    fn show(&self) {
        if !self.end.is_open() {
            return self.count();
        }
        let now = self.now();
        let since = match self.state.borrow().phase {
            Phase::Open { since, .. } => since,
            _ => now.utc,
        };
        let offset = self.end.offset_ms(now);
        let (offset_ms, uncertainty_ms) = (offset.map(|offset| offset.0), offset.map(|offset| offset.1));
        self.say(Phase::Open { since, offset_ms, uncertainty_ms });
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_that_of_the_link() {
        let address = |text| Address::parse(text, false).map(|it| (it.host, it.port, it.uri.to_string()));
        let is = |host: &str, port, uri: &str| Ok((host.to_owned(), port, uri.to_owned()));
        assert_eq!(address("https://r.example"), is("r.example", 443, "wss://r.example/api/v1/link"));
        assert_eq!(
            address("https://r.example:8443/x/"),
            is("r.example", 8443, "wss://r.example:8443/x/api/v1/link")
        );
        assert_eq!(address("http://[::1]:80"), is("::1", 80, "ws://[::1]:80/api/v1/link"));
        for wrong in
            ["r.example", "ftp://r.example", "https://", "https://me@r.example", "https://r.example/?a=b", ""]
        {
            assert_eq!(address(wrong), Err(LinkError::Address(wrong.to_owned())));
        }
    }

    /// The token could be read on the way.
    #[test]
    fn plain_http_goes_to_this_machine_alone_unless_it_is_allowed() {
        for near in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert!(Address::parse(near, false).is_ok(), "{near}");
        }
        for far in ["http://r.example", "http://localhost.example", "http://10.0.0.1"] {
            assert_eq!(Address::parse(far, false).unwrap_err(), LinkError::PlainHttp(far.to_owned()));
            assert!(Address::parse(far, true).is_ok(), "{far}");
        }
    }
}
