//! Runs the real `deskreel record` and reads its recordings.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use deskreel_model::Manifest;
use deskreel_model::manifest::{Part, Track};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::counter::{self, Frame};
use crate::paths::{program, shared_folder};
use crate::program::{PATIENCE, Program};

/// The `deskreel` command. All tests share one cache of encoder verdicts, apart from the user's own.
pub fn deskreel() -> Command {
    let mut command = Command::new(program("deskreel"));
    command.env("DESKREEL_CACHE", shared_folder("cache"));
    command
}

/// A folder with a pipeline file that records into it.
pub struct Desk {
    pub folder: TempDir,
}

impl Desk {
    /// `source` and `encoder` are the insides of `[source.screen]` and `[encoder.video]`.
    pub fn new(source: &str, encoder: &str) -> Desk {
        Desk::in_folder(tempfile::tempdir().unwrap(), source, encoder)
    }

    pub fn in_folder(folder: TempDir, source: &str, encoder: &str) -> Desk {
        let recordings = folder.path().join("recordings");
        let text = format!(
            "version = 1\nname = \"test\"\n[source.screen]\n{source}\n[encoder.video]\nfrom = \"screen\"\n{encoder}\n\
             [recording]\ntracks = [\"video\"]\ndirectory = \"{}\"\n",
            recordings.display()
        );
        std::fs::write(folder.path().join("pipeline.toml"), text).unwrap();
        Desk { folder }
    }

    pub fn pipeline(&self) -> PathBuf {
        self.folder.path().join("pipeline.toml")
    }

    /// Starts recording; it ends when it is stopped.
    pub fn record(&self) -> Running {
        let mut command = deskreel();
        command.arg("record").arg(self.pipeline()).arg("--json");
        Running::start(command)
    }

    /// Records for this long.
    pub fn record_for(&self, seconds: u32) -> Recording {
        let mut command = deskreel();
        command.arg("record").arg(self.pipeline()).args(["--json", "--duration", &format!("{seconds}s")]);
        let mut running = Running::start(command);
        running.program.patience = PATIENCE + Duration::from_secs(seconds.into());
        running.end()
    }
}

/// A running `deskreel record`. Killed when the test drops it.
pub struct Running {
    pub program: Program,
}

impl Running {
    pub fn start(command: Command) -> Running {
        Running { program: Program::with_report(command) }
    }

    /// Waits for the next event that `is_wanted` accepts.
    pub fn wait_for(&mut self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        self.program.wait_for(what, is_wanted)
    }

    pub fn wait_for_event(&mut self, name: &str) -> Value {
        self.wait_for(name, |event| event["event"] == name)
    }

    /// Lets it run for this long. Returns its last status.
    pub fn run_for(&mut self, duration: Duration) -> Option<Value> {
        self.program.run_for(duration).into_iter().rfind(|event| event["event"] == "status")
    }

    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Asks for a clean end and waits for it.
    pub fn stop(self) -> Recording {
        self.signal(Signal::INT);
        self.end()
    }

    pub fn end(mut self) -> Recording {
        let ended = self.wait_for_event("ended");
        let status = self.program.wait();
        Recording { status, ..Recording::open(Path::new(ended["folder"].as_str().unwrap())) }
    }
}

/// A recording's folder and its manifest.
pub struct Recording {
    pub status: ExitStatus,
    pub folder: PathBuf,
    pub manifest: Manifest,
}

impl Recording {
    pub fn open(folder: &Path) -> Recording {
        let text = std::fs::read(folder.join("manifest.json")).expect("a manifest");
        let manifest = serde_json::from_slice(&text).expect("a manifest that can be read");
        Recording { status: ExitStatus::default(), folder: folder.to_owned(), manifest }
    }

    pub fn track(&self) -> &Track {
        &self.manifest.tracks[0]
    }

    /// Joins a part's header and fragments to one file.
    pub fn joined(&self, part: &Part) -> PathBuf {
        let path = self.folder.join(format!("joined-{}.mp4", part.number));
        std::fs::write(&path, self.bytes(part)).unwrap();
        path
    }

    fn bytes(&self, part: &Part) -> Vec<u8> {
        let files = std::iter::once(&part.init).chain(part.fragments.iter().map(|fragment| &fragment.file));
        files.flat_map(|file| std::fs::read(self.folder.join(&file.file)).unwrap()).collect()
    }

    /// The frames of each part, from the pixels that FFmpeg decodes.
    pub fn frames(&self) -> Vec<Vec<Frame>> {
        let parts = self.track().parts.iter().filter(|part| !part.fragments.is_empty());
        let read = |part| {
            let path = self.joined(part);
            let frames = counter::read_file(&path);
            std::fs::remove_file(path).unwrap();
            frames
        };
        parts.map(read).collect()
    }

    /// Exports it as one MP4 beside its folder.
    pub fn export(&self) -> PathBuf {
        let path = self.folder.with_extension("mp4");
        let output = deskreel().arg("export").arg(&self.folder).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    }

    /// Asserts that `deskreel verify`, which decodes everything, finds nothing, and that no frame is shown
    /// before it is decoded.
    pub fn assert_verified(&self) {
        let output = deskreel().arg("verify").arg(&self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        for part in self.track().parts.iter().filter(|part| !part.fragments.is_empty()) {
            // Not in its folder, whose disk may be full.
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), self.bytes(part)).unwrap();
            assert_shown_after_decoding(file.path());
        }
    }
}

/// Asserts that each packet's presentation time is its decoding time or later, as FFmpeg reads them.
fn assert_shown_after_decoding(path: &Path) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=pts,dts", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs (script/setup installs it)");
    let packets = String::from_utf8(output.stdout).unwrap();
    assert!(!packets.is_empty(), "{}: no packets", path.display());
    for (number, packet) in packets.lines().enumerate() {
        let mut times = packet.split(',').filter_map(|time| time.parse::<i64>().ok());
        let (Some(shown), Some(decoded)) = (times.next(), times.next()) else {
            panic!("{}: packet {number} has no times: {packet}", path.display())
        };
        assert!(shown >= decoded, "{}: frame {number}: shown {shown}, decoded {decoded}", path.display());
    }
}

/// Asserts that FFmpeg, in its strictest mode, decodes it without a message.
pub fn assert_ffmpeg_accepts(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i"])
        .arg(path)
        // Times pass unchanged. With a guessed frame rate FFmpeg doubles and drops frames, and complains
        // about times; so it does with times counted in frames, if a part begins less than a frame after the
        // one before.
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs (script/setup installs it)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", path.display());
}

/// The duration that MediaInfo reads of the only track, which is AVC, in milliseconds.
pub fn mediainfo_duration_ms(path: &Path) -> f64 {
    let output = Command::new("mediainfo")
        .arg("--Output=Video;%Format%,%Duration%,%IsTruncated%")
        .arg(path)
        .output()
        .expect("mediainfo runs (script/setup installs it)");
    let text = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<_> = text.trim().split(',').collect();
    assert_eq!(fields[0], "AVC", "{}: {text}", path.display());
    assert_eq!(fields[2], "", "{}: truncated", path.display());
    fields[1].parse().unwrap_or_else(|_| panic!("{}: no duration in {text}", path.display()))
}
