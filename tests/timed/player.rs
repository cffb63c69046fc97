//! The player in a real Chromium, with recordings of the real command. Each check reads from a screenshot
//! which frame of which agent is shown. The checks are in tests/browser/player/checks.mjs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use deskreel_test_support::paths::{program, root, shared_folder};
use deskreel_test_support::program::send;
use deskreel_test_support::recorder::Desk;
use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

/// Seconds of footage; harness.mjs has the times of the call in it.
const FOOTAGE: u64 = 27;
/// The time in Ann's recording at which her worker is killed and her second part begins.
const KILLED: Duration = Duration::from_secs(9);
/// Time for which her worker stands still before the kill, since a quick successor would leave no gap to
/// show. Too short to count as hung.
const GAP: Duration = Duration::from_millis(600);
/// The most bytes of the script and the style after gzip, without hls.js.
const WEIGHT: usize = 100_000;

#[test]
fn an_interaction_is_found_opened_and_played() {
    check("find-and-play");
}

#[test]
fn a_seek_shows_the_very_frame() {
    check("seek");
}

#[test]
fn at_double_speed_the_right_frames_are_shown() {
    check("double-speed");
}

#[test]
fn playback_follows_the_call_to_the_next_agent() {
    check("hand-over");
}

#[test]
fn parts_play_through_a_gap_without_a_stop() {
    check("part-change");
}

#[test]
fn a_step_is_one_frame() {
    check("frame-step");
}

#[test]
fn two_screens_side_by_side_are_in_step() {
    check("side-by-side");
}

#[test]
fn still_stretches_are_skipped() {
    check("still-stretches");
}

#[test]
fn in_an_hour_of_footage_a_seek_shows_its_picture_within_half_a_second() {
    check("hour");
}

#[test]
fn a_live_picture_is_at_most_four_seconds_old() {
    check("live");
}

#[test]
fn text_of_other_people_is_shown_as_text() {
    check("attack");
}

#[test]
fn in_a_gap_the_reason_is_shown_and_no_picture() {
    check("gap");
}

#[test]
fn playback_jumps_over_a_gap_and_shows_nothing_from_after_it() {
    check("gap-played");
}

#[test]
fn every_track_of_a_recording_is_shown() {
    check("tracks");
}

#[test]
fn lost_footage_is_a_gap_and_is_not_asked_for_again_and_again() {
    check("lost");
}

#[test]
fn footage_that_the_browser_cannot_decode_is_named_and_offered_as_a_file() {
    check("undecodable");
}

#[test]
fn an_ended_session_is_renewed_without_a_reload() {
    check("session");
}

#[test]
fn a_lost_connection_is_reported_and_waited_out() {
    check("network");
}

#[test]
fn a_restart_of_the_server_ends_nothing() {
    check("restart");
}

#[test]
fn a_hundred_thousand_interactions_are_listed() {
    check("list");
}

#[test]
fn axe_finds_nothing_on_any_page() {
    check("accessibility");
}

#[test]
fn everything_is_done_by_keys_alone() {
    check("keyboard");
}

#[test]
fn no_request_leaves_the_origin() {
    check("origin");
}

#[test]
fn an_agent_sees_own_recordings_and_the_page_says_so() {
    check("own");
}

#[test]
fn the_page_is_light() {
    let assets = dist().join("assets");
    let of = |path: &PathBuf| matches!(path.extension().and_then(|e| e.to_str()), Some("js" | "css"));
    let files: Vec<PathBuf> = std::fs::read_dir(assets).unwrap().map(|entry| entry.unwrap().path()).collect();
    let own = files.iter().filter(|path| of(path) && !path.to_string_lossy().contains("/hls"));
    let weights: Vec<usize> = own.map(|path| gzipped(path)).collect();
    let sum: usize = weights.iter().sum();
    println!("{sum} bytes in {} files", weights.len());
    assert!(weights.len() > 3, "{files:?}");
    assert!(sum <= WEIGHT, "{sum} bytes");
    let licenses = std::fs::read_to_string(dist().join("licenses.txt")).unwrap();
    assert!(
        licenses.contains("hls.js") && licenses.contains("Apache License"),
        "hls.js comes with its license"
    );
}

fn gzipped(path: &Path) -> usize {
    let output = Command::new("gzip").args(["--stdout", "--best"]).arg(path).output().unwrap();
    output.stdout.len()
}

fn dist() -> PathBuf {
    let dist = root().join("web/dist");
    assert!(dist.join("index.html").exists(), "build the player first: npm run build --prefix web");
    dist
}

fn check(name: &str) {
    let footage = footage();
    dist();
    let output = Command::new("node")
        .args(["tests/browser/player/checks.mjs", name])
        .args([&footage.ann, &footage.bob, &footage.live, &footage.still])
        .env("DESKREEL", program("deskreel"))
        .output()
        .expect("node runs (script/setup installs it)");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // Every check prints its measurements: one that prints nothing has checked nothing.
    assert!(!said.trim().is_empty(), "{name} has measured nothing");
}

struct Footage {
    /// Folders with one recording each. Ann's has two parts and a gap, Bob's one part.
    ann: PathBuf,
    bob: PathBuf,
    /// A pipeline file to record with while it is watched.
    live: PathBuf,
    /// A folder with a recording of a still screen.
    still: PathBuf,
}

/// Recorded once a run, for all checks. cargo-nextest runs each of them in a process of its own.
fn footage() -> Footage {
    let parent = shared_folder("player");
    let lock = File::create(parent.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string());
    let folder = parent.join(run);
    if !folder.join("made").exists() {
        let old = std::fs::read_dir(&parent).unwrap().map(|entry| entry.unwrap().path());
        old.filter(|path| path.is_dir()).for_each(|path| std::fs::remove_dir_all(path).unwrap());
        std::fs::create_dir(&folder).unwrap();
        record(&folder);
        std::fs::write(folder.join("made"), "").unwrap();
    }
    let recordings = |name: &str| folder.join(name).join("recordings");
    Footage {
        ann: recordings("ann"),
        bob: recordings("bob"),
        live: folder.join("live/pipeline.toml"),
        still: recordings("still"),
    }
}

fn record(parent: &Path) {
    let desk = |name: &str, mode: &str| {
        let mut folder = tempfile::Builder::new();
        let folder = folder.prefix(name).rand_bytes(0).disable_cleanup(true).tempdir_in(parent).unwrap();
        Desk::in_folder(
            folder,
            &format!(
                "plugin = \"source.synthetic\"\n{mode}\nwidth = 640\nheight = 360\n\
                 max_fps = 20"
            ),
            "plugin = \"encoder.x264\"\nkeyframe_interval = \"2s\"",
        )
    };
    let counter = |seed: u8| format!("mode = \"counter\"\nchanges_only = false\nseed = {seed}");
    let (ann, bob) = (desk("ann", &counter(1)), desk("bob", &counter(2)));
    desk("live", &counter(3));
    let still = desk("still", "mode = \"still\"\nkeepalive = \"4s\"");
    let still_runs = still.record();
    let mut ann_runs = ann.record();
    let mut bob_runs = bob.record();
    let worker = ann_runs.wait_for_event("part")["worker"].as_u64().unwrap();
    ann_runs.wait_for_event("recording");
    bob_runs.wait_for_event("recording");
    ann_runs.run_for(KILLED);
    let worker = u32::try_from(worker).unwrap();
    send(worker, Signal::STOP);
    ann_runs.run_for(GAP);
    send(worker, Signal::KILL);
    ann_runs.run_for(Duration::from_secs(FOOTAGE) - KILLED - GAP);
    still_runs.stop();
    let (ann_made, bob_made) = (ann_runs.stop(), bob_runs.stop());
    assert_eq!(ann_made.track().parts.len(), 2, "the worker that was killed has a successor");
    assert_eq!(ann_made.track().gaps.len(), 1, "there is no gap to be shown");
    for made in [&ann_made, &bob_made] {
        assert_eq!(made.track().frames().lost, 0, "numbers of frames can only be counted if none is missing");
    }
}
