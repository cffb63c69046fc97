//! One supervisor starts and stops many recordings at random phases, also before the first frame. No
//! recording hangs, none leaves a file that cannot be played, and the supervisor does not grow.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::studio::pool;
use deskreel_contract::{Codec, EncodeRequest};
use deskreel_model::manifest::Outcome;
use deskreel_model::worker::{Job, PluginSettings, TrackJob};
use deskreel_recorder::{Notice, Pool, RecordingResult, RecordingSetup};
use deskreel_test_support::random::Random;
use deskreel_test_support::recorder::{Recording, assert_ffmpeg_accepts};
use serde_json::json;
use tokio::sync::mpsc;

/// The variable `CYCLES` sets another number, for a soak. This many show a hang or a file left open.
const CYCLES: usize = 60;
/// After this many cycles allocators and the runtime have settled.
const SETTLED: usize = 50;
/// The most time that a stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Pages that the allocator keeps after the settled state. A leak of 140 KB a cycle is more, and one of 1.4
/// KB over the 3000 cycles of script/soak.
const GROWTH_LIMIT_KB: u64 = 4096;

#[test]
fn starts_and_stops_leave_nothing_behind() {
    let cycles = std::env::var("CYCLES").ok().and_then(|n| n.parse().ok()).unwrap_or(CYCLES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(cycles));
}

async fn run(cycles: usize) {
    let random = Random::new();
    let folder = tempfile::tempdir().unwrap();
    let mut pool = pool(&job());
    // The first one probes the encoders, which is not measured here.
    record(&mut pool, folder.path(), Duration::from_millis(400)).await;
    let (mut settled, mut files) = (0, 0);
    let (mut abandoned, mut slowest) = (0, Duration::ZERO);
    for cycle in 0..cycles {
        if cycle == SETTLED.min(cycles / 2) {
            (settled, files) = (resident_kb(), open_files(&mut pool).await);
        }
        // Every second one is stopped at about the time of its first frame.
        let length = Duration::from_millis(1 + random.below(if cycle % 2 == 0 { 40 } else { 400 }));
        let (finished, stop) = record(&mut pool, folder.path(), length).await;
        assert!(stop <= STOP_LIMIT, "cycle {cycle}: stopping took {stop:?}");
        slowest = slowest.max(stop);
        match finished.manifest.outcome {
            Some(Outcome::Finished) => assert_playable(&finished.folder),
            Some(Outcome::Abandoned) => abandoned += 1,
            other => panic!("cycle {cycle}: {other:?}"),
        }
        std::fs::remove_dir_all(&finished.folder).unwrap();
    }
    let (grown, open) = (resident_kb().saturating_sub(settled), open_files(&mut pool).await);
    println!(
        "{cycles} cycles, {abandoned} stopped before a frame; slowest stop {slowest:?}; resident memory {settled} kB \
         before, {} kB after",
        settled + grown
    );
    assert!(grown <= GROWTH_LIMIT_KB, "resident memory grew by {grown} kB");
    assert_eq!(open, files, "files are left open");
}

/// Makes a recording that is stopped after `length`. Also returns how long the stop took.
async fn record(pool: &mut Pool, folder: &Path, length: Duration) -> (RecordingResult, Duration) {
    let setup = RecordingSetup { max_duration: Some(length), ..RecordingSetup::new("cycles", folder, job()) };
    let (_never, mut control) = mpsc::channel(1);
    let mut began = None;
    let tell = |notice| {
        if let Notice::Began { .. } = notice {
            began = Some(Instant::now());
        }
    };
    let finished = deskreel_recorder::record(setup, pool, &mut control, tell).await.unwrap();
    (finished, began.unwrap().elapsed().saturating_sub(length))
}

fn job() -> Job {
    let plugin = |id: &str, settings| PluginSettings { plugin: id.to_owned(), settings };
    let source =
        plugin("source.synthetic", json!({ "mode": "counter", "width": 640, "height": 480, "fps": 30 }));
    let encode = EncodeRequest { max_fps: 30, ..EncodeRequest::new(Codec::H264) };
    let track = TrackJob::new("video", source, vec![plugin("encoder.x264", json!({}))], encode);
    Job::new(vec![track])
}

fn assert_playable(folder: &Path) {
    let report = deskreel_spool::verify_bytes(folder);
    assert!(report.is_clean(), "{:?}", report.findings);
    let recording = Recording::open(folder);
    assert_ffmpeg_accepts(&recording.joined(&recording.track().parts[0]));
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Counted once the pool has one spare worker that is ready, and none that is still ending.
async fn open_files(pool: &mut Pool) -> usize {
    pool.settle().await.unwrap();
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
