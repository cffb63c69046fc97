//! The real server on a port of its own, with a desk that the test plays.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use deskreel_contract::CaptureMode;
use deskreel_desk::news::{News, What};
use deskreel_desk::status::{Health, HealthPart, HealthProblem, SpoolStatus, Status};
use deskreel_desk::{Act, Ask, Desk, Done, Ends, Refused};
use deskreel_desk_api::{
    Limits, RecordingSummary, RecordingsPage, Server, ServerSetup, Settings, agents_file_line,
};
use deskreel_model::event::Request;
use deskreel_model::{AgentId, MediaTime, RecordingId, Utc};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot, watch};

use super::http::{Answer, Http};

pub const PAGE: &str = "https://desktop.example";
pub const OTHER_PAGE: &str = "https://crm.example";
pub const TOKEN: &str = "the-token-of-programs-on-this-pc";
pub const PASSWORD: &str = "s3cret";
/// Limit for an immediate answer, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(20);

/// The desk's answer to each request.
pub type Reply = Box<dyn Fn(&Act) -> Result<Done, Refused> + Send>;

pub struct World {
    pub address: SocketAddr,
    pub folder: TempDir,
    pub news: News,
    status: watch::Sender<Arc<Status>>,
    acts: Arc<Acts>,
    /// While it is set, the desk accepts commands but answers none.
    held: watch::Sender<bool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Acts {
    all: Mutex<Vec<Act>>,
    more: Condvar,
}

/// Options in which worlds differ.
pub struct Wish {
    pub settings: Value,
    pub limits: Limits,
    pub reply: Reply,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish {
            settings: json!({}),
            limits: Limits::default(),
            reply: Box::new(|_| Ok(Done { recording: Some(recording()), capture: Some(CaptureMode::Live) })),
        }
    }
}

pub fn world() -> World {
    World::new(Wish::default())
}

pub fn limited(limits: Limits) -> World {
    World::new(Wish { limits, ..Wish::default() })
}

pub fn recording() -> RecordingId {
    serde_json::from_value(json!("20260105T090000Z-4f2a91")).unwrap()
}

impl World {
    pub fn new(wish: Wish) -> World {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder, &wish.settings);
        let (desk, ends) = Desk::new(status());
        let (told, tells) = (ends.status.clone(), ends.news.clone());
        let (acts, held) = (Arc::<Acts>::default(), watch::Sender::new(false));
        let setup = ServerSetup {
            link: None,
            settings: Settings::read(&settings).unwrap(),
            limits: wish.limits,
            desk,
            directory: folder.path().to_owned(),
            metrics: Box::new(|| "# EOF\n".to_owned()),
            recordings: Box::new(two_recordings),
        };
        let (stop, stopped) = oneshot::channel();
        let (bound, binds) = std::sync::mpsc::channel();
        let far_end = play(ends, acts.clone(), held.subscribe(), wish.reply);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = Server::bind(setup).await.unwrap();
                bound.send(server.local_addr().unwrap()).unwrap();
                tokio::spawn(far_end);
                server.run(async { drop(stopped.await) }).await;
            });
        });
        let address = binds.recv_timeout(SOON).unwrap();
        World {
            address,
            folder,
            news: tells,
            status: told,
            acts,
            held,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn http(&self) -> Http {
        Http::to(self.address)
    }

    /// Sends a request on a connection of its own.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.http().ask(method, path, headers, body)
    }

    /// Opens a session of a program.
    pub fn session(&self, agent: &str) -> String {
        let bearer = format!("Bearer {TOKEN}");
        let body = json!({ "agent": agent }).to_string();
        let answer = self.ask("POST", "/api/v1/session", &[("Authorization", &bearer)], &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    }

    /// Opens a session of a page. Returns the answer, with cookie and tokens.
    pub fn page_session(&self, origin: &str) -> Answer {
        let basic = basic("ann", PASSWORD);
        let answer =
            self.ask("POST", "/api/v1/session", &[("Origin", origin), ("Authorization", &basic)], "{}");
        assert_eq!(answer.status, 201, "{answer:?}");
        answer
    }

    pub fn acts(&self) -> Vec<Act> {
        self.acts.all.lock().unwrap().clone()
    }

    pub fn wait_for(&self, wanted: impl Fn(&Act) -> bool) -> Act {
        let acts = self.acts.all.lock().unwrap();
        let found = |acts: &Vec<Act>| acts.iter().find(|act| wanted(act)).cloned();
        let (acts, _) = self.acts.more.wait_timeout_while(acts, SOON, |acts| found(acts).is_none()).unwrap();
        found(&acts).unwrap_or_else(|| panic!("not asked: {acts:?}"))
    }

    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub fn problem(&self, problem: &str) {
        let mut status = status();
        status.health =
            Health { problems: vec![HealthProblem { part: HealthPart::Capture, text: problem.to_owned() }] };
        self.status.send_replace(Arc::new(status));
    }

    pub fn tell(&self, why: &str) {
        let what = What::Stopping { recording: recording(), why: why.to_owned() };
        self.news.tell(now(), what);
    }

    /// Shuts the server down, and waits for it.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Begins the shutdown of the server, without waiting.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn play(ends: Ends, acts: Arc<Acts>, held: watch::Receiver<bool>, reply: Reply) {
    let Ends { mut asks, status: _status, news: _news }: Ends = ends;
    while let Some(Ask { act, reply: back }) = next(&mut asks).await {
        let answer = reply(&act);
        let is_command = matches!(act, Act::Request { request: Request::Start | Request::Stop, .. });
        acts.all.lock().unwrap().push(act);
        acts.more.notify_all();
        let mut held = held.clone();
        tokio::spawn(async move {
            if is_command {
                held.wait_for(|held| !held).await.unwrap();
            }
            let _ = back.send(answer);
        });
    }
}

async fn next(asks: &mut mpsc::Receiver<Ask>) -> Option<Ask> {
    asks.recv().await
}

fn status() -> Status {
    Status {
        version: "0.1.0",
        pipeline: "test".to_owned(),
        started: now(),
        place: "seat 7".into(),
        health: Health { problems: vec![] },
        stale: None,
        counts: Default::default(),
        agent: None,
        recording: None,
        spool: SpoolStatus::default(),
    }
}

fn settings(folder: &TempDir, wished: &Value) -> Value {
    let mut settings = json!({
        "listen": "127.0.0.1:0",
        "scheme": "http",
        "origins": [PAGE, OTHER_PAGE],
        "agents_file": secret(folder, "agents", agents()),
        "token_file": secret(folder, "token", TOKEN),
    });
    for (name, value) in wished.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

/// All tests share one hash, since it takes a while to compute.
fn agents() -> &'static str {
    static LINES: OnceLock<String> = OnceLock::new();
    LINES.get_or_init(|| {
        let line = agents_file_line("ann", PASSWORD).unwrap();
        let bob = line.replacen("ann", "bob", 1);
        format!("{line}\n{bob}\n")
    })
}

pub fn secret(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

pub fn basic(name: &str, password: &str) -> String {
    use base64::Engine;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}")))
}

fn now() -> Utc {
    Utc::parse("2026-01-05T09:00:00Z").unwrap()
}

/// The status of a desk without an agent.
pub fn desk() -> Desk {
    Desk::new(status()).0
}

/// Two recordings of ann.
pub fn two_recordings(
    agent: &AgentId,
    after: Option<&RecordingId>,
    limit: usize,
) -> Result<RecordingsPage, String> {
    let ids = ["20260105T090000Z-4f2a91", "20260104T090000Z-000001"];
    let all = ids.iter().filter(|_| agent.as_str() == "ann");
    let rest: Vec<RecordingSummary> = all
        .filter(|id| after.is_none_or(|after| **id < after.as_str()))
        .map(|id| RecordingSummary {
            recording: serde_json::from_value(json!(id)).unwrap(),
            started: now(),
            duration: MediaTime::from_millis(1500),
            bytes: 7,
            gaps: 0,
            outcome: None,
            pending: vec!["archive".to_owned()],
        })
        .collect();
    Ok(RecordingsPage { more: rest.len() > limit, recordings: rest.into_iter().take(limit).collect() })
}
