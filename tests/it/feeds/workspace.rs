//! `feed.workspace` against CometD's own server: logged in, through breaks and lost sessions, with and
//! without acknowledged messages.

mod cometd;
mod sessions;
mod tokens;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use deskreel_test_support::paths::root;
use deskreel_test_support::ports::free_port;
use tempfile::TempDir;

use super::*;

const VOICE: &str = "/workspace/v3/voice";

/// The server, in a process of its own.
struct Workspace {
    child: Child,
    input: ChildStdin,
    tells: Receiver<Value>,
}

impl Workspace {
    fn start(port: u16, options: &[&str]) -> Workspace {
        let folder = root().join("tests/feeds/workspace_server");
        assert!(folder.join("node_modules").exists(), "run script/setup first");
        let mut node = Command::new("node");
        node.arg(folder.join("server.mjs")).arg(port.to_string()).args(options);
        let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (tell, tells) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let _ = tell.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        let workspace = Workspace { child, input, tells };
        workspace.expect("listening");
        workspace
    }

    fn ask(&mut self, command: Value) {
        writeln!(self.input, "{command}").unwrap();
    }

    fn deliver(&mut self, user: &str, channel: &str, data: Value) {
        self.ask(json!({ "deliver": user, "channel": channel, "data": data }));
    }

    fn call(&mut self, user: &str, call: Value) {
        let data =
            json!({ "messageType": "CallStateChanged", "notificationType": "StatusChange", "call": call });
        self.deliver(user, VOICE, data);
    }

    /// Sets the current session of a user.
    fn set(&mut self, user: &str, active: Value) {
        self.ask(json!({ "set": user, "active": active }));
    }

    /// The next report of this kind. The feed may request nothing that the server does not know.
    fn expect(&self, what: &str) -> Value {
        loop {
            let report = self.tells.recv_timeout(Duration::from_secs(20)).unwrap();
            assert!(report.get("unexpected").is_none(), "{report}");
            if report.get(what).is_some() {
                return report;
            }
        }
    }

    /// The grants of the tokens that have been requested since the last call.
    fn grants(&self) -> Vec<String> {
        self.tells.try_iter().filter_map(|report| report["token"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Folder {
    folder: TempDir,
    port: u16,
}

impl Folder {
    fn new(users: &str) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("users", users);
        write("client", "client-secret\n");
        write("key", "the-key\n");
        let port = free_port();
        Folder { folder, port }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Running {
        self.start_with(json!({}))
    }

    fn start_with(&self, own: Value) -> Running {
        let mut settings = json!({
            "server": format!("http://127.0.0.1:{}", self.port), "users_file": self.path("users"),
            "client_secret_file": self.path("client"), "api_key_file": self.path("key"),
        });
        settings.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        super::start("workspace", settings)
    }
}

impl Running {
    /// The next event, in short: its type, its state and the agent.
    fn next_in_short(&self) -> String {
        let event = self.next();
        let agent = event["agent"].as_str().unwrap_or_default();
        let detail = ["state", "call"].iter().find_map(|key| event[*key].as_str()).unwrap_or_default();
        format!("{} {detail} {agent}", event["type"].as_str().unwrap())
    }

    fn wait_for(&self, expected: &str) {
        while self.next_in_short() != expected {}
    }

    fn expect_short(&self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.next_in_short(), *expected);
        }
    }
}

const ANN: &str = "ann:a pass:word&\n";

fn dn(number: &str) -> Value {
    json!({ "number": number, "agentState": "Ready", "agentWorkMode": "AutoIn" })
}

#[test]
fn an_agents_calls_and_states_are_reported_from_the_log_in_on() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", json!({ "dn": dn("4711") }));
    let feed = folder.start();
    feed.expect_short(&[
        "feed.state catching_up ann",
        "feed.state registered ann",
        "agent.logged_in  ann",
        "agent.state ready ann",
        "feed.state live ann",
    ]);
    for state in ["Ringing", "Established", "Held", "Established", "Released", "Completed"] {
        workspace.call("ann", json!({ "id": "u1", "state": state, "callType": "Inbound" }));
    }
    feed.expect_short(&[
        "call.delivered u1 ann",
        "call.established u1 ann",
        "call.held u1 ann",
        "call.retrieved u1 ann",
        "call.cleared u1 ann",
    ]);
    let mail = json!({ "id": "m1", "mediatype": "email", "state": "Processing" });
    let mail = json!({ "messageType": "InteractionStateChanged", "interaction": mail });
    workspace.deliver("ann", "/workspace/v3/media/email", mail);
    feed.expect_short(&["interaction.accepted  ann"]);
    let channels = json!({ "channels": [{ "name": "email", "state": "NotReady" }] });
    workspace.deliver(
        "ann",
        "/workspace/v3/media",
        json!({ "messageType": "ChannelStateChanged", "media": channels }),
    );
    feed.expect_short(&["agent.state not_ready ann"]);
    // Longer than the server holds a poll.
    feed.expect_nothing_for(Duration::from_secs(2));
    let told = Instant::now();
    workspace.call("ann", json!({ "id": "u2", "state": "Ringing" }));
    feed.expect_short(&["call.delivered u2 ann"]);
    assert!(told.elapsed() < Duration::from_millis(300), "{:?}", told.elapsed());

    feed.stop();
    assert_eq!(
        workspace.expect("removed"),
        json!({ "removed": "ann", "timeout": false }),
        "it has disconnected"
    );
}

#[test]
fn a_two_step_transfer_is_reported_by_two_sessions() {
    let folder = Folder::new("ann:a pass:word&\nbob:b\n");
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", json!({ "dn": dn("1") }));
    workspace.set("bob", json!({ "dn": dn("2") }));
    let feed = folder.start();
    let mut live = 0;
    while live < 2 {
        live += usize::from(feed.next_in_short().starts_with("feed.state live"));
    }
    let consult = json!({ "id": "u2", "parentConnId": "u1", "state": "Established", "callType": "Consult" });
    workspace.call("ann", json!({ "id": "u1", "state": "Established", "callType": "Inbound" }));
    feed.expect_short(&["call.established u1 ann"]);
    workspace.call("ann", json!({ "id": "u1", "state": "Held", "callType": "Inbound" }));
    feed.expect_short(&["call.held u1 ann"]);
    workspace.call("bob", consult.clone());
    let established = feed.next();
    assert_eq!((&established["call"], &established["parent_call"]), (&json!("u2"), &json!("u1")));
    workspace.call(
        "bob",
        json!({ "id": "u1", "previousConnId": "u2", "state": "Established", "callType": "Inbound" }),
    );
    feed.expect_short(&["call.established u1 bob", "call.cleared u2 bob"]);
    workspace.call("ann", json!({ "id": "u1", "state": "Released" }));
    feed.expect_short(&["call.cleared u1 ann"]);
    feed.stop();
}

#[test]
fn a_forgotten_session_is_begun_again_and_missed_changes_are_reported() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", json!({ "dn": dn("4711") }));
    let feed = folder.start();
    while feed.next_in_short() != "feed.state live ann" {}
    workspace.call("ann", json!({ "id": "u1", "state": "Established" }));
    feed.expect_short(&["call.established u1 ann"]);
    workspace.set("ann", json!({ "dn": dn("4711"), "calls": [{ "id": "u2", "state": "Ringing" }] }));
    workspace.ask(json!({ "expire": "ann" }));
    workspace.expect("removed");
    feed.expect_short(&[
        "feed.state lost ann",
        "feed.state catching_up ann",
        "feed.gap  ann",
        "call.cleared u1 ann",
        "call.delivered u2 ann",
        "agent.state ready ann",
        "feed.state live ann",
    ]);
    workspace.call("ann", json!({ "id": "u2", "state": "Established" }));
    feed.expect_short(&["call.established u2 ann"]);
    feed.stop();
}

#[test]
fn a_forgotten_session_whose_workspace_is_gone_too_logs_in_again() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    let feed = folder.start();
    feed.wait_for("feed.state live ann");
    workspace.ask(json!({ "expire": "ann", "log_out": "ann" }));
    feed.expect_short(&[
        "feed.state lost ann",
        "feed.state catching_up ann",
        "feed.gap  ann",
        "feed.state live ann",
    ]);
    assert_eq!(workspace.grants(), ["password", "password"]);
    feed.stop();
}

/// With acknowledged messages: the server keeps them until we have acknowledged them.
#[test]
fn answers_that_break_lose_and_double_nothing() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &[]);
    let feed = folder.start();
    while feed.next_in_short() != "feed.state live ann" {}
    let mut number = 0;
    for round in 1..=3 {
        workspace.ask(json!({ "break": round % 2 + 1 }));
        for _ in 0..20 {
            number += 1;
            for state in ["Ringing", "Released"] {
                workspace.call("ann", json!({ "id": number.to_string(), "state": state }));
            }
        }
        // It rings, and is over.
        feed.expect_calls((number - 19..=number).flat_map(|number| [number, number]));
    }
    feed.expect_nothing_for(Duration::from_millis(500));
    feed.stop();
}

#[test]
fn an_answer_that_breaks_without_acknowledgements_is_a_gap() {
    let folder = Folder::new(ANN);
    let mut workspace = Workspace::start(folder.port, &["--no-ack"]);
    let feed = folder.start();
    while feed.next_in_short() != "feed.state live ann" {}
    workspace.call("ann", json!({ "id": "u1", "state": "Ringing" }));
    feed.expect_short(&["call.delivered u1 ann"]);
    // The poll under way ends well; the next one does not.
    workspace.set("ann", json!({ "calls": [{ "id": "u1", "state": "Established" }] }));
    workspace.ask(json!({ "break": 1 }));
    feed.expect_short(&[
        "feed.state lost ann",
        "feed.state catching_up ann",
        "feed.gap  ann",
        "call.established u1 ann",
        "feed.state live ann",
    ]);
    feed.stop();
}

#[test]
fn a_wrong_password_is_reported_and_holds_up_no_other_agent() {
    let folder = Folder::new("bob:wrong\nann:a pass:word&\n");
    let mut workspace = Workspace::start(folder.port, &[]);
    workspace.set("ann", json!({}));
    let feed = folder.start();
    let mut seen = Vec::new();
    while !(seen.contains(&"feed.state live ann".to_owned())
        && seen.contains(&"feed.state lost bob".to_owned()))
    {
        seen.push(feed.next_in_short());
    }
    assert!(!seen.contains(&"feed.state live bob".to_owned()), "{seen:?}");
    feed.stop();
}

#[test]
fn a_missing_server_is_waited_for_but_delays_no_stop() {
    let folder = Folder::new(ANN);
    let feed = folder.start();
    let lost = feed.expect_state("lost");
    assert!(lost["reason"].as_str().unwrap().contains("refused"), "{lost}");
    let _workspace = Workspace::start(folder.port, &[]);
    while feed.next_in_short() != "feed.state live ann" {}
    let began = Instant::now();
    feed.stop();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn contradictory_settings_are_refused() {
    let folder = Folder::new("nobody");
    let users = folder.path("users");
    let error = |settings: Value| match open("workspace", settings) {
        Ok(mut feed) => feed.plugin.start_feed().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let near = "http://127.0.0.1:1";
    assert!(error(json!({ "server": "http://far.example", "users_file": users })).contains("plain_http"));
    assert!(
        error(json!({ "server": near, "users_file": users }))
            .contains("line 1 is not `name:password`; without a password, set `tokens_folder`")
    );
    assert!(error(json!({ "server": near, "users_file": "/none" })).contains("/none"));
    assert!(
        error(json!({ "server": near, "users_file": users, "agent": "shoe_size" })).contains("shoe_size")
    );
}
