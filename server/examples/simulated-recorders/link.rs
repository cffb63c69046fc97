//! Recorders with links: each obeys a command at once, and answers.
//!
//! Each line of standard input is the number of agents who get a call at once. Prints the milliseconds from
//! sending the request with all those events until each recorder had its `start`, and the same for the
//! `stop`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deskreel_contract::CaptureMode;
use deskreel_link::recorder::RecorderIdentity;
use deskreel_link::{Link, LinkSettings, TokenSource};
use deskreel_model::Utc;
use deskreel_model::link::{Command, CommandKind, CommandResult, RecorderStatus, RunningRecording};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::Result;
use crate::http::Connection;

/// Limit for everything.
const PATIENCE: Duration = Duration::from_secs(120);
/// Events of one request; the server accepts no more.
const EVENTS: usize = 1000;

/// A command that has arrived: a start or a stop.
struct ReceivedCommand {
    at: Instant,
    is_start: bool,
}

pub async fn run(server: &str, recorders: &[PathBuf], admin: &str) -> Result<()> {
    let begun = Instant::now();
    let (tell, mut heard) = unbounded_channel();
    let mut states = Vec::new();
    for file in recorders {
        states.push(begin(server, file, tell.clone())?);
    }
    for state in &mut states {
        timeout(PATIENCE, state.wait_for(|state| state.is_open())).await??;
    }
    let connected = begun.elapsed().as_secs_f64();
    let mut site = Site { server, admin, calls: 0 };
    let agents: Vec<String> = recorders.iter().map(|file| place(file).replace("seat", "agent")).collect();
    let logged_in: Vec<Value> = recorders
        .iter()
        .zip(&agents)
        .map(|(file, agent)| json!({ "type": "agent.logged_in", "agent": agent, "place": place(file) }))
        .collect();
    site.tell(&mut Connection::open(server).await?, &logged_in).await?;
    println!("{}", json!({ "connected": states.len(), "seconds": connected }));

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut next = 0;
    while let Some(line) = lines.next_line().await? {
        let chosen: Vec<&String> = agents.iter().cycle().skip(next).take(line.parse()?).collect();
        next = (next + chosen.len()) % agents.len();
        site.calls += 1;
        let calls = |kind: &str| {
            let number = site.calls;
            let call = |agent: &&String| json!({ "type": kind, "call": format!("{number}-{agent}"), "agent": agent });
            chosen.iter().map(call).collect::<Vec<_>>()
        };
        let (begin, end) = (calls("call.established"), calls("call.cleared"));
        let started = site.measure(&begin, true, &mut heard).await?;
        let stopped = site.measure(&end, false, &mut heard).await?;
        println!("{}", json!({ "start_ms": started, "stop_ms": stopped }));
    }
    Ok(())
}

fn place(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Starts a recorder, which runs as long as this program.
fn begin(
    server: &str,
    file: &Path,
    heard: UnboundedSender<ReceivedCommand>,
) -> Result<tokio::sync::watch::Receiver<deskreel_link::LinkState>> {
    let place = place(file);
    let identity = RecorderIdentity {
        program: "simulated".to_owned(),
        recorder: place.clone(),
        place: place.as_str().into(),
    };
    let token = TokenSource::File(file.to_owned());
    let settings =
        LinkSettings { server: server.to_owned(), token, ca_file: None, plain_http: true, identity };
    let (link, mut commands) = Link::start(settings)?;
    let state = link.state();
    tokio::spawn(async move {
        while let Some(Command { id, kind, .. }) = commands.recv().await {
            let at = Instant::now();
            let running = match kind {
                CommandKind::Start { recording, agent, .. } => {
                    let _ = heard.send(ReceivedCommand { at, is_start: true });
                    let since = Utc(jiff::Timestamp::now());
                    vec![RunningRecording { recording, agent, capture: CaptureMode::Live, since }]
                }
                CommandKind::Stop { .. } => {
                    let _ = heard.send(ReceivedCommand { at, is_start: false });
                    Vec::new()
                }
                _ => continue,
            };
            link.answer(id, CommandResult::Done);
            link.send_status(RecorderStatus { recordings: running, ..RecorderStatus::default() });
        }
    });
    Ok(state)
}

/// The telephony system, as the server sees it.
struct Site<'a> {
    server: &'a str,
    admin: &'a str,
    calls: u64,
}

impl Site<'_> {
    async fn tell(&self, connection: &mut Connection, events: &[Value]) -> Result<()> {
        let headers = format!("Authorization: Bearer {}\r\nContent-Type: application/json\r\n", self.admin);
        for events in events.chunks(EVENTS) {
            let now = Utc(jiff::Timestamp::now()).to_string();
            let mut events = events.to_vec();
            events.iter_mut().for_each(|event| event["at"] = json!(now));
            let body = json!(events).to_string();
            let status = connection.send("POST", "/api/v1/events", &headers, body.as_bytes()).await?;
            if status != 202 {
                return Err(format!("the server answered events with {status}").into());
            }
        }
        Ok(())
    }

    /// Sends events. Returns the milliseconds until each recorder had its command.
    async fn measure(
        &self,
        events: &[Value],
        is_start: bool,
        heard: &mut UnboundedReceiver<ReceivedCommand>,
    ) -> Result<Vec<f64>> {
        // The server closes connections that have been silent for a while.
        let mut connection = Connection::open(self.server).await?;
        let sent = Instant::now();
        self.tell(&mut connection, events).await?;
        let mut took = Vec::new();
        while took.len() < events.len() {
            let one = timeout(PATIENCE, heard.recv()).await?.ok_or("no recorder is left")?;
            if one.is_start == is_start {
                took.push((one.at - sent).as_secs_f64() * 1e3);
            }
        }
        Ok(took)
    }
}
