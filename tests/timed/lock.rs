//! `locked = "gap"`: nothing is captured while the agent's session is locked, and the manifest says so.

use std::time::Duration;

use crate::support::fake_logind::{DISPLAY, FakeLogind};
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_test_support::daemon::{Ann, Daemon};
use deskreel_test_support::recorder::Recording;
use serde_json::{Value, json};

const PIPELINE: &str = "[source.screen]\nplugin = \"source.synthetic\"\nmode = \"counter\"\nclock = \"day\"\nwidth = 320\nheight = 180\n\
                        fps = 10\n[encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\n\
                        [policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n";

fn start(logind: &FakeLogind, recording: &str) -> Daemon {
    let environment = [("DBUS_SYSTEM_BUS_ADDRESS", logind.address.as_str()), ("DISPLAY", DISPLAY)];
    Daemon::with_environment(PIPELINE, &[], &format!("locked = \"gap\"\n{recording}"), &environment)
}

fn is_live(status: &Value) -> bool {
    status["recording"]["phase"] == "recording" && status["recording"]["resting"].is_null()
}

fn is_resting(status: &Value) -> bool {
    status["recording"]["resting"] == "locked"
}

/// The time of day in UTC, as the screen paints it.
fn ms_of_day() -> i64 {
    jiff::Timestamp::now().as_millisecond().rem_euclid(24 * 3600 * 1000)
}

fn painted(recording: &Recording) -> Vec<i64> {
    recording.frames().concat().iter().map(|frame| i64::from(frame.reading.unwrap().time_ms)).collect()
}

#[test]
fn while_the_session_is_locked_nothing_is_captured_and_the_gap_says_so() {
    let mut logind = FakeLogind::start();
    logind.appear(DISPLAY, false);
    let mut daemon = start(&logind, "");
    let ann = Ann::log_in(&daemon);
    ann.tell("call.established", "77");
    daemon.wait_for("a recording", is_live);
    logind.set_locked(true);
    daemon.wait_for("a rest", is_resting);
    let locked = ms_of_day();
    daemon.run_for(Duration::from_secs(2));
    assert_eq!(daemon.status()["health"]["problems"], json!([]), "resting is not a problem");
    let unlocked = ms_of_day();
    logind.set_locked(false);
    daemon.wait_for("the screen again", is_live);
    ann.tell("call.cleared", "77");

    let recording = daemon.wait_for_recordings(1).remove(0);
    recording.assert_verified();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    let track = &recording.manifest.tracks[0];
    let causes: Vec<_> = track.parts.iter().map(|part| part.cause).collect();
    assert_eq!(causes, [Cause::Start, Cause::Locked]);
    let [gap] = &track.gaps[..] else { panic!("{:#?}", track.gaps) };
    assert_eq!(gap.cause, Cause::Locked);
    let gap_ms = (gap.to.0 - gap.from.0) / 1_000_000;
    // Two seconds, except for a frame at each end, of which there are ten a second.
    assert!(gap_ms >= 1800, "{gap_ms} ms");
    // Each picture says when it was on the screen.
    let painted = painted(&recording);
    assert!(painted.iter().any(|at| *at < locked) && painted.iter().any(|at| *at > unlocked), "{painted:?}");
    let within: Vec<_> = painted.iter().filter(|at| (locked..unlocked).contains(*at)).collect();
    assert!(within.is_empty(), "{within:?} of {locked}..{unlocked}");
}

#[test]
fn a_call_that_begins_while_the_session_is_locked_has_its_first_picture_afterwards() {
    let mut logind = FakeLogind::start();
    logind.appear(DISPLAY, true);
    // With a pre-roll, footage of a locked screen is not kept either.
    let mut daemon = start(&logind, "preroll = \"2s\"\n");
    let ann = Ann::log_in(&daemon);
    daemon.run_for(Duration::from_secs(3));
    ann.tell("call.established", "77");
    let resting = daemon.wait_for("a rest", is_resting);
    assert_eq!(resting["recording"]["frames"]["captured"], 0);
    let unlocked = ms_of_day();
    logind.set_locked(false);
    daemon.wait_for("a recording", is_live);
    ann.tell("call.cleared", "77");
    let recording = daemon.wait_for_recordings(1).remove(0);
    recording.assert_verified();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    let painted = painted(&recording);
    assert!(!painted.is_empty() && painted.iter().all(|at| *at > unlocked), "{painted:?} from {unlocked} on");
}

#[test]
fn without_logind_it_is_recorded_and_health_says_so() {
    let mut logind = FakeLogind::start();
    let daemon = start(&logind, "");
    let ann = Ann::log_in(&daemon);
    let has_problem = |status: &Value| status["health"]["problems"].to_string().contains("session is locked");
    daemon.wait_for("a problem", has_problem);
    ann.tell("call.established", "77");
    daemon.wait_for("a recording", is_live);
    // It starts, with a session that has no display: the active one of the seat counts.
    logind.appear("", true);
    daemon.wait_for("a rest", is_resting);
    assert!(!has_problem(&daemon.status()));
}
