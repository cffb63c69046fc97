//! Runs the real `deskreel record` and reads back what it made.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use deskreel_model::Manifest;
use deskreel_model::manifest::{Part, Track};
use serde_json::Value;
use tempfile::TempDir;

use super::counter::{self, Frame};

/// Nothing in these tests takes longer; what does, hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is found out of encoders is kept among the tests, and apart from the user's own.
pub fn deskreel() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskreel"));
    command.env("DESKREEL_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
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

    /// Records for so long and gives what came of it.
    pub fn record_for(&self, seconds: u32) -> Recording {
        let mut command = deskreel();
        command.arg("record").arg(self.pipeline()).args(["--json", "--duration", &format!("{seconds}s")]);
        let mut running = Running::start(command);
        running.patience = PATIENCE + Duration::from_secs(seconds.into());
        running.end()
    }
}

/// A `deskreel record` that runs. Killed if the test lets go of it.
pub struct Running {
    pub child: Child,
    events: Receiver<Value>,
    patience: Duration,
}

impl Running {
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("deskreel starts");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (tell, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        Running { child, events, patience: PATIENCE }
    }

    /// The next event that `wanted` accepts.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let limit = Instant::now() + self.patience;
        loop {
            match self.events.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(event) if wanted(&event) => return event,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => panic!("no {what} within {:?}", self.patience),
                Err(RecvTimeoutError::Disconnected) => panic!("deskreel ended before {what}"),
            }
        }
    }

    pub fn wait_for_event(&mut self, name: &str) -> Value {
        self.wait_for(name, |event| event["event"] == name)
    }

    /// Reads events for so long; the last status.
    pub fn run_for(&mut self, duration: Duration) -> Option<Value> {
        let end = Instant::now() + duration;
        let mut status = None;
        while let Ok(event) = self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if event["event"] == "status" {
                status = Some(event);
            }
        }
        status
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        send(self.child.id(), signal);
    }

    /// Asks for a clean end and waits for it.
    pub fn stop(self) -> Recording {
        self.signal(rustix::process::Signal::INT);
        self.end()
    }

    pub fn end(mut self) -> Recording {
        let ended = self.wait_for_event("ended");
        let status = self.child.wait().unwrap();
        Recording { status, ..Recording::open(Path::new(ended["folder"].as_str().unwrap())) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn send(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    // A process that is gone already is as good as killed.
    let _ = rustix::process::kill_process(pid, signal);
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

    /// One file of a part: its header and its fragments, one behind the other.
    pub fn joined(&self, part: &Part) -> PathBuf {
        let path = self.folder.join(format!("joined-{}.mp4", part.number));
        let files = std::iter::once(&part.init).chain(part.fragments.iter().map(|fragment| &fragment.file));
        let bytes: Vec<u8> =
            files.flat_map(|file| std::fs::read(self.folder.join(&file.file)).unwrap()).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// What the pixels of each part say, read by FFmpeg and not by us.
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

    /// One MP4 of it, beside its folder.
    pub fn export(&self) -> PathBuf {
        let path = self.folder.with_extension("mp4");
        let output = deskreel().arg("export").arg(&self.folder).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        path
    }

    /// `deskreel verify`, which decodes everything, has nothing to say.
    pub fn assert_verified(&self) {
        let output = deskreel().arg("verify").arg(&self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
    }
}

/// FFmpeg, told to be strict, decodes it without a word.
pub fn assert_ffmpeg_accepts(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i"])
        .arg(path)
        // As it is: a guessed frame rate would double and drop frames, and complain of times; so would times that are
        // counted in frames, where a part begins less than a frame after the one before.
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs (script/test installs it)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", path.display());
}

/// MediaInfo finds one AVC track and reads a duration of it, in milliseconds.
pub fn mediainfo_duration_ms(path: &Path) -> f64 {
    let output = Command::new("mediainfo")
        .arg("--Output=Video;%Format%,%Duration%,%IsTruncated%")
        .arg(path)
        .output()
        .expect("mediainfo runs (script/test installs it)");
    let text = String::from_utf8(output.stdout).unwrap();
    let fields: Vec<_> = text.trim().split(',').collect();
    assert_eq!(fields[0], "AVC", "{}: {text}", path.display());
    assert_eq!(fields[2], "", "{}: truncated", path.display());
    fields[1].parse().unwrap_or_else(|_| panic!("{}: no duration in {text}", path.display()))
}
