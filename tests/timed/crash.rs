//! Workers and supervisors are killed at random moments. A recording loses a bounded amount, and its manifest
//! says how much.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use deskreel_model::manifest::{Cause, Outcome};
use deskreel_test_support::program::send;
use deskreel_test_support::random::Random;
use deskreel_test_support::recorder::{Desk, Recording, assert_ffmpeg_accepts, deskreel};
use rustix::process::Signal;

/// The variable `KILLS` sets another number, for a soak.
const KILLS: usize = 20;
const FPS: u64 = 30;
const PERIOD_NS: u64 = 1_000_000_000 / FPS;
const TICK_NS: u64 = 1_000_000_000 / 90_000;
/// The most footage that a kill may cost.
const LIMIT_NS: u64 = 1_000_000_000;

fn counter() -> Desk {
    let source = format!(
        "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 640\nheight = 480\nfps = {FPS}\nmax_fps = {FPS}\n\
         changes_only = false"
    );
    Desk::new(&source, "plugin = [\"encoder.x264\", \"encoder.openh264\"]")
}

#[test]
fn killed_worker_costs_at_most_a_second() {
    let random = Random::new();
    let kills = std::env::var("KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let desk = counter();
    let mut running = desk.record();
    let mut part = running.wait_for_event("part");
    for _ in 0..kills {
        running.wait_for_event("recording");
        // Up to three fragments: at the start, in the middle and at the end of one.
        running.run_for(Duration::from_millis(random.below(3000)));
        send(part["worker"].as_u64().unwrap() as u32, Signal::KILL);
        part = running.wait_for_event("part");
    }
    running.wait_for_event("recording");
    let recording = running.stop();
    assert!(recording.status.success());
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();

    // By the pixels: from the last frame before each kill to the first one after it.
    let track = recording.track();
    let parts = recording.frames();
    assert_eq!(parts.len(), kills + 1, "each kill begins one part");
    let mut worst = 0;
    for (number, pair) in parts.windows(2).enumerate() {
        assert_counts_up(&pair[0]);
        let (last, next) = (pair[0].last().unwrap().pts_ns + PERIOD_NS, pair[1][0].pts_ns);
        let missing = next.saturating_sub(last);
        assert!(missing <= LIMIT_NS, "kill {number} cost {} ms", missing / 1_000_000);
        worst = worst.max(missing);
        // The spare worker may have a frame before the next one was due. Times in files are exact to two
        // ticks.
        if missing <= 2 * TICK_NS {
            continue;
        }
        let gap = track.gaps.iter().find(|gap| gap.to.0.abs_diff(next) < PERIOD_NS);
        let gap = gap.unwrap_or_else(|| panic!("the manifest has no gap before {next} ns"));
        assert_eq!(gap.cause, Cause::WorkerDied);
        assert!(gap.from.0.abs_diff(last) <= PERIOD_NS, "the gap begins at {:?}, not {last}", gap.from);
    }
    let exported = recording.export();
    assert_ffmpeg_accepts(&exported);
    let frames: usize = parts.iter().map(Vec::len).sum();
    assert_eq!(
        deskreel_test_support::counter::read_file(&exported).len(),
        frames,
        "the export has every frame of every part"
    );
    println!("{kills} kills, the worst cost {} ms", worst / 1_000_000);
}

#[test]
fn killed_supervisor_and_worker_leave_a_recording_that_the_next_start_seals() {
    let random = Random::new();
    for _ in 0..5 {
        let desk = counter();
        let mut running = desk.record();
        let folder = running.wait_for_event("began")["folder"].as_str().unwrap().to_owned();
        let worker = running.wait_for_event("part")["worker"].as_u64().unwrap() as u32;
        running.wait_for_event("recording");
        running.run_for(Duration::from_millis(random.below(2500)));
        let status = running.wait_for_event("status");
        let heard = Instant::now();
        send(running.program.child.id(), Signal::KILL);
        send(worker, Signal::KILL);
        let killed_at = status["at_ns"].as_u64().unwrap() + heard.elapsed().as_nanos() as u64;
        drop(running);

        desk.record_for(1);
        let recovered = Recording::open(Path::new(&folder));
        assert_eq!(recovered.manifest.outcome, Some(Outcome::Recovered));
        recovered.assert_verified();
        let parts = recovered.frames();
        assert_counts_up(&parts[0]);
        let end = parts[0].last().unwrap().pts_ns + PERIOD_NS;
        let short = killed_at.saturating_sub(end);
        assert!(short <= LIMIT_NS, "{} ms are missing at the end", short / 1_000_000);
    }
}

#[test]
fn a_crash_on_a_still_screen_costs_at_most_a_second() {
    let source =
        "plugin = \"source.synthetic\"\nmode = \"still\"\nwidth = 640\nheight = 480\nkeepalive = \"60s\"";
    let desk = Desk::new(source, "plugin = \"encoder.x264\"");
    let mut running = desk.record();
    let folder = running.wait_for_event("began")["folder"].as_str().unwrap().to_owned();
    let worker = running.wait_for_event("part")["worker"].as_u64().unwrap() as u32;
    running.wait_for_event("recording");
    running.run_for(Duration::from_secs(5));
    let status = running.wait_for_event("status");
    let heard = Instant::now();
    send(running.program.child.id(), Signal::KILL);
    send(worker, Signal::KILL);
    let killed_at = status["at_ns"].as_u64().unwrap() + heard.elapsed().as_nanos() as u64;
    drop(running);

    desk.record_for(1);
    let recovered = Recording::open(Path::new(&folder));
    recovered.assert_verified();
    let end = recovered.track().end().unwrap().0;
    let short = killed_at.saturating_sub(end);
    println!("{} ms are missing at the end", short / 1_000_000);
    assert!(short <= LIMIT_NS, "{} ms are missing at the end", short / 1_000_000);
    assert!(end <= killed_at + PERIOD_NS * 3, "it lasts {} ms too long", (end - killed_at) / 1_000_000);
}

#[test]
fn orphaned_worker_writes_its_frames_and_ends() {
    let desk = counter();
    let mut running = desk.record();
    let folder = running.wait_for_event("began")["folder"].as_str().unwrap().to_owned();
    running.wait_for_event("recording");
    running.run_for(Duration::from_millis(1500));
    send(running.program.child.id(), Signal::KILL);
    // The worker is still writing when the next start finds the recording.
    desk.record_for(1);
    let recovered = Recording::open(Path::new(&folder));
    recovered.assert_verified();
    assert_counts_up(&recovered.frames()[0]);
}

#[test]
fn hung_worker_is_replaced() {
    let desk = counter();
    let mut running = desk.record();
    let worker = running.wait_for_event("part")["worker"].as_u64().unwrap() as u32;
    running.wait_for_event("recording");
    send(worker, Signal::STOP);
    running.wait_for("second part", |event| event["event"] == "part");
    running.wait_for_event("recording");
    let recording = running.stop();
    recording.assert_verified();
    assert_eq!(recording.track().parts.len(), 2);
    assert_eq!(recording.track().parts[1].cause, Cause::WorkerHung);
    assert_eq!(recording.track().gaps.len(), 1);
}

#[test]
fn hung_worker_does_not_hold_up_a_stop() {
    let desk = counter();
    let mut running = desk.record();
    let worker = running.wait_for_event("part")["worker"].as_u64().unwrap() as u32;
    running.wait_for_event("recording");
    send(worker, Signal::STOP);
    // Too short to count as hung before the stop.
    running.run_for(Duration::from_secs(1));
    let asked = Instant::now();
    let recording = running.stop();
    assert!(asked.elapsed() < Duration::from_secs(2), "took {:?}", asked.elapsed());
    recording.assert_verified();
    let gap =
        recording.track().gaps.last().expect("a gap for the footage that the hung worker did not record");
    assert_eq!((Some(gap.to), gap.cause), (recording.manifest.ended, Cause::WorkerHung));
}

#[test]
fn reader_of_the_events_that_disconnects_does_not_end_the_recording() {
    let desk = counter();
    let mut child = deskreel()
        .arg("record")
        .arg(desk.pipeline())
        .args(["--json", "--duration", "2s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut began = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut began).unwrap();
    // Its end of the pipe is closed by now.
    assert!(child.wait().unwrap().success());
    let began: serde_json::Value = serde_json::from_str(&began).unwrap();
    let recording = Recording::open(Path::new(began["folder"].as_str().unwrap()));
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    recording.assert_verified();
}

#[test]
fn source_that_ends_ends_the_recording() {
    let source = "plugin = \"source.gst\"\nmax_fps = 30\n\
                  caps = \"video/x-raw,width=320,height=240,framerate=30/1\"\n\
                  elements = [{ factory = \"videotestsrc\", properties = { is-live = true, num-buffers = 45 } }]";
    let desk = Desk::new(source, "plugin = [\"encoder.x264\", \"encoder.openh264\"]");
    let recording = desk.record().end();
    assert_eq!(recording.manifest.outcome, Some(Outcome::Finished));
    assert_eq!(recording.track().frames().encoded, 45);
    assert_eq!(recording.track().parts.len(), 1);
    recording.assert_verified();
}

fn assert_counts_up(frames: &[deskreel_test_support::counter::Frame]) {
    for (expected, frame) in frames.iter().enumerate() {
        assert_eq!(frame.reading.map(|reading| reading.number as usize), Some(expected));
    }
}
