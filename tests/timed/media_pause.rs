//! Nothing of a paused or masked screen is in the footage, and time runs on. Judged by the pixels that FFmpeg
//! decodes: each frame of the screen shows its number.

use crate::support::studio::{Director, FPS, PERIOD_NS, Studio, TICK_NS, keyframes, rasters};
use deskreel_contract::CaptureMode;
use deskreel_model::MediaTime;
use deskreel_model::manifest::{Cause, Outcome, WithheldStretch};
use deskreel_test_support::counter::{self, Frame};
use deskreel_test_support::program::send;
use deskreel_test_support::recorder::{Recording, assert_ffmpeg_accepts};
use rustix::process::Signal;

/// Longer than each recording, so that no keyframe comes by itself.
const KEYFRAME_INTERVAL_MS: u64 = 60_000;
/// The most by which a frame's time differs from its due time: the source jitters.
const JITTER_NS: u64 = 2 * PERIOD_NS;

/// A frame and its pixels.
struct Seen {
    frame: Frame,
    raster: Vec<u8>,
    is_keyframe: bool,
}

struct Footage {
    recording: Recording,
    /// The frames of each part.
    seen: Vec<Vec<Seen>>,
}

fn record(capture: CaptureMode, script: impl AsyncFnOnce(&mut Director)) -> Footage {
    let mut studio = Studio::new(KEYFRAME_INTERVAL_MS);
    let mut setup = studio.setup();
    (setup.capture, setup.why) = (capture, "at the start".to_owned());
    let recording = async |pool: &mut _, control: &mut _, tell: tokio::sync::mpsc::UnboundedSender<_>| {
        deskreel_recorder::record(setup, pool, control, |notice| drop(tell.send(notice))).await
    };
    let (finished, ()) = studio.direct(recording, script);
    let finished = finished.unwrap();
    assert_eq!(finished.manifest.outcome, Some(Outcome::Finished));
    let recording = Recording::open(&finished.folder);
    recording.assert_verified();
    let seen = recording.track().parts.iter().map(|part| {
        let file = recording.joined(part);
        assert_ffmpeg_accepts(&file);
        let (frames, rasters, keyframes) = (counter::read_file(&file), rasters(&file), keyframes(&file));
        assert_eq!(frames.len(), rasters.len());
        let is_keyframe = |frame: &Frame| keyframes.iter().any(|pts| pts.abs_diff(frame.pts_ns) < TICK_NS);
        let seen = frames.iter().zip(rasters);
        let seen = seen.map(|(&frame, raster)| Seen { frame, raster, is_keyframe: is_keyframe(&frame) });
        seen.collect()
    });
    let seen = seen.collect();
    // The folder is deleted with the studio. Everything has been read by now.
    Footage { recording, seen }
}

impl Footage {
    fn withheld(&self) -> &[WithheldStretch] {
        &self.recording.manifest.withheld
    }

    fn all(&self) -> impl Iterator<Item = &Seen> {
        self.seen.iter().flatten()
    }

    /// Asserts that every frame of a withheld stretch is its slate, and every other one a frame of the
    /// screen.
    fn assert_true(&self) {
        for seen in self.all() {
            let at = seen.frame.pts_ns;
            let during = |w: &&WithheldStretch| at + TICK_NS >= w.from.0 && at < w.to.unwrap().0;
            match self.withheld().iter().rfind(during) {
                Some(withheld) => {
                    assert_eq!(seen.frame.reading, None, "a frame of the screen at {at} within {withheld:?}");
                    assert!(is_slate(&seen.raster, withheld.capture), "at {at}: {:?}", seen.raster);
                }
                None => assert!(seen.frame.reading.is_some(), "no frame of the screen at {at}"),
            }
        }
    }

    /// Asserts that slates begin at `from`, with a keyframe.
    fn assert_slate_at_once(&self, withheld: &WithheldStretch) {
        let from = withheld.from.0;
        let slate = self.all().find(|seen| seen.frame.pts_ns + TICK_NS >= from).unwrap();
        assert!(slate.frame.pts_ns.abs_diff(from) <= TICK_NS, "{} is not {from}", slate.frame.pts_ns);
        assert!(slate.is_keyframe);
    }

    /// Asserts that the screen is back at once, with a keyframe.
    fn assert_back(&self, withheld: &WithheldStretch) {
        let to = withheld.to.unwrap().0;
        let back = self.all().find(|seen| seen.frame.pts_ns > to).unwrap();
        assert!(back.frame.reading.is_some() && back.is_keyframe, "{:?}", back.frame);
        assert!(back.frame.pts_ns - to <= JITTER_NS, "back {} ns late", back.frame.pts_ns - to);
    }
}

/// See core/engine/src/capture/slate.rs: in 640x480, the bars fill whole cells of the raster.
fn is_slate(raster: &[u8], capture: CaptureMode) -> bool {
    raster.chunks(32).enumerate().all(|(y, line)| {
        line.iter().enumerate().all(|(x, luma)| {
            let on_bar = (7..17).contains(&y) && [13, 14, 17, 18].contains(&x);
            if on_bar && capture == CaptureMode::Paused { *luma > 150 } else { *luma < 70 }
        })
    })
}

/// Asserts that numbers follow time: frame `n` of a worker is `n` periods after its first.
fn assert_true_time(part: &[Seen]) {
    let start = |seen: &Seen| {
        seen.frame.reading.map(|r| seen.frame.pts_ns as i64 - i64::from(r.number) * PERIOD_NS as i64)
    };
    let starts: Vec<i64> = part.iter().filter_map(start).collect();
    let (least, most) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
    assert!(most - least <= (PERIOD_NS / 2) as i64, "off by {} ns", most - least);
}

fn counters(part: &[Seen]) -> usize {
    part.iter().filter(|seen| seen.frame.reading.is_some()).count()
}

#[test]
fn paused_pixels_are_nowhere_and_time_runs_on() {
    let mut confirmed = MediaTime::ZERO;
    let footage = record(CaptureMode::Live, async |director: &mut Director| {
        director.recording(1).await;
        director.roll(1000).await;
        confirmed = director.set_mode(CaptureMode::Paused, "card number").await;
        director.roll(1300).await;
        director.set_mode(CaptureMode::Live, "").await;
        director.roll(1000).await;
    });
    let [paused] = footage.withheld() else { panic!("{:?}", footage.withheld()) };
    assert_eq!(
        (paused.capture, paused.from, paused.why.as_str()),
        (CaptureMode::Paused, confirmed, "card number")
    );
    assert!(paused.to.unwrap() - paused.from >= std::time::Duration::from_secs(1));
    footage.assert_true();
    footage.assert_slate_at_once(paused);
    footage.assert_back(paused);
    assert_eq!(footage.seen.len(), 1);
    assert_true_time(&footage.seen[0]);
    assert!(footage.recording.track().gaps.is_empty());
    // One at once, and one more that closes the fragment: a pause costs next to nothing.
    let slates = footage.all().filter(|seen| seen.frame.reading.is_none()).count();
    assert!((1..=2).contains(&slates), "{slates} slates");
    let frames = footage.recording.track().frames();
    assert!(frames.skipped >= FPS && frames.lost == 0, "{frames:?}");
    // Only withheld frames are missing.
    let numbers: Vec<_> = footage.all().filter_map(|seen| Some(seen.frame.reading?.number)).collect();
    assert_eq!(numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count(), 1, "{numbers:?}");
}

#[test]
fn mask_and_pause_follow_each_other_without_a_frame_of_the_screen_in_between() {
    let footage = record(CaptureMode::Live, async |director: &mut Director| {
        director.recording(1).await;
        for capture in [CaptureMode::Masked, CaptureMode::Paused, CaptureMode::Live, CaptureMode::Masked] {
            director.roll(400).await;
            director.set_mode(capture, "").await;
        }
        director.roll(400).await;
    });
    let captures: Vec<_> = footage.withheld().iter().map(|withheld| withheld.capture).collect();
    assert_eq!(captures, [CaptureMode::Masked, CaptureMode::Paused, CaptureMode::Masked]);
    assert_eq!(footage.withheld()[0].to, Some(footage.withheld()[1].from));
    assert_eq!(footage.withheld()[2].to, footage.recording.manifest.ended);
    footage.assert_true();
    footage.withheld().iter().for_each(|withheld| footage.assert_slate_at_once(withheld));
    footage.assert_back(&footage.withheld()[1]);
}

#[test]
fn a_worker_that_dies_while_paused_is_followed_by_one_that_begins_paused() {
    let footage = record(CaptureMode::Live, async |director: &mut Director| {
        director.recording(1).await;
        director.roll(500).await;
        director.set_mode(CaptureMode::Paused, "card number").await;
        director.roll(300).await;
        send(director.worker.unwrap(), Signal::KILL);
        director.recording(2).await;
        director.roll(700).await;
        director.set_mode(CaptureMode::Live, "").await;
        director.roll(700).await;
    });
    let [paused] = footage.withheld() else { panic!("{:?}", footage.withheld()) };
    footage.assert_true();
    footage.assert_slate_at_once(paused);
    footage.assert_back(paused);
    let [before, after] = footage.seen.as_slice() else { panic!("two parts") };
    assert_true_time(before);
    assert_true_time(after);
    assert!(counters(before) >= 10 && counters(after) >= 10);
    assert!(after[0].frame.reading.is_none() && after[0].is_keyframe, "it begins with a slate");
    let causes: Vec<_> = footage.recording.track().gaps.iter().map(|gap| gap.cause).collect();
    assert!(causes.iter().all(|cause| *cause == Cause::WorkerDied), "{causes:?}");
}

#[test]
fn a_recording_paused_from_the_start_begins_with_slates() {
    let footage = record(CaptureMode::Paused, async |director: &mut Director| {
        director.recording(1).await;
        director.roll(500).await;
        director.set_mode(CaptureMode::Live, "").await;
        director.roll(700).await;
    });
    let [paused] = footage.withheld() else { panic!("{:?}", footage.withheld()) };
    assert_eq!((paused.from, paused.why.as_str()), (MediaTime::ZERO, "at the start"));
    footage.assert_true();
    footage.assert_back(paused);
    assert_true_time(&footage.seen[0]);
    assert!(counters(&footage.seen[0]) >= 10);
}

#[test]
fn a_pause_that_is_asked_for_before_there_is_a_worker_holds_from_the_first_frame() {
    let footage = record(CaptureMode::Live, async |director: &mut Director| {
        let at = director.set_mode(CaptureMode::Paused, "card number").await;
        director.recording(1).await;
        director.roll(500).await;
        director.set_mode(CaptureMode::Live, "").await;
        director.roll(700).await;
        assert!(at < MediaTime::from_millis(500));
    });
    let [paused] = footage.withheld() else { panic!("{:?}", footage.withheld()) };
    footage.assert_true();
    footage.assert_back(paused);
}
