//! `deskreel run` through a day: recordings begin before their command and continue after a kill, the file is
//! read again, and the status says when nothing can be recorded.

use std::fs;
use std::time::Duration;

use crate::support::xvfb::Xvfb;
use deskreel_model::Manifest;
use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::recorder::Recording;
use rustix::process::Signal;
use serde_json::{Value, json};

const SOURCE: &str = "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 320\nheight = 180\n\
                      fps = 10\n[encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\nkeyframe_interval = \"1s\"\n";
const CALLS: &str = "[policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n";

fn calls() -> String {
    format!("{SOURCE}{CALLS}")
}

/// The wall clock at media time zero, in milliseconds.
fn start_ms(manifest: &Manifest) -> i64 {
    manifest.anchors[0].utc.0.as_millisecond() - (manifest.anchors[0].media.0 / 1_000_000) as i64
}

fn footage(recording: &Recording) -> Value {
    serde_json::from_slice(&fs::read(recording.folder.join("footage.json")).unwrap()).unwrap()
}

#[test]
fn a_recording_begins_before_its_call_if_the_file_says_so() {
    let mut daemon = Daemon::start_with(&calls(), &[], "preroll = \"3s\"\n");
    let ann = Ann::log_in(&daemon);
    daemon.run_for(Duration::from_secs(5));
    assert_eq!(daemon.folders().len(), 0, "nothing is on disk before the call");
    ann.tell("call.established", "77");
    daemon.run_for(Duration::from_secs(2));
    ann.tell("call.cleared", "77");
    let recording = daemon.wait_for_recordings(1).remove(0);
    recording.assert_verified();
    let footage = footage(&recording);
    let call: jiff::Timestamp = footage["from"].as_str().unwrap().parse().unwrap();
    let before = call.as_millisecond() - start_ms(&recording.manifest);
    // It begins with the keyframe before the three seconds. There is one a second.
    assert!((2900..4600).contains(&before), "it begins {before} ms before the call");
    let frames = recording.frames().concat();
    let numbers: Vec<u32> = frames.iter().map(|frame| frame.reading.unwrap().number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    assert!(numbers.len() >= 48, "{} frames of five seconds", numbers.len());
}

#[test]
fn after_a_kill_in_mid_call_the_next_start_continues_the_recording() {
    let daemon = Daemon::start(&calls(), &[]);
    Ann::log_in(&daemon).tell("call.established", "77");
    daemon.wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    let mut daemon = Daemon::in_folder(daemon.kill());
    daemon.wait_for("another recording", |status| status["recording"]["phase"] == "recording");
    // The desktop comes back, and the call ends.
    Ann::log_in(&daemon).tell("call.cleared", "77");
    let recordings = daemon.wait_for_recordings(2);
    let calls: Vec<Value> =
        recordings.iter().map(|recording| footage(recording)["segments"][0]["call"].clone()).collect();
    assert_eq!(calls, ["77", "77"], "both are of the same call");
    recordings.iter().for_each(Recording::assert_verified);
}

#[test]
fn an_agent_whose_desktop_does_not_come_back_is_logged_out() {
    let pipeline = format!("{SOURCE}[policy]\nplugin = \"policy.always-on\"\nlate = \"1s\"\n");
    let daemon = Daemon::start_with(&pipeline, &[("session", "\"10s\"")], "");
    Ann::log_in(&daemon);
    daemon.wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    let daemon = Daemon::in_folder(daemon.kill());
    daemon.wait_for("no agent at the desk", |status| {
        status["agent"].is_null() && status["recording"].is_null()
    });
}

#[test]
fn a_file_with_mistakes_changes_nothing_and_a_good_one_does() {
    let mut daemon = Daemon::start(&calls(), &[]);
    let file = daemon.folder.path().join("pipeline.toml");
    let good = fs::read_to_string(&file).unwrap();
    let ann = Ann::log_in(&daemon);
    ann.tell("call.established", "77");
    let running = daemon.wait_for("a recording", |status| status["recording"]["phase"] == "recording");

    fs::write(&file, good.replace("policy.voice-all-calls", "policy.voice-al-calls")).unwrap();
    daemon.signal(Signal::HUP);
    let status = daemon.wait_for("a report of the mistake", |status| !status["stale"].is_null());
    assert_eq!(status["recording"]["recording"], running["recording"]["recording"]);
    assert!(status["stale"].as_str().unwrap().contains("1 mistake"), "{status:#}");

    fs::write(&file, good.replace("policy.voice-all-calls", "policy.always-on")).unwrap();
    daemon.signal(Signal::HUP);
    let status = daemon.wait_for("the good file", |status| status["stale"].is_null());
    assert_eq!(status["recording"]["recording"], running["recording"]["recording"], "it continues");
    ann.tell("call.cleared", "77");
    daemon.run_for(Duration::from_secs(1));
    assert_eq!(daemon.status()["recording"]["phase"], "recording", "by the new policy the shift is recorded");
    ann.log_out();
    daemon.wait_for_recordings(1);

    // A start with a broken file takes the last good one.
    fs::write(&file, "version = 1\nname = \"broken").unwrap();
    let daemon = Daemon::in_folder(daemon.stop());
    let status =
        daemon.wait_for("readiness", |status| status["health"]["problems"].as_array().unwrap().len() == 1);
    assert!(status["stale"].as_str().unwrap().contains("the last good file is used"), "{status:#}");
}

#[test]
fn settings_that_need_a_restart_stay_until_then_and_the_log_says_so() {
    let mut daemon = Daemon::start(&calls(), &[]);
    let ann = Ann::log_in(&daemon);
    let file = daemon.folder.path().join("pipeline.toml");
    let good = fs::read_to_string(&file).unwrap();
    let elsewhere = good.replace("/recordings\"", "/elsewhere\"").replace("seat-12", "seat-13");
    fs::write(&file, elsewhere).unwrap();
    daemon.signal(Signal::HUP);
    for section in ["directory of [recording]", "[feed]"] {
        let line = daemon.wait_for_log("changed in the file; the change takes effect after a restart");
        assert_eq!(line["section"], section);
    }
    daemon.wait_for_log("news");
    ann.tell("call.established", "77");
    daemon.wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    ann.tell("call.cleared", "77");
    daemon.wait_for_recordings(1)[0].assert_verified();
    assert!(!daemon.folder.path().join("elsewhere").exists());
    assert_eq!(daemon.status()["place"], "seat-12");
}

#[test]
fn without_room_nothing_begins_and_the_reason_is_reported() {
    let pipeline = format!("{}[spool]\nmin_free = \"1000GB\"\n", calls());
    let daemon = Daemon::start(&pipeline, &[]);
    let ann = Ann::log_in(&daemon);
    ann.tell("call.established", "77");
    let (status, problem) = ann.ask("POST", "/api/v1/recording/start", json!({}));
    assert!(status >= 400 && problem["detail"].as_str().unwrap().contains("no room"), "{status} {problem:#}");
    let status = daemon.wait_for("a report of the health", |status| {
        status["health"]["problems"].to_string().contains("no room")
    });
    assert!(status["recording"].is_null());
    let (code, _) = ann.ask("GET", "/api/v1/health", Value::Null);
    assert_eq!(code, 503);
    let account = fs::read_to_string(daemon.recordings().join("account.jsonl")).unwrap();
    assert!(account.contains("not_begun"), "{account}");
}

/// The health of an idle recorder is that of the next call, both when the screen goes and when it is back.
#[test]
fn an_idle_recorder_notices_when_its_screen_goes_and_when_it_is_back() {
    let screen = Xvfb::start(320, 240);
    let pipeline = calls().replace(
        "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 320\nheight = 180\nfps = 10",
        &format!("plugin = \"source.x11\"\ndisplay = \"{}\"", screen.name),
    );
    let mut daemon = Daemon::start(&pipeline, &[]);
    daemon.wait_for_log("healthy");
    let name = screen.name.clone();
    drop(screen);
    let line = daemon.wait_for_log("not healthy");
    assert!(line["problems"].as_str().unwrap().contains(&format!("`{name}`")), "{line}");
    // An agent comes and goes meanwhile, and nothing of that remains.
    let ann = Ann::log_in(&daemon);
    ann.tell("call.established", "77");
    daemon.wait_for_log("a recording could not begin");
    ann.tell("call.cleared", "77");
    ann.log_out();
    let _screen = Xvfb::restart(&name, 320, 240);
    daemon.wait_for("health", |status| status["health"]["problems"] == json!([]));
    assert!(daemon.status()["recording"].is_null());
}

#[test]
fn a_missing_token_of_a_sink_is_reported_before_a_recording_comes() {
    let sink = "[sink.archive]\nplugin = \"sink.upload\"\nserver = \"https://localhost:1\"\n\
                token_file = \"/nowhere/token\"\n";
    let daemon = Daemon::start(&format!("{}{sink}", calls()), &[]);
    daemon.wait_for("a report of the token", |status| {
        let problems = status["health"]["problems"].to_string();
        problems.contains("sink `archive` cannot deliver") && problems.contains("/nowhere/token")
    });
}

#[test]
fn a_missing_screen_is_reported_before_a_call_comes() {
    let pipeline = calls().replace(
        "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 320\nheight = 180\nfps = 10",
        "plugin = \"source.x11\"\ndisplay = \":987\"",
    );
    let daemon = Daemon::start(&pipeline, &[]);
    let status = daemon.wait_for("a report of the screen", |status| {
        status["health"]["problems"].to_string().contains(":987")
    });
    assert!(status["recording"].is_null(), "{status:#}");
}

#[test]
fn an_event_from_the_year_9999_ends_neither_the_daemon_nor_its_next_start() {
    let daemon = Daemon::start_with(&calls(), &[], "max_duration = \"4h\"\n");
    let ann = Ann::log_in(&daemon);
    ann.tell("call.established", "77");
    daemon.wait_for("a recording", |status| status["recording"]["phase"] == "recording");
    let event =
        json!({ "type": "interaction.accepted", "interaction": "c1", "at": "9999-12-30T21:00:00.000Z" });
    let (status, answer) = ann.ask("POST", "/api/v1/events", event);
    assert!(status < 300, "{status} {answer:#}");
    let mut daemon = Daemon::in_folder(daemon.kill());
    daemon.wait_for("another recording", |status| status["recording"]["phase"] == "recording");
    Ann::log_in(&daemon).tell("call.cleared", "77");
    let recordings = daemon.wait_for_recordings(2);
    recordings.iter().for_each(Recording::assert_verified);
    let now = jiff::Timestamp::now().as_millisecond();
    for one in &recordings {
        assert!(start_ms(&one.manifest) <= now, "footage of the future: {:?}", one.manifest.anchors);
        assert_eq!(footage(one)["segments"][0]["call"], "77");
    }
}
