//! Records a counter in this process, as the daemon does, and runs a script beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use deskreel_contract::{CaptureMode, Codec, EncodeRequest};
use deskreel_model::worker::{Job, PluginFile, PluginSettings, TrackJob};
use deskreel_model::{MediaTime, PartNumber};
use deskreel_recorder::{Control, Notice, Pool, RecordingSetup};
use deskreel_test_support::paths::{plugin, program, root};
use deskreel_test_support::program::PATIENCE;
use serde_json::json;
use tokio::sync::mpsc;

pub const FPS: u64 = 30;
pub const PERIOD_NS: u64 = 1_000_000_000 / FPS;
/// The most by which a time in a file may be off.
pub const TICK_NS: u64 = 1_000_000_000 / 90_000 + 1;
pub const SIZE: (u32, u32) = (640, 480);

/// A folder for recordings, and the workers that make them.
pub struct Studio {
    pub folder: tempfile::TempDir,
    pub pool: Pool,
    pub job: Job,
}

/// A script's control of the recording.
pub struct Director {
    pub control: mpsc::Sender<Control>,
    notices: mpsc::UnboundedReceiver<Notice>,
    /// Process id of the newest part's worker.
    pub worker: Option<u32>,
    /// Media time of the newest status.
    pub now: MediaTime,
}

impl Studio {
    /// Makes a studio whose recordings have a keyframe at least this often.
    pub fn new(keyframe_interval_ms: u64) -> Studio {
        let plugin = |id: &str, settings| PluginSettings { plugin: id.to_owned(), settings };
        let (width, height) = SIZE;
        let screen = json!({ "mode": "counter", "width": width, "height": height, "fps": FPS });
        let encode =
            EncodeRequest { max_fps: FPS as u32, keyframe_interval_ms, ..EncodeRequest::new(Codec::H264) };
        let source = plugin("source.synthetic", screen);
        let track = TrackJob::new("video", source, vec![plugin("encoder.x264", json!({}))], encode);
        let job = Job::new(vec![TrackJob { changes_only: Some(false), ..track }]);
        let pool = pool(&job);
        Studio { folder: tempfile::tempdir().unwrap(), pool, job }
    }

    pub fn setup(&self) -> RecordingSetup {
        RecordingSetup::new("studio", self.folder.path(), self.job.clone())
    }

    /// Runs a recording and a script beside it. Returns the results of both.
    pub fn direct<R, S>(
        &mut self,
        recording: impl AsyncFnOnce(&mut Pool, &mut mpsc::Receiver<Control>, mpsc::UnboundedSender<Notice>) -> R,
        script: impl AsyncFnOnce(&mut Director) -> S,
    ) -> (R, S) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (control, mut commands) = mpsc::channel(8);
        let (tell, notices) = mpsc::unbounded_channel();
        let mut director = Director { control, notices, worker: None, now: MediaTime::ZERO };
        runtime.block_on(async {
            let script = async {
                let done = script(&mut director).await;
                let _ = director.control.send(Control::Stop).await;
                done
            };
            tokio::join!(recording(&mut self.pool, &mut commands, tell), script)
        })
    }
}

impl Director {
    /// Waits for the next notice for which `wanted` returns something.
    pub async fn wait<T>(&mut self, what: &str, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        let wait = async {
            loop {
                let notice = self.notices.recv().await.unwrap_or_else(|| panic!("it ended before {what}"));
                match &notice {
                    Notice::Part { worker, .. } => self.worker = *worker,
                    Notice::Progress(status) => self.now = status.at,
                    _ => {}
                }
                if let Some(found) = wanted(&notice) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    /// Waits until this part has a frame on disk.
    pub async fn recording(&mut self, number: u32) {
        let wanted = PartNumber(number);
        self.wait("frame on disk", |notice| {
            matches!(notice, Notice::Recording { part, .. } if *part == wanted).then_some(())
        })
        .await;
    }

    /// Waits until this much more media time has passed.
    pub async fn roll(&mut self, ms: u64) {
        let begin = self.wait("status", status).await;
        let until = begin + Duration::from_millis(ms);
        self.wait("status", |notice| status(notice).filter(|now| *now >= until)).await;
    }

    /// Changes the capture mode. Returns the time from which it holds.
    pub async fn set_mode(&mut self, capture: CaptureMode, why: &str) -> MediaTime {
        self.control.send(Control::SetMode { capture, why: why.to_owned() }).await.unwrap();
        self.wait("confirmation", |notice| match notice {
            Notice::ModeHolds { at, capture: now } if *now == capture => Some(*at),
            _ => None,
        })
        .await
    }
}

fn status(notice: &Notice) -> Option<MediaTime> {
    if let Notice::Progress(status) = notice { Some(status.at) } else { None }
}

/// A pool of workers with the plugins of such a job.
pub fn pool(job: &Job) -> Pool {
    Pool::new(program("deskreel-worker"), plugins(), job, true)
}

fn plugins() -> Vec<PluginFile> {
    let file = |path: PathBuf| {
        let found = deskreel_host::examine(&path);
        assert!(
            found.descriptor.is_ok(),
            "{}: build the workspace first: {:?}",
            path.display(),
            found.descriptor
        );
        PluginFile { path: found.path, sha256: found.sha256, unusable: None }
    };
    [plugin("source_synthetic"), root().join("plugins/encoder-x264/plugin.toml")].map(file).to_vec()
}

/// The brightness of each frame of a file in a raster of 32x24, as FFmpeg decodes it.
pub fn rasters(path: &Path) -> Vec<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-vf", "extractplanes=y,scale=32:24:flags=area", "-fps_mode", "passthrough"])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .output()
        .expect("ffmpeg runs (script/setup installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.chunks(32 * 24).map(<[u8]>::to_vec).collect()
}

/// The presentation times of a file's keyframes in nanoseconds, as FFprobe reads them.
pub fn keyframes(path: &Path) -> Vec<u64> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "packet=pts_time,flags"])
        .args(["-of", "csv=print_section=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs (script/setup installs it)");
    let text = String::from_utf8(output.stdout).unwrap();
    let keyframe = |line: &str| {
        let (seconds, flags) = line.split_once(',')?;
        let seconds: f64 = seconds.parse().ok()?;
        flags.contains('K').then_some((seconds * 1e9).round() as u64)
    };
    text.lines().filter_map(keyframe).collect()
}
