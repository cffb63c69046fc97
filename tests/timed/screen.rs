//! A real X11 screen, in Xvfb, captured by `source.x11` as a deployer would.

use std::process::Command;
use std::time::Duration;

use crate::support::xvfb::Xvfb;
use deskreel_model::manifest::{Cause, Outcome};
use deskreel_test_support::program::send;
use deskreel_test_support::random::Random;
use deskreel_test_support::recorder::{Desk, Recording, Running};
use rustix::process::Signal;

type Color = [u8; 3];
const RED: Color = [255, 0, 0];
const BLUE: Color = [0, 0, 255];

fn desk(screen: &Xvfb, settings: &str) -> Desk {
    let source = format!(
        "plugin = \"source.x11\"\ndisplay = \"{}\"\nmax_fps = 10\ncursor = false\n{settings}",
        screen.name
    );
    Desk::new(&source, "plugin = [\"encoder.x264\", \"encoder.openh264\"]")
}

/// Records the next frames. Returns when they are on disk.
fn wait_for_next_fragment(running: &mut Running) {
    let encoded = running.wait_for_event("status")["frames"]["encoded"].as_u64().unwrap();
    running.wait_for("more frames", |event| event["frames"]["encoded"].as_u64().is_some_and(|n| n > encoded));
}

#[test]
fn screen_is_recorded_and_a_still_one_costs_few_frames() {
    let screen = Xvfb::start(640, 480);
    screen.show("red");
    let desk = desk(&screen, "keepalive = \"2s\"");
    let mut running = desk.record();
    running.wait_for_event("recording");
    running.run_for(Duration::from_secs(5));
    screen.show("blue");
    wait_for_next_fragment(&mut running);
    let recording = running.stop();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    let colors = colors(&recording, 0);
    assert_shows(colors[0], RED);
    assert_shows(*colors.last().unwrap(), BLUE);
    let frames = recording.track().frames();
    assert!(frames.skipped > 4 * frames.encoded, "a screen that stands still: {frames:?}");
    assert_eq!(frames.lost, 0);
    assert_eq!(frames.captured, frames.encoded + frames.skipped);
}

#[test]
fn region_and_odd_sizes_are_cut_to_what_encoders_take() {
    let screen = Xvfb::start(640, 480);
    screen.show("blue");
    let desk = desk(&screen, "region = { x = 100, y = 50, width = 201, height = 99 }");
    let recording = desk.record_for(1);
    recording.assert_verified();
    let part = &recording.track().parts[0];
    assert_eq!((part.width, part.height), (200, 98));
    assert_shows(colors(&recording, 0)[0], BLUE);
}

#[test]
fn another_screen_size_is_another_part() {
    let screen = Xvfb::start(800, 600);
    screen.show("red");
    let desk = desk(&screen, "");
    let mut running = desk.record();
    running.wait_for_event("recording");
    screen.resize(640, 480);
    running.wait_for_event("recording");
    screen.show("blue");
    wait_for_next_fragment(&mut running);
    let recording = running.stop();
    recording.assert_verified();
    let parts = &recording.track().parts;
    let sizes: Vec<_> = parts.iter().map(|part| (part.width, part.height)).collect();
    assert_eq!(sizes, [(800, 600), (640, 480)]);
    assert_eq!(parts[1].cause, Cause::SourceChanged);
    assert_shows(*colors(&recording, 1).last().unwrap(), BLUE);
}

#[test]
fn recording_resumes_when_the_display_server_is_back() {
    let screen = Xvfb::start(640, 480);
    let desk = desk(&screen, "");
    let mut running = desk.record();
    running.wait_for_event("recording");
    let name = screen.name.clone();
    drop(screen);
    running.wait_for_event("incident");
    running.wait_for("another try", |event| event["cause"] == "worker_failed");
    let screen = Xvfb::restart(&name, 640, 480);
    screen.show("blue");
    running.wait_for_event("recording");
    wait_for_next_fragment(&mut running);
    let recording = running.stop();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
    let track = recording.track();
    assert_eq!(track.parts.len(), 2, "tries without a frame are no parts");
    assert_eq!(track.gaps.len(), 1);
    assert_shows(*colors(&recording, 1).last().unwrap(), BLUE);
    // It is the source that failed; the encoder is not suspected.
    assert_eq!((track.parts[1].cause, track.gaps[0].cause), (Cause::SourceFailed, Cause::SourceFailed));
    assert_eq!(track.parts[1].encoder.plugin, track.parts[0].encoder.plugin);
    assert!(track.parts[1].encoder.refused.is_empty(), "{:?}", track.parts[1].encoder.refused);
}

#[test]
fn killed_worker_of_a_real_screen_leaves_fragments_that_meet() {
    // A real screen's second frame does not come exactly a period after its first.
    let random = Random::new();
    let screen = Xvfb::start(640, 480);
    let desk = desk(&screen, "changes_only = false");
    let mut running = desk.record();
    let mut part = running.wait_for_event("part");
    for _ in 0..4 {
        running.wait_for_event("recording");
        running.run_for(Duration::from_millis(random.below(1000)));
        send(part["worker"].as_u64().unwrap() as u32, Signal::KILL);
        part = running.wait_for_event("part");
    }
    running.wait_for_event("recording");
    let recording = running.stop();
    recording.assert_verified();
    assert_eq!(recording.track().parts.len(), 5);
    assert!(recording.track().parts.iter().all(|part| !part.fragments.is_empty()));
}

#[test]
fn time_without_a_screen_at_the_end_is_a_gap() {
    let screen = Xvfb::start(640, 480);
    let desk = desk(&screen, "");
    let mut running = desk.record();
    running.wait_for_event("recording");
    drop(screen);
    running.wait_for("another try", |event| event["cause"] == "worker_failed");
    running.run_for(Duration::from_millis(1500));
    let recording = running.stop();
    recording.assert_verified();
    let gap = recording.track().gaps.last().expect("a gap");
    assert_eq!(Some(gap.to), recording.manifest.ended);
    assert_eq!(Some(gap.from), recording.track().end());
    assert!(gap.to - gap.from > Duration::from_secs(1), "{gap:?}, ended {:?}", recording.manifest.ended);
}

#[test]
fn missing_display_is_reported_at_once() {
    let desk = Desk::new("plugin = \"source.x11\"\ndisplay = \":4242\"", "plugin = \"encoder.x264\"");
    let output =
        deskreel_test_support::recorder::deskreel().arg("record").arg(desk.pipeline()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains(":4242"), "{said}");
}

/// Mean color of each frame of a part.
fn colors(recording: &Recording, part: usize) -> Vec<Color> {
    let path = recording.joined(&recording.track().parts[part]);
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(&path)
        .args([
            "-vf",
            "scale=1:1:flags=area",
            "-fps_mode",
            "passthrough",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-",
        ])
        .output()
        .expect("ffmpeg runs (script/setup installs it)");
    std::fs::remove_file(path).unwrap();
    assert!(output.status.success());
    output.stdout.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
}

/// Asserts the color within the error of 8-bit YUV and a quality of 23.
fn assert_shows(color: Color, wanted: Color) {
    let off = color.iter().zip(wanted).map(|(a, b)| a.abs_diff(b)).max().unwrap();
    assert!(off <= 24, "shows {color:?}, not {wanted:?}");
}
