//! Keeps a connection to the server: opens it, serves it until it breaks, and opens it again.

use std::time::{Duration, Instant};

use deskreel_model::Utc;
use deskreel_model::link::{Command, CommandRefusal, CommandResult, EventStreamId, FromRecorder, FromServer};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::ClockReading;
use crate::address::Address;
use crate::backoff::Backoff;
use crate::credentials::PendingVerdicts;
use crate::dial::{Problem, STEP_LIMIT, Socket, dial};
use crate::handle::{LinkHandle, LinkPhase, LinkRequest, LinkState};
use crate::recorder::{Effect, RecorderEnd};
use crate::settings::{LinkError, LinkSettings};

/// Commands that may wait for the daemon; further ones are refused.
const COMMAND_QUEUE: usize = 64;
/// A connection that lasted this long was good: the next try after it is soon.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// Time for a closing WebSocket when the program ends.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

pub struct Link;

impl Link {
    /// Starts the link on the current tokio runtime, and never blocks. The receiver yields each command once;
    /// answer it through the handle.
    pub fn start(settings: LinkSettings) -> Result<(LinkHandle, mpsc::Receiver<Command>), LinkError> {
        let address = Address::parse(&settings.server, settings.plain_http)?;
        let mut stream = [0; 8];
        getrandom::fill(&mut stream).map_err(|error| LinkError::Random(error.to_string()))?;
        let stream = EventStreamId(format!("{:016x}", u64::from_be_bytes(stream)).into());
        let (requests, received) = mpsc::unbounded_channel();
        let (state, watched) = watch::channel(LinkState::FIRST);
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let keeper = Keeper {
            end: RecorderEnd::new(settings.identity.clone(), stream),
            began: Instant::now(),
            requests: received,
            commands,
            state,
            verdicts: PendingVerdicts::default(),
        };
        tokio::spawn(keeper.keep(address, settings));
        Ok((LinkHandle { requests, state: watched }, receiver))
    }
}

struct Keeper {
    end: RecorderEnd,
    began: Instant,
    requests: mpsc::UnboundedReceiver<LinkRequest>,
    commands: mpsc::Sender<Command>,
    state: watch::Sender<LinkState>,
    verdicts: PendingVerdicts,
}

/// All handles were dropped: the link ends.
struct NoHandles;

impl Keeper {
    async fn keep(mut self, address: Address, settings: LinkSettings) {
        let mut backoff = Backoff::default();
        loop {
            self.set_phase(LinkPhase::Connecting);
            let Ok(dialed) = self.meanwhile(dial(address.clone(), settings.clone())).await else { return };
            let problem = match dialed {
                Err(problem) => problem,
                Ok(socket) => {
                    let since = Instant::now();
                    let served = match socket {
                        Socket::Plain(socket) => self.serve(*socket).await,
                        Socket::Tls(socket) => self.serve(*socket).await,
                    };
                    self.end.disconnected();
                    self.verdicts.clear();
                    if since.elapsed() >= STABLE_AFTER {
                        backoff.reset();
                    }
                    let Ok(problem) = served else { return };
                    problem
                }
            };
            let wait = backoff.wait(problem.is_refused, chance());
            if backoff.tries() == 1 || problem.is_refused {
                tracing::warn!(problem = problem.text, "no link to the server");
            } else {
                tracing::debug!(problem = problem.text, tries = backoff.tries(), "no link to the server");
            }
            self.set_phase(LinkPhase::Cut { problem: problem.text, next: self.now().utc.plus(wait) });
            if self.meanwhile(tokio::time::sleep(wait)).await.is_err() {
                return;
            }
        }
    }

    fn now(&self) -> ClockReading {
        ClockReading { monotonic: self.began.elapsed(), utc: Utc(jiff::Timestamp::now()) }
    }

    /// Accepts requests while waiting for something else.
    async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> Result<T, NoHandles> {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                done = &mut wait => return Ok(done),
                request = self.requests.recv() => {
                    let effects = self.accept(request.ok_or(NoHandles)?);
                    // There is no connection to send anything on.
                    drop(effects);
                    self.update_counts();
                }
            }
        }
    }

    fn accept(&mut self, request: LinkRequest) -> Vec<Effect> {
        let now = self.now();
        match request {
            LinkRequest::SendEvent(event) => self.end.send_event(event, now),
            LinkRequest::Answer(id, result) => self.end.answer(&id, result),
            LinkRequest::Status(status) => self.end.set_status(status, now),
            LinkRequest::Verify { .. } if !self.end.is_open() => Vec::new(),
            LinkRequest::Verify { name, password, verdict } => {
                vec![Effect::Send(self.verdicts.ask(name, password, verdict))]
            }
        }
    }

    /// Serves a connection until it is of no further use. Returns why.
    async fn serve<S>(&mut self, socket: WebSocketStream<S>) -> Result<Problem, NoHandles>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
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
                    Err(_) => return Ok("the server accepts no more data".to_owned().into()),
                }
            }
            if let Some(problem) = closed {
                let _ = timeout(STEP_LIMIT, sink.close()).await;
                return Ok(problem);
            }
            self.update_state();
            effects = tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.receive(&text),
                    Some(Ok(Message::Close(_))) | None => {
                        return Ok("the server has closed the connection".to_owned().into());
                    }
                    Some(Ok(_)) => Vec::new(),
                    Some(Err(error)) => return Ok(error.to_string().into()),
                },
                request = self.requests.recv() => match request {
                    Some(request) => self.accept(request),
                    None => {
                        let _ = timeout(CLOSE_LIMIT, sink.close()).await;
                        return Err(NoHandles);
                    }
                },
                _ = ticks.tick() => self.end.tick(self.now()),
            };
        }
    }

    fn receive(&mut self, text: &str) -> Vec<Effect> {
        match FromServer::parse(text) {
            Ok(FromServer::Verdict { id, verdict }) => {
                self.verdicts.answer(id, verdict);
                Vec::new()
            }
            Ok(message) => self.end.receive(message, self.now()),
            Err(error) => {
                tracing::warn!(%error, "could not read a message from the server");
                Vec::new()
            }
        }
    }

    /// Hands commands to the daemon. Returns the messages to send, and why to close the connection
    /// afterwards, if so.
    fn act(&mut self, effects: Vec<Effect>) -> (Vec<FromRecorder>, Option<Problem>) {
        let (mut messages, mut closed) = (Vec::new(), None);
        for effect in effects {
            match effect {
                Effect::Send(message) => messages.push(message),
                Effect::Close { reason, is_refused } => closed = Some(Problem { text: reason, is_refused }),
                Effect::Do(command) => messages.extend(self.hand_over(command)),
            }
        }
        (messages, closed)
    }

    /// Hands a command to the daemon. Returns the refusal to send if too many wait there.
    fn hand_over(&mut self, command: Command) -> Option<FromRecorder> {
        let id = command.id.clone();
        if self.commands.try_send(command).is_ok() {
            return None;
        }
        let busy = CommandResult::refused(CommandRefusal::Busy, "too many commands wait");
        self.end.answer(&id, busy).into_iter().find_map(|effect| match effect {
            Effect::Send(message) => Some(message),
            _ => None,
        })
    }

    fn set_phase(&self, phase: LinkPhase) {
        self.state.send_if_modified(|state| {
            let is_new = state.phase != phase;
            state.phase = phase;
            is_new
        });
        self.update_counts();
    }

    fn update_counts(&self) {
        let (waiting, lost) = self.end.waiting();
        let (place, other) = (self.end.place_at_server(), self.end.occupied_by());
        self.state.send_if_modified(|state| {
            let is_new = (state.waiting, state.lost) != (waiting, lost)
                || (state.place.as_ref(), state.occupied_by.as_deref()) != (place, other);
            (state.waiting, state.lost, state.place) = (waiting, lost, place.cloned());
            state.occupied_by = other.map(str::to_owned);
            is_new
        });
    }

    fn update_state(&self) {
        if !self.end.is_open() {
            return self.update_counts();
        }
        let now = self.now();
        let since = match self.state.borrow().phase {
            LinkPhase::Open { since, .. } => since,
            _ => now.utc,
        };
        let offset = self.end.offset_ms(now);
        let (offset_ms, uncertainty_ms) = (offset.map(|offset| offset.0), offset.map(|offset| offset.1));
        self.set_phase(LinkPhase::Open { since, offset_ms, uncertainty_ms });
    }
}

/// A random number from 0 to 1.
fn chance() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
