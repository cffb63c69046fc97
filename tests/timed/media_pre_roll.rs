//! A standby becomes a recording that began before its command. Judged by the pixels that FFmpeg decodes.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::lab::assert_no_frame_missing;
use crate::support::studio::{Director, FPS, PERIOD_NS, Studio, TICK_NS};
use deskreel_contract::CaptureMode;
use deskreel_model::manifest::Outcome;
use deskreel_model::{AgentId, MediaTime};
use deskreel_recorder::{Control, KeepRequest, Notice, RecordingResult};
use deskreel_test_support::counter::{self, Frame};
use deskreel_test_support::program::send;
use deskreel_test_support::recorder::{Recording, assert_ffmpeg_accepts};
use rustix::process::Signal;

const PREROLL: Duration = Duration::from_secs(5);
const KEYFRAME_INTERVAL_MS: u64 = 1000;
/// Time from asking for a recording until the worker knows, and the error of a wall clock.
const SLACK: Duration = Duration::from_millis(60);

fn stand_by(script: impl AsyncFnOnce(&mut Director, &Path)) -> (Studio, Option<RecordingResult>) {
    let mut studio = Studio::new(KEYFRAME_INTERVAL_MS);
    let setup = studio.setup();
    let folder = studio.folder.path().to_owned();
    let recording = async |pool: &mut _, control: &mut _, tell: tokio::sync::mpsc::UnboundedSender<_>| {
        deskreel_recorder::stand_by(setup, PREROLL, pool, control, |notice| drop(tell.send(notice))).await
    };
    let (finished, ()) =
        studio.direct(recording, async |director: &mut Director| script(director, &folder).await);
    (studio, finished.unwrap())
}

async fn standing_by(director: &mut Director) {
    director.wait("standby", |notice| (*notice == Notice::StandingBy).then_some(())).await;
}

async fn keep(director: &mut Director, look_back: Duration) -> SystemTime {
    let asked = SystemTime::now();
    let keep = KeepRequest { look_back, agent: Some(AgentId::from("ann")), ..KeepRequest::default() };
    director.control.send(Control::Keep(keep)).await.unwrap();
    director.recording(1).await;
    asked
}

fn assert_empty(folder: &Path) {
    let entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(entries.is_empty(), "{entries:?}");
}

/// The recording and the frames of its only part.
fn read(finished: Option<RecordingResult>) -> (Recording, Vec<Frame>) {
    let finished = finished.expect("a recording");
    assert_eq!(finished.manifest.outcome, Some(Outcome::Finished));
    let recording = Recording::open(&finished.folder);
    recording.assert_verified();
    let [part] = recording.track().parts.as_slice() else { panic!("one part") };
    let file = recording.joined(part);
    assert_ffmpeg_accepts(&file);
    let frames = counter::read_file(&file);
    std::fs::remove_file(file).unwrap();
    (recording, frames)
}

/// The wall clock at media time zero.
fn began(recording: &Recording) -> SystemTime {
    let anchor = recording.manifest.anchors[0];
    assert_eq!(anchor.media, MediaTime::ZERO);
    SystemTime::from(anchor.utc.0)
}

#[test]
fn a_recording_begins_before_it_is_asked_for_and_no_frame_is_missing_at_the_join() {
    let look_back = Duration::from_secs(3);
    let mut asked = SystemTime::UNIX_EPOCH;
    let (_studio, finished) = stand_by(async |director: &mut Director, folder: &Path| {
        standing_by(director).await;
        director.roll(5000).await;
        assert_empty(folder);
        asked = keep(director, look_back).await;
        director.roll(2000).await;
    });
    let (recording, frames) = read(finished);
    assert_no_frame_missing(&frames);
    assert!(frames[0].reading.unwrap().number >= FPS as u32 / 2, "older footage is not kept");
    assert!(frames[0].pts_ns <= TICK_NS, "media time begins with the first frame");
    let before = asked.duration_since(began(&recording)).unwrap();
    assert!(before + SLACK >= look_back, "it begins only {before:?} before");
    assert!(before <= look_back + Duration::from_millis(KEYFRAME_INTERVAL_MS) + SLACK, "{before:?} before");
    let length = Duration::from_nanos(frames.last().unwrap().pts_ns);
    assert!(length >= before + Duration::from_secs(2) - SLACK, "{length:?}");

    assert!(recording.track().gaps.is_empty() && recording.manifest.incidents.is_empty());
    let counts = recording.track().frames();
    assert_eq!((counts.captured, counts.lost), (frames.len() as u64, 0), "{counts:?}");
    assert_eq!(recording.manifest.agent, Some(AgentId::from("ann")));
}

#[test]
fn a_standby_that_is_stopped_leaves_nothing() {
    let (studio, finished) = stand_by(async |director: &mut Director, _: &Path| {
        standing_by(director).await;
        director.roll(500).await;
    });
    assert!(finished.is_none());
    assert_empty(studio.folder.path());
}

#[test]
fn a_standby_whose_worker_dies_is_renewed_and_looks_back_as_far_as_it_can() {
    let mut asked = SystemTime::UNIX_EPOCH;
    let (_studio, finished) = stand_by(async |director: &mut Director, folder: &Path| {
        for _ in 0..4 {
            standing_by(director).await;
            send(director.worker.unwrap(), Signal::KILL);
        }
        standing_by(director).await;
        director.roll(1000).await;
        assert_empty(folder);
        asked = keep(director, Duration::from_secs(3)).await;
        director.roll(500).await;
    });
    let (recording, frames) = read(finished);
    assert_no_frame_missing(&frames);
    assert_eq!(frames[0].reading.unwrap().number, 0, "all of the last worker's footage");
    assert!(asked.duration_since(began(&recording)).unwrap() >= Duration::from_secs(1));
    assert!(recording.manifest.incidents.is_empty());
}

#[test]
fn a_standby_that_is_kept_before_it_has_a_frame_begins_like_any_recording() {
    let (_studio, finished) = stand_by(async |director: &mut Director, _: &Path| {
        keep(director, Duration::from_secs(3)).await;
        director.roll(500).await;
    });
    let (_, frames) = read(finished);
    assert_no_frame_missing(&frames);
    assert_eq!(frames[0].reading.unwrap().number, 0);
}

#[test]
fn footage_paused_on_standby_is_not_in_the_recording_either() {
    let (_studio, finished) = stand_by(async |director: &mut Director, _: &Path| {
        standing_by(director).await;
        director.roll(1500).await;
        director.set_mode(CaptureMode::Paused, "card number").await;
        director.roll(700).await;
        director.set_mode(CaptureMode::Live, "").await;
        director.roll(700).await;
        keep(director, Duration::from_secs(2)).await;
        director.roll(500).await;
        director.set_mode(CaptureMode::Masked, "notes").await;
        director.roll(500).await;
    });
    let (recording, frames) = read(finished);
    let [paused, masked] = recording.manifest.withheld.as_slice() else { panic!("{:?}", recording.manifest) };
    assert_eq!((paused.why.as_str(), masked.why.as_str()), ("card number", "notes"));
    assert!(paused.to.unwrap() - paused.from >= Duration::from_millis(700));
    for frame in &frames {
        let at = frame.pts_ns;
        let withheld = [paused, masked].iter().any(|w| at + TICK_NS >= w.from.0 && at <= w.to.unwrap().0);
        assert_eq!(frame.reading.is_none(), withheld, "at {at}: {paused:?}, {masked:?}");
    }
    // Numbers follow times across the pause and across the join.
    let starts =
        frames.iter().filter_map(|f| Some(f.pts_ns as i64 - i64::from(f.reading?.number) * PERIOD_NS as i64));
    let starts: Vec<_> = starts.collect();
    let spread = starts.iter().max().unwrap() - starts.iter().min().unwrap();
    assert!(spread <= (PERIOD_NS / 2) as i64, "off by {spread} ns");
}
