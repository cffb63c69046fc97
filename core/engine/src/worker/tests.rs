//! Encoders that fail during a recording, and what the next one gets. The faults come from GStreamer's own
//! `identity` in front of a working encoder; the source has forty frames.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::thread;

use data_encoding::HEXLOWER;
use deskreel_contract::{Codec, EncodeRequest};
use deskreel_model::PartNumber;
use deskreel_model::manifest::{Cause, Fragment, FrameCounts};
use deskreel_model::worker::{self, OpenedPart, PluginFile, PluginSettings, RankedCandidate, TrackJob};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

const FRAMES: u64 = 40;
const FPS: u32 = 50;
const PERIOD_NS: u64 = 1_000_000_000 / FPS as u64;
const FRAME_DEADLINE_MS: u64 = 300;
const DRAIN_LIMIT_MS: u64 = 700;

const PLUGINS: &str = r#"
schema = 1
name = "faults"
version = "1.0.0"
license = "MIT OR Apache-2.0"
about = "Encoders with faults."
contract = "1.0"

[[provides]]
id = "source.test"
interface = "source/1"
about = "Forty frames."

[provides.recipe]
producer = { elements = [{ factory = "videotestsrc", properties = [
    { name = "is-live", value = true }, { name = "num-buffers", value = 40 },
] }] }
caps = "video/x-raw,format=I420,width=64,height=48,framerate=50/1"

[[provides]]
id = "source.endless"
interface = "source/1"
about = "Frames without end."

[provides.recipe]
producer = { elements = [{ factory = "videotestsrc", properties = [{ name = "is-live", value = true }] }] }
caps = "video/x-raw,format=I420,width=64,height=48,framerate=50/1"

[[provides]]
id = "encoder.test"
interface = "encoder/1"
about = "Faults."
"#;

/// A candidate with an `identity` in front of x264 that has this property set.
fn candidate(id: &str, fault: &str, value: u64) -> String {
    format!(
        r#"
[[provides.recipe]]
id = "{id}"
tier = "software"
formats = ["I420"]
elements = [
    {{ factory = "identity", properties = [{{ name = "{fault}", value = {value} }}] }},
    {{ factory = "x264enc", properties = [{{ name = "tune", value = "zerolatency" }}] }},
]
"#
    )
}

struct Outcome {
    /// Each part with its fragments and its last counts.
    parts: BTreeMap<PartNumber, Part>,
    reports: Vec<Report>,
}

#[derive(Default)]
struct Part {
    opened: Option<OpenedPart>,
    fragments: Vec<Fragment>,
    frames: FrameCounts,
}

/// A job of one track with this ranking.
fn job(folder: &Path, source: &str, ranking: &[&str]) -> Job {
    let settings = |plugin: &str| PluginSettings { plugin: plugin.into(), settings: serde_json::json!({}) };
    let encode = EncodeRequest { max_fps: FPS, ..EncodeRequest::new(Codec::H264) };
    let ranked = ranking.iter().map(|candidate| RankedCandidate {
        plugin: settings("encoder.test"),
        candidate: (*candidate).to_owned(),
        holds_frames: 0,
        refused_before: 0,
    });
    let ranking = ranked.collect();
    let encoders = vec![settings("encoder.test")];
    let track = TrackJob::new("video", settings(source), encoders, encode);
    Job {
        directory: folder.to_owned(),
        part: PartNumber(3),
        origin_ns: deskreel_platform::clocks::monotonic_ns(),
        fragment_ns: 200_000_000,
        drain_limit_ms: DRAIN_LIMIT_MS,
        ..Job::new(vec![TrackJob { frame_deadline_ms: FRAME_DEADLINE_MS, ranking, ..track }])
    }
}

fn plugins(folder: &Path) -> Plugins {
    let candidates =
        [("fails", "error-after", 15), ("hangs", "sleep-time", 60_000_000), ("ends", "eos-after", 15)];
    let faults: String = candidates.iter().map(|(id, fault, value)| candidate(id, fault, *value)).collect();
    let text = format!("{PLUGINS}{faults}{}", candidate("works", "error-after", u64::from(u16::MAX)));
    let path = folder.join("plugin.toml");
    std::fs::write(&path, &text).unwrap();
    let sha256 = HEXLOWER.encode(&Sha256::digest(&text));
    Plugins::load(&[PluginFile { path, sha256, unusable: None }]).ok().unwrap()
}

/// Runs a worker to its end. Sends it a stop after each report for which `stop` is true.
fn run(source: &str, ranking: &[&str], stop: impl Fn(&Report) -> bool) -> Outcome {
    let folder = TempDir::new().unwrap();
    let job = job(folder.path(), source, ranking);
    run_job(&folder, job, stop)
}

fn run_job(folder: &TempDir, job: Job, stop: impl Fn(&Report) -> bool) -> Outcome {
    gst::init().unwrap();
    let (ours, mut theirs) = SupervisorChannel::pair().unwrap();
    let (tell, inputs) = channel();
    tell.send(WorkerInput::Command(Command::Start(job))).unwrap();
    let (path, commands) = (folder.path().to_owned(), tell.clone());
    let worker = thread::spawn(move || {
        let reporter = Reporter::new(ours);
        let mut worker = Worker { reporter, plugins: plugins(&path), tell, phase: Phase::Idle };
        worker.run(&inputs);
        // The real worker's process ends here, without dropping anything.
        std::mem::forget(worker);
    });
    let mut outcome = Outcome { parts: BTreeMap::new(), reports: Vec::new() };
    loop {
        let report = next(&mut theirs).unwrap();
        if stop(&report) {
            // The worker may have ended already.
            let _ = commands.send(WorkerInput::Command(Command::Stop));
        }
        let ended = report == Report::Ended;
        outcome.take(report);
        if ended {
            worker.join().unwrap();
            return outcome;
        }
    }
}

fn next(channel: &mut SupervisorChannel) -> Option<Report> {
    let mut length = [0; 4];
    channel.read_exact(&mut length).ok()?;
    let mut body = vec![0; worker::body_length(length).unwrap()];
    channel.read_exact(&mut body).unwrap();
    Some(worker::decode(&body).unwrap())
}

fn never(_: &Report) -> bool {
    false
}

impl Outcome {
    fn take(&mut self, report: Report) {
        match report.clone() {
            Report::PartOpened { part, .. } => {
                let number = part.number;
                self.parts.entry(number).or_default().opened = Some(part);
            }
            Report::FragmentClosed { part, fragment, frames, .. } => {
                let part = self.parts.entry(part).or_default();
                part.fragments.push(fragment);
                part.frames = frames;
            }
            Report::Beat { tracks } => {
                for beat in tracks {
                    self.parts.entry(beat.part).or_default().frames = beat.frames;
                }
            }
            _ => {}
        }
        self.reports.push(report);
    }

    /// Number, cause, candidate, and number of frames on disk of each part.
    fn parts(&self) -> Vec<(u32, Cause, String, u64)> {
        let parts = self.parts.iter().map(|(number, part)| {
            let opened = part.opened.as_ref().unwrap();
            let frames: u64 = part.fragments.iter().map(|fragment| u64::from(fragment.frames)).sum();
            assert_eq!(frames, part.frames.encoded);
            (number.0, opened.cause, opened.encoder.candidate.clone(), frames)
        });
        parts.collect()
    }

    fn frames(&self) -> FrameCounts {
        self.parts.values().fold(FrameCounts::default(), |sum, Part { frames, .. }| {
            assert_eq!(frames.captured, frames.encoded + frames.skipped + frames.lost, "{frames:?}");
            FrameCounts {
                captured: sum.captured + frames.captured,
                encoded: sum.encoded + frames.encoded,
                skipped: sum.skipped + frames.skipped,
                lost: sum.lost + frames.lost,
            }
        })
    }

    /// Asserts that no frame is missing and that each fragment begins where the previous one ends.
    fn assert_whole(&self) {
        let expected = FrameCounts { captured: FRAMES, encoded: FRAMES, skipped: 0, lost: 0 };
        assert_eq!(self.frames(), expected, "{:?}", self.reports);
        let fragments: Vec<_> = self.parts.values().flat_map(|part| &part.fragments).collect();
        for pair in fragments.windows(2) {
            let off = pair[1].start.0.abs_diff(pair[0].end().0);
            assert!(off < PERIOD_NS / 10, "a gap of {off} ns");
        }
    }

    /// Candidate, cause and next part of each failure.
    fn failures(&self) -> Vec<(String, Cause, Option<u32>)> {
        let failures = self.reports.iter().filter_map(|report| match report {
            Report::EncoderFailed { candidate, cause, next, .. } => {
                Some((candidate.clone(), *cause, next.map(|next| next.0)))
            }
            _ => None,
        });
        failures.collect()
    }

    fn has(&self, wanted: impl Fn(&Report) -> bool) -> bool {
        self.reports.iter().any(wanted)
    }
}

#[test]
fn an_encoder_that_works_makes_one_part() {
    let outcome = run("source.test", &["works", "fails"], never);
    outcome.assert_whole();
    assert_eq!(outcome.parts(), [(3, Cause::Start, "works".into(), FRAMES)]);
    assert!(outcome.has(|report| *report == Report::SourceEnded));
}

#[test]
fn after_a_sleep_of_a_month_the_next_part_begins_a_month_later() {
    let folder = TempDir::new().unwrap();
    let mut job = job(folder.path(), "source.test", &["works"]);
    let slept_ns: i64 = 30 * 86_400 * 1_000_000_000;
    job.origin_ns -= slept_ns;
    assert!(job.origin_ns < 0, "this machine has been awake for a month");
    let outcome = run_job(&folder, job, never);
    outcome.assert_whole();
    let begins = outcome.parts[&PartNumber(3)].fragments[0].start.0;
    let late = begins.abs_diff(slept_ns.unsigned_abs());
    assert!(late < 10_000_000_000, "it begins {late} ns off");
}

#[test]
fn keyframes_come_by_time_though_the_encoder_counts_otherwise() {
    let folder = TempDir::new().unwrap();
    let mut job = job(folder.path(), "source.test", &["works"]);
    job.tracks[0].encode.keyframe_interval_ms = 100;
    let outcome = run_job(&folder, job, never);
    outcome.assert_whole();
    let starts: Vec<bool> =
        outcome.parts[&PartNumber(3)].fragments.iter().map(|f| f.starts_with_keyframe).collect();
    assert!(starts.len() > 4 && starts.iter().filter(|keyframe| **keyframe).count() > 4, "{starts:?}");
}

#[test]
fn an_encoder_that_fails_is_replaced_in_another_part_and_no_frame_is_lost() {
    let outcome = run("source.test", &["fails", "works"], never);
    outcome.assert_whole();
    assert_eq!(outcome.failures(), [("fails".into(), Cause::EncoderFailed, Some(4))]);
    let parts = outcome.parts();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!((parts[1].0, parts[1].1, parts[1].2.as_str()), (4, Cause::EncoderFailed, "works"));
    let opened = outcome.parts[&PartNumber(4)].opened.as_ref().unwrap();
    assert_eq!(opened.encoder.refused.len(), 1);
    assert!(outcome.parts[&PartNumber(4)].fragments[0].starts_with_keyframe);
}

#[test]
fn an_encoder_that_ends_by_itself_is_replaced() {
    let outcome = run("source.test", &["ends", "works"], never);
    outcome.assert_whole();
    assert_eq!(outcome.failures(), [("ends".into(), Cause::EncoderFailed, Some(4))]);
}

#[test]
fn an_encoder_that_hangs_before_it_has_given_anything_leaves_no_part() {
    let outcome = run("source.test", &["fails", "hangs", "works"], never);
    outcome.assert_whole();
    let failures = outcome.failures();
    assert_eq!(failures[1], ("hangs".into(), Cause::EncoderHung, Some(4)));
    let parts = outcome.parts();
    assert_eq!(parts.len(), 2, "{parts:?}");
    assert_eq!((parts[1].0, parts[1].1, parts[1].2.as_str()), (4, Cause::EncoderFailed, "works"));
}

#[test]
fn a_candidate_that_its_plugin_no_longer_offers_is_passed_over() {
    let outcome = run("source.test", &["gone", "works"], never);
    outcome.assert_whole();
    assert_eq!(outcome.failures(), [("gone".into(), Cause::EncoderFailed, Some(3))]);
    assert_eq!(outcome.parts(), [(3, Cause::Start, "works".into(), FRAMES)]);
}

#[test]
fn without_another_encoder_the_worker_writes_what_it_has_and_fails() {
    let outcome = run("source.test", &["fails", "fails"], never);
    let failures = outcome.failures();
    assert_eq!(failures.last(), Some(&("fails".into(), Cause::EncoderFailed, None)));
    assert!(outcome.has(|report| matches!(report, Report::Failed { .. })));
    let frames = outcome.frames();
    // A frame that was in the encoder when it failed may or may not have come out.
    assert!(frames.encoded >= 26, "{frames:?}");
}

#[test]
fn a_job_without_a_proven_encoder_is_refused() {
    let outcome = run("source.test", &[], never);
    let refused = |report: &Report| matches!(report, Report::Failed { failure } if failure.message.contains("no encoder"));
    assert!(outcome.has(refused), "{:?}", outcome.reports);
}

#[test]
fn a_standby_whose_encoder_fails_ends_for_another_and_leaves_nothing_on_disk() {
    let folder = TempDir::new().unwrap();
    let job =
        Job { preroll_ns: Some(5_000_000_000), ..job(folder.path(), "source.endless", &["fails", "works"]) };
    let outcome = run_job(&folder, job, never);
    assert_eq!(outcome.failures(), [("fails".into(), Cause::EncoderFailed, None)]);
    assert!(outcome.has(|report| matches!(report, Report::StandingBy { .. })), "{:?}", outcome.reports);
    assert!(outcome.has(|report| matches!(report, Report::Failed { .. })));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["plugin.toml"]);
}

#[test]
fn a_stop_ends_within_its_limit_though_the_encoder_hangs() {
    let began = Instant::now();
    let beat = |report: &Report| matches!(report, Report::Beat { .. });
    let outcome = run("source.endless", &["hangs"], beat);
    let limit = BEAT + Duration::from_millis(DRAIN_LIMIT_MS) + WRITE_LIMIT + Duration::from_millis(300);
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    assert!(outcome.frames().lost > 0);
}

#[test]
fn an_encoder_that_fails_while_the_worker_stops_is_replaced_too() {
    // Stopped as soon as the first encoder fails: everything that waits goes through the next one.
    let failed = |report: &Report| matches!(report, Report::EncoderFailed { .. });
    let outcome = run("source.endless", &["fails", "works"], failed);
    assert_eq!(outcome.frames().lost, 0, "{:?}", outcome.frames());
}
