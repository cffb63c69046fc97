//! The player of the real server, with a transfer recorded by two real recorders.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::server::{Server, Who};
use serde_json::{Value, json};

fn recorder(server: &Server, place: &str, source: u32) -> Daemon {
    recorder_of(server, place, &format!("seed = {source}\nchanges_only = false"), "2s")
}

/// A recorder of a counter with these settings more.
fn recorder_of(server: &Server, place: &str, source: &str, keyframes: &str) -> Daemon {
    let token = server.folder.path().join(format!("token-{place}"));
    fs::write(&token, server.enrol(place)).unwrap();
    let pipeline = format!(
        "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\n{source}\nwidth = 640\nheight = 360\n\
         max_fps = 20\n\
         [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\nkeyframe_interval = {keyframes:?}\n\
         [link]\nserver = \"{url}\"\ntoken_file = {token:?}\n\
         [sink.archive]\nplugin = \"sink.upload\"\nserver = \"{url}\"\ntoken_file = {token:?}\ntimeout = \"5s\"\n",
        url = server.url
    );
    Daemon::start_with(&pipeline, &[("place", &format!("{place:?}"))], "")
}

fn tell(server: &Server, root: &Who, events: &[Value]) {
    let at = jiff::Timestamp::from_millisecond(jiff::Timestamp::now().as_millisecond()).unwrap();
    let dated = events.iter().map(|event| {
        let mut event = event.clone();
        event["at"] = json!(format!("{at:.3}"));
        event
    });
    let answer = server.ask(root, "POST", "/api/v1/events", Some(dated.collect()));
    assert_eq!(answer.status, 202, "{}", answer.text());
}

fn wait_for(server: &Server, root: &Who, path: &str, wanted: impl Fn(&Value) -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = server.get(root, path);
        if answer.status == 200 && wanted(&answer.json()) {
            return;
        }
        assert!(Instant::now() < limit, "{path}: {} {}", answer.status, answer.text());
        std::thread::yield_now();
    }
}

/// `began` is when the counter of Bob's screen began.
fn check(server: &Server, name: &str, began: jiff::Timestamp) {
    let output = Command::new("node")
        .args(["tests/browser/player/checks.mjs", name])
        .env("SERVER", &server.url)
        .env("BEGAN", began.as_millisecond().to_string())
        .env("REST_S", rest_s().to_string())
        .env("NAME", "root")
        .env("PASSWORD", "correct horse")
        .output()
        .expect("node runs (script/setup installs it)");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.trim().is_empty(), "{name} has measured nothing");
}

#[test]
fn a_transfer_is_watched_live_and_later_on_the_real_server() {
    let server = Server::start_with("[policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n");
    server.add_user("root", &["--role", "administrator"]);
    let root = server.log_in("root");
    let mut desks = [recorder(&server, "seat-1", 11), recorder(&server, "seat-2", 22)];
    wait_for(&server, &root, "/api/v1/recorders", |recorders| {
        recorders["recorders"].as_array().unwrap().iter().filter(|one| one["connected"] == true).count() == 2
    });
    desks.iter_mut().for_each(|desk| drop(desk.wait_for_log("ready")));
    Ann::as_agent(&desks[0], "ann");
    Ann::as_agent(&desks[1], "bob");
    let recording = |index: usize| {
        desks[index].wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    };

    tell(
        &server,
        &root,
        &[json!({ "type": "call.established", "call": "77", "agent": "ann", "direction": "inbound",
            "attached": { "product": "loan" } })],
    );
    recording(0);
    desks[0].run_for(Duration::from_secs(5));
    let consult = |agent: &str| {
        json!({ "type": "call.established", "call": "78", "parent_call": "77", "call_type": "consult",
            "agent": agent })
    };
    let hold = json!({ "type": "call.held", "call": "77", "agent": "ann" });
    tell(&server, &root, &[hold, consult("ann"), consult("bob")]);
    recording(1);
    // Bob's first picture is on disk by now, so pictures are at least as old as measured from here.
    let began = jiff::Timestamp::now();
    desks[1].run_for(Duration::from_secs(4));
    let transfer = json!({ "type": "call.transferred", "primary_call": "77", "secondary_call": "78",
        "resulting_call": "77", "from_agent": "ann", "to_agent": "bob" });
    tell(&server, &root, &[transfer]);
    check(&server, "server-live", began);
    tell(&server, &root, &[json!({ "type": "call.cleared", "call": "77", "agent": "bob" })]);
    wait_for(&server, &root, "/api/v1/interactions/77", |found| {
        let footage = found["footage"].as_array().unwrap();
        footage.len() == 2 && footage.iter().all(|one| one["live"] == false && one["missing"].is_null())
    });
    check(&server, "server", began);
}

/// Seconds for which the screen of the test below rests. The variable `REST_S` sets another number.
fn rest_s() -> u64 {
    std::env::var("REST_S").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(10)
}

#[test]
fn a_screen_that_rests_is_watched_live() {
    let server = Server::start_with("[policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n");
    server.add_user("root", &["--role", "administrator"]);
    let root = server.log_in("root");
    let (from, to) = (10, 10 + rest_s());
    let source = format!("clock = \"day\"\nrests = [{from}, {to}]\nkeepalive = \"60s\"");
    let mut desk = recorder_of(&server, "seat-1", &source, "4s");
    wait_for(&server, &root, "/api/v1/recorders", |recorders| recorders["recorders"][0]["connected"] == true);
    drop(desk.wait_for_log("ready"));
    Ann::as_agent(&desk, "ann");
    tell(&server, &root, &[json!({ "type": "call.established", "call": "77", "agent": "ann" })]);
    desk.wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    check(&server, "server-rest", jiff::Timestamp::now());
}
