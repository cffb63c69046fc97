//! A whole agent PC: a real page in a real Chromium, its screen recorded by the real daemon, judged by the
//! pixels.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::xvfb::Xvfb;
use deskreel_contract::CaptureMode;
use deskreel_test_support::daemon::Daemon;
use deskreel_test_support::ports::free_port;
use serde_json::Value;

const WIDTH: usize = 1280;
const HEIGHT: usize = 720;
/// Time from the page's clock to a captured frame: the clock paints ten times a second, Chromium takes a few
/// frames to show it, and the recorder looks ten times a second.
const CLOCK_SLACK_MS: i64 = 400;

#[test]
fn a_card_number_that_is_on_the_screen_during_a_pause_is_nowhere_in_the_footage() {
    let screen = Xvfb::start(WIDTH as u32, HEIGHT as u32);
    let page = free_port();
    let mut daemon = Daemon::start(
        &format!(
            "[source.screen]\nplugin = \"source.x11\"\ndisplay = \"{}\"\nmax_fps = 10\n\
         [encoder.video]\nfrom = \"screen\"\nplugin = \"encoder.x264\"\n\
         [policy]\nplugin = \"policy.voice-all-calls\"\nlate = \"1s\"\n",
            screen.name
        ),
        &[&format!("http://127.0.0.1:{page}")],
    );

    let mut browser = Command::new("node")
        .arg("tests/browser/desktop.mjs")
        .args(["examples/agent-desktop", &daemon.api])
        .env("DISPLAY", &screen.name)
        .env("PAGE_PORT", page.to_string())
        .env("AGENT", "ann")
        .env("PASSWORD", "secret")
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs (script/setup installs it)");
    let mut said = String::new();
    browser.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(browser.wait().unwrap().success(), "the page failed:\n{said}");
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let when = |what: &str| said.iter().find(|line| line["what"] == what).unwrap()["at"].as_i64().unwrap();
    assert_eq!(said.iter().find(|line| line["what"] == "ended").unwrap()["problem"], "");

    let recordings = daemon.wait_for_recordings(1);
    let recording = &recordings[0];
    recording.assert_verified();
    let manifest = &recording.manifest;
    assert_eq!(manifest.agent.as_ref().unwrap().as_str(), "ann");

    let start_ms =
        manifest.anchors[0].utc.0.as_millisecond() - (manifest.anchors[0].media.0 / 1_000_000) as i64;
    let frames = pictures(&recording.export());
    let (mut shown, mut hidden) = (0, 0);
    for (pts_ms, picture) in &frames {
        let at = start_ms + pts_ms;
        let magenta = picture.chunks_exact(3).filter(|p| p[0] > 180 && p[1] < 80 && p[2] > 180).count();
        assert_eq!(magenta, 0, "{magenta} pixels of the card's field, {pts_ms} ms into the footage");
        match clock(picture) {
            Some(clock) => {
                shown += 1;
                let off = at.rem_euclid(1 << 32) - clock;
                assert!(
                    (-50..CLOCK_SLACK_MS).contains(&off),
                    "{pts_ms} ms: the page's clock is off by {off} ms"
                );
                let is_paused = when("card_shown") <= at && at < when("card_going");
                assert!(!is_paused, "the screen is seen {pts_ms} ms into the footage, during the pause");
            }
            None => hidden += 1,
        }
    }
    assert!(shown >= 20, "{shown} pictures of the screen in five seconds");
    assert!(hidden >= 1, "no slate shows the pause");
    let [withheld] = &manifest.withheld[..] else { panic!("{:?}", manifest.withheld) };
    assert_eq!(withheld.capture, CaptureMode::Paused);
    // Time runs on during the pause: footage continues at the time that the clock shows by then.
    let pause_ms = (withheld.to.unwrap().0 - withheld.from.0) as i64 / 1_000_000;
    assert!(pause_ms >= when("card_going") - when("card_shown"), "{pause_ms} ms");

    let footage: Value =
        serde_json::from_slice(&std::fs::read(recording.folder.join("footage.json")).unwrap()).unwrap();
    assert_eq!(footage["segments"].as_array().unwrap().len(), 1, "{footage:#}");
    assert!(footage["segments"][0]["call"].as_str().unwrap().starts_with("call-"));
}

/// The page's clock: the low 32 bits of its milliseconds. `None` if the picture does not have its strip.
fn clock(picture: &[u8]) -> Option<i64> {
    const CELL: usize = 16;
    let luma = |cell: usize| {
        let at = |y: usize, x: usize| picture[((HEIGHT - CELL + y) * WIDTH + cell * CELL + x) * 3 + 1];
        let inner = || (4..12).flat_map(|y| (4..12).map(move |x| (y, x)));
        let (low, high) =
            inner().map(|(y, x)| at(y, x)).fold((255, 0), |(low, high), v| (v.min(low), v.max(high)));
        match (low, high) {
            (160.., _) => Some(true),
            (_, ..96) => Some(false),
            _ => None,
        }
    };
    if luma(0)? && !luma(33)? {
        return (1..33).try_fold(0, |clock, cell| Some(clock << 1 | i64::from(luma(cell)?)));
    }
    None
}

/// The time in milliseconds and the RGB of every picture.
fn pictures(file: &Path) -> Vec<(i64, Vec<u8>)> {
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let path = file.to_str().unwrap();
    let times = run(
        "ffprobe",
        &["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=pts_time", "-of", "csv=p=0", path],
    );
    let bytes = run(
        "ffmpeg",
        &["-v", "error", "-i", path, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
    );
    let times: Vec<i64> = String::from_utf8(times)
        .unwrap()
        .lines()
        .filter_map(|line| line.split(',').next()?.parse::<f64>().ok())
        .map(|seconds| (seconds * 1000.0) as i64)
        .collect();
    let pictures: Vec<_> = bytes.chunks_exact(WIDTH * HEIGHT * 3).map(<[u8]>::to_vec).collect();
    assert_eq!(times.len(), pictures.len());
    times.into_iter().zip(pictures).collect()
}
