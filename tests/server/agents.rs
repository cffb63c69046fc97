//! Agents log in at their recorder's desktop API with the passwords that the server has; none is in a file on
//! their PC.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::people::admin;
use deskreel_test_support::daemon::Daemon;
use deskreel_test_support::server::{Server, Who};

const PAGE: &str = "https://desktop.example";

/// A recorder with a link and without passwords of its own.
fn recorder(server: &Server, place: &str) -> Daemon {
    let token = server.folder.path().join(format!("token-{place}"));
    fs::write(&token, server.enrol(place)).unwrap();
    let pipeline = format!(
        "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"still\"\nwidth = 320\nheight = 180\n\
         [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\n\
         [link]\nserver = \"{}\"\ntoken_file = {token:?}\n",
        server.url
    );
    let settings = [("place", &*format!("{place:?}")), ("origins", &*format!("[{PAGE:?}]"))];
    let mut daemon = Daemon::start_with(&pipeline, &settings, "");
    daemon.wait_for_log("ready");
    let folder = daemon.stop();
    let file = folder.path().join("pipeline.toml");
    let text = fs::read_to_string(&file).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("agents_file")).collect();
    assert_eq!(without.len() + 1, text.lines().count());
    fs::write(&file, without.join("\n")).unwrap();
    Daemon::in_folder(folder)
}

/// Returns the status, and the session or the reason for the lack of one.
fn log_in(daemon: &Daemon, name: &str, password: &str) -> (u16, Value) {
    ask(
        daemon,
        name,
        password,
        &["-X", "POST", "-H", "Content-Type: application/json", "-d", "{}"],
        "/api/v1/session",
    )
}

fn classic(daemon: &Daemon, name: &str, password: &str) -> u16 {
    ask(daemon, name, password, &["-H", &format!("Origin: {PAGE}")], "/api/v2/me").0
}

fn ask(daemon: &Daemon, name: &str, password: &str, more: &[&str], path: &str) -> (u16, Value) {
    let output = Command::new("curl")
        .args(["-sk", "--max-time", "30", "-w", "\n%{http_code}", "-u", &format!("{name}:{password}")])
        .args(more)
        .arg(format!("{}{path}", daemon.api))
        .output()
        .expect("curl runs (script/setup installs it)");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

fn wait_for_link(server: &Server, root: &Who, place: &str) {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let recorders = server.get(root, "/api/v1/recorders").json();
        let all = recorders["recorders"].as_array().unwrap();
        if all.iter().any(|one| one["place"] == place && one["connected"] == true) {
            return;
        }
        assert!(Instant::now() < limit, "no link: {recorders}");
        std::thread::yield_now();
    }
}

#[test]
fn agents_log_in_at_their_desks_with_their_passwords_on_the_server() {
    let server = Server::start();
    let root = admin(&server);
    server.add_user("a.lee", &["--role", "agent", "--agent", "ann"]);
    server.add_user("bob", &["--role", "agent", "--agent", "bob"]);
    let daemon = recorder(&server, "seat-12");
    wait_for_link(&server, &root, "seat-12");

    let (status, session) = log_in(&daemon, "a.lee", "correct horse");
    assert_eq!((status, &session["agent"]), (201, &json!("ann")), "{session}");
    assert_eq!(classic(&daemon, "a.lee", "correct horse"), 200);
    let wrong = |name: &str, password: &str| {
        let (status, answer) = log_in(&daemon, name, password);
        (status, answer["code"].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(wrong("a.lee", "wrong"), (401, "wrong_credentials".to_owned()));
    // A user who is not an agent and an unknown name look the same.
    assert_eq!(wrong("root", "correct horse"), (401, "wrong_credentials".to_owned()));
    assert_eq!(wrong("nobody", "correct horse"), (401, "wrong_credentials".to_owned()));
    // A name that the server would not accept as text is refused here, and the link stays.
    let odd = STANDARD.encode("a.lee:\0");
    let header = format!("Authorization: Basic {odd}");
    assert_eq!(
        ask(&daemon, "x", "x", &["-H", &header, "-H", &format!("Origin: {PAGE}")], "/api/v2/me").0,
        401
    );
    assert_eq!(log_in(&daemon, "a.lee", "correct horse").0, 201, "the line is still there");
    let audit = server.get(&root, "/api/v1/audit?subject=desktop").json();
    let told: Vec<(&str, &str, &str)> = audit["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (one["who"].as_str().unwrap(), one["what"].as_str().unwrap(), one["detail"].as_str().unwrap())
        })
        .collect();
    assert!(told.contains(&("a.lee", "login", "seat-12")), "{audit}");
    assert!(told.contains(&("nobody", "login_failed", "seat-12")), "{audit}");

    // Without the server, no password counts as wrong. With it, everything works again.
    let server = Server::in_folder({
        let folder = server.kill();
        let asked = Instant::now();
        assert_eq!(wrong("a.lee", "correct horse"), (503, "server_away".to_owned()));
        assert_eq!(classic(&daemon, "a.lee", "correct horse"), 503);
        assert!(asked.elapsed() < Duration::from_secs(30));
        folder
    });
    let limit = Instant::now() + Duration::from_secs(90);
    loop {
        match log_in(&daemon, "a.lee", "correct horse") {
            (201, _) => break,
            (status, answer) => assert_eq!((status, &answer["code"]), (503, &json!("server_away"))),
        }
        assert!(Instant::now() < limit, "the recorder does not reconnect to its server");
    }
    drop(server);
}

#[test]
fn a_recorder_cannot_guess_passwords() {
    let server = Server::start();
    let root = admin(&server);
    let daemon = recorder(&server, "seat-12");
    let other = recorder(&server, "seat-13");
    for name in ["a", "b", "c", "d", "e", "f"] {
        server.add_user(name, &["--role", "agent", "--agent", name]);
    }
    wait_for_link(&server, &root, "seat-12");
    wait_for_link(&server, &root, "seat-13");
    // One attempt for each of many names, which no limit per name would stop.
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(log_in(&daemon, name, "guess").0, 401);
    }
    let (status, answer) = log_in(&daemon, "f", "correct horse");
    assert_eq!((status, &answer["code"]), (429, &json!("too_many")), "{answer}");
    assert_eq!(log_in(&other, "f", "correct horse").0, 201, "another PC is not held up by it");
}
