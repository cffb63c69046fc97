//! One supervisor starts and stops three hundred recordings at random phases, also before the first frame. None
//! hangs, none leaves a file that cannot be played, and the supervisor does not grow.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deskreel_contract::{Codec, EncodeRequest};
use deskreel_model::manifest::Outcome;
use deskreel_model::worker::{Job, PluginFile, PluginSettings, TrackJob};
use deskreel_recorder::{Finished, Notice, Pool, Setup};
use serde_json::json;
use support::random::Random;
use support::recorder::{Recording, assert_ffmpeg_accepts};
use tokio::sync::mpsc;

/// `CYCLES` makes a soak of it.
const CYCLES: usize = 300;
/// Allocators and the runtime have settled by then.
const SETTLED: usize = 50;
/// No stop may take longer.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// Pages that the allocator keeps after the settled state; a leak of 20 KB a cycle would be more.
const GROWTH_LIMIT_KB: u64 = 4096;

#[test]
fn three_hundred_starts_and_stops_leave_nothing_behind() {
    let cycles = std::env::var("CYCLES").ok().and_then(|n| n.parse().ok()).unwrap_or(CYCLES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(cycles));
}

async fn run(cycles: usize) {
    let random = Random::new();
    let folder = tempfile::tempdir().unwrap();
    let worker = PathBuf::from(env!("CARGO_BIN_EXE_deskreel-worker"));
    let mut pool = Pool::new(worker, plugins(), &job(), true);
    // The first one finds out which encoders work, which is not what is measured here.
    record(&mut pool, folder.path(), Duration::from_millis(400)).await;
    let (mut settled, mut files) = (0, 0);
    let (mut abandoned, mut slowest) = (0, Duration::ZERO);
    for cycle in 0..cycles {
        if cycle == SETTLED.min(cycles / 2) {
            (settled, files) = (resident_kb(), open_files(&mut pool).await);
        }
        // Every second one is stopped about when its first frame comes.
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

/// One recording that is stopped after `length`, and how long the stop took.
async fn record(pool: &mut Pool, folder: &Path, length: Duration) -> (Finished, Duration) {
    let setup = Setup { max_duration: Some(length), ..Setup::new("cycles", folder, job()) };
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

fn plugins() -> Vec<PluginFile> {
    let folder = Path::new(env!("CARGO_BIN_EXE_deskreel")).parent().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/encoder-x264/plugin.toml");
    let file = |path: PathBuf| {
        let found = deskreel_host::examine(&path);
        assert!(found.what.is_ok(), "{}: build the workspace first: {:?}", path.display(), found.what);
        PluginFile { path: found.path, sha256: found.sha256, unusable: None }
    };
    [folder.join("libdeskreel_source_synthetic.so"), data].map(file).to_vec()
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

/// With one spare worker that has said that it is ready, and none that is only half gone.
async fn open_files(pool: &mut Pool) -> usize {
    pool.settle().await.unwrap();
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
