//! Runs the real `deskreel run`, and uses its API as a program on the same PC does.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{PATIENCE, Program};
use crate::recorder::{Recording, deskreel};

pub const TOKEN: &str = "a-token-of-forty-letters-for-tests-alone";

/// A daemon in a folder of its own. Killed when the test drops it.
pub struct Daemon {
    pub folder: TempDir,
    /// `https://localhost:8643`
    pub api: String,
    program: Program,
}

impl Daemon {
    /// `pipeline` is the file without its top, `[recording]` and the desktop feed. Ann's password is
    /// `secret`.
    pub fn start(pipeline: &str, origins: &[&str]) -> Daemon {
        Daemon::start_with(pipeline, &[("origins", &format!("{origins:?}"))], "")
    }

    /// Like [`Daemon::start`], with more settings of the feed and in `[recording]`.
    pub fn start_with(pipeline: &str, feed: &[(&str, &str)], recording: &str) -> Daemon {
        Daemon::with_clock(pipeline, feed, recording, 0)
    }

    /// Like [`Daemon::start_with`], with a wall clock that is this many seconds ahead of this machine's.
    pub fn with_clock(pipeline: &str, feed: &[(&str, &str)], recording: &str, ahead_s: i64) -> Daemon {
        if ahead_s == 0 {
            return Daemon::with_environment(pipeline, feed, recording, &[]);
        }
        // The wall clock alone; the monotonic clock is unchanged.
        let library = format!("/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1", std::env::consts::ARCH);
        assert!(Path::new(&library).exists(), "no {library} (script/setup installs it)");
        let ahead = format!("{ahead_s:+}s");
        let clock = [("LD_PRELOAD", &*library), ("FAKETIME", &ahead), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        Daemon::with_environment(pipeline, feed, recording, &clock)
    }

    /// Like [`Daemon::start_with`], with these variables, also when it is started again.
    pub fn with_environment(
        pipeline: &str,
        feed: &[(&str, &str)],
        recording: &str,
        environment: &[(&str, &str)],
    ) -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let secret = |name: &str, text: &str| {
            fs::write(at(name), text).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).unwrap();
        };
        secret("token", TOKEN);
        secret("agents", &password("ann", "secret"));
        let place = if feed.iter().any(|(key, _)| *key == "place") { "" } else { "place = \"seat-12\"\n" };
        let feed: String = feed.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let text = format!(
            "version = 1\nname = \"test\"\n{pipeline}\n[recording]\ntracks = [\"video\"]\ndirectory = {:?}\n\
             {recording}[feed.desktop]\nplugin = \"feed.desktop\"\nlisten = \"localhost:0\"\n{place}\
             agents_file = {:?}\ntoken_file = {:?}\n{feed}",
            at("recordings"),
            at("agents"),
            at("token"),
        );
        fs::write(at("pipeline.toml"), text).unwrap();
        let variables: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fs::write(at("environment"), variables.join("\n")).unwrap();
        Daemon::in_folder(folder)
    }

    /// Starts it, or starts it again, with the file in the folder.
    pub fn in_folder(folder: TempDir) -> Daemon {
        let mut command = deskreel();
        let environment = fs::read_to_string(folder.path().join("environment")).unwrap();
        command.envs(environment.lines().filter_map(|line| line.split_once('=')));
        command.args(["run", "--log", "json"]).arg(folder.path().join("pipeline.toml"));
        command.env("STATE_DIRECTORY", folder.path().join("state"));
        let mut daemon = Daemon { folder, api: String::new(), program: Program::with_log(command) };
        let listens = daemon.wait_for_log("the API listens");
        let address = listens["address"].as_str().unwrap();
        let port = address.rsplit(':').next().unwrap();
        daemon.api = format!("https://localhost:{port}");
        daemon
    }

    /// Waits for the next line of the log with this message.
    pub fn wait_for_log(&mut self, message: &str) -> Value {
        self.program.wait_for_log(message)
    }

    pub fn recordings(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    /// The folders of its recordings, oldest first.
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = fs::read_dir(self.recordings())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|folder| folder.is_dir() && folder.file_name().is_some_and(|name| name != "api"))
            .collect();
        folders.sort();
        folders
    }

    /// Waits until this many more recordings have their final segments beside them. Returns them in that
    /// order.
    pub fn wait_for_recordings(&mut self, count: usize) -> Vec<Recording> {
        let settled =
            (0..count).map(|_| self.wait_for_log("settled")["recording"].as_str().unwrap().to_owned());
        let ids: Vec<String> = settled.collect();
        ids.iter().map(|id| Recording::open(&self.recordings().join(id))).collect()
    }

    /// Lets it run for this long.
    pub fn run_for(&self, duration: Duration) {
        self.program.run_for(duration);
    }

    pub fn status(&self) -> Value {
        let (status, answer) = ApiClient::new(&self.api, TOKEN).ask("GET", "/api/v1/status", None);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Waits until its status is as `wanted`. Looks at it after each line of the log, and each second.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + 3 * PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Instant::now() < limit, "no {what}: {status:#}");
            self.program.wait_for_line(Duration::from_secs(1));
        }
    }

    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Asks for a clean end and waits for it. Returns the folder.
    pub fn stop(mut self) -> TempDir {
        self.program.stop();
        self.folder
    }

    /// Sends SIGKILL. Returns the folder of that moment.
    pub fn kill(mut self) -> TempDir {
        self.program.kill();
        self.folder
    }
}

/// A line for the agents' file.
fn password(agent: &str, password: &str) -> String {
    let mut child = deskreel()
        .args(["password", agent])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("deskreel starts");
    child.stdin.take().unwrap().write_all(password.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Asks the API with `curl`, which is not our code.
struct ApiClient<'a> {
    api: &'a str,
    token: &'a str,
}

impl<'a> ApiClient<'a> {
    fn new(api: &'a str, token: &'a str) -> Self {
        ApiClient { api, token }
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--max-time", "30", "-X", method, "-w", "\n%{http_code}"]);
        curl.args(["-H", &format!("Authorization: Bearer {}", self.token)]);
        if let Some(body) = body {
            curl.args(["-H", "Content-Type: application/json", "-d", &body.to_string()]);
        }
        let output =
            curl.arg(format!("{}{path}", self.api)).output().expect("curl runs (script/setup installs it)");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
    }
}

/// An agent's session, as a program on the PC has it.
pub struct Ann {
    api: String,
    token: String,
}

impl Ann {
    pub fn log_in(daemon: &Daemon) -> Ann {
        Ann::as_agent(daemon, "ann")
    }

    /// Logs in another agent than Ann.
    pub fn as_agent(daemon: &Daemon, agent: &str) -> Ann {
        let agent = Some(json!({ "agent": agent }));
        let (status, session) = ApiClient::new(&daemon.api, TOKEN).ask("POST", "/api/v1/session", agent);
        assert_eq!(status, 201, "{session:#}");
        Ann { api: daemon.api.clone(), token: session["token"].as_str().unwrap().to_owned() }
    }

    pub fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        ApiClient::new(&self.api, &self.token).ask(method, path, Some(body).filter(|body| !body.is_null()))
    }

    /// Reports an event of a call of hers.
    pub fn tell(&self, kind: &str, call: &str) {
        let (status, answer) = self.ask("POST", "/api/v1/events", json!({ "type": kind, "call": call }));
        assert!(status < 300, "{status} {answer:#}");
    }

    pub fn log_out(&self) {
        let (status, answer) = self.ask("DELETE", "/api/v1/session", Value::Null);
        assert!(status < 300, "{status} {answer:#}");
    }
}
