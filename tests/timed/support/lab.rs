//! Recordings with the lab encoders (tests/lab). Each test has its own cache.

use std::path::PathBuf;
use std::process::Command;

use deskreel_model::manifest::{Gap, Part};
use serde_json::Value;

use deskreel_test_support::counter::Frame;
use deskreel_test_support::paths::library;
use deskreel_test_support::recorder::{Desk, Recording, Running, deskreel};

pub const FPS: u64 = 30;
pub const PERIOD_NS: u64 = 1_000_000_000 / FPS;

pub struct Lab {
    pub desk: Desk,
}

impl Lab {
    /// Records a counter. `encoder` is the inside of `[encoder.video]`.
    pub fn new(encoder: &str) -> Lab {
        let lab = Lab { desk: Desk::in_folder(tempfile::tempdir().unwrap(), "", "") };
        lab.set_encoder(encoder);
        lab
    }

    /// Records `source` in this size.
    pub fn of_size(width: u32, height: u32, source: &str, encoder: &str) -> Lab {
        let lab = Lab { desk: Desk::in_folder(tempfile::tempdir().unwrap(), "", "") };
        lab.write(
            &source.replace("WIDTH", &width.to_string()).replace("HEIGHT", &height.to_string()),
            encoder,
        );
        lab
    }

    /// Changes the encoder. The cache stays.
    pub fn set_encoder(&self, encoder: &str) {
        let source = format!(
            "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 640\nheight = 480\nfps = {FPS}\n\
             max_fps = {FPS}\nchanges_only = false"
        );
        self.write(&source, encoder);
    }

    fn write(&self, source: &str, encoder: &str) {
        let library = library("lab_encoder");
        let found = deskreel_host::examine(&library);
        let allow = self.file("plugins.lock");
        let list = format!("[plugins]\n\"{}\" = {{ sha256 = \"{}\" }}\n", found.path.display(), found.sha256);
        std::fs::write(&allow, list).unwrap();
        let text = format!(
            "version = 1\nname = \"test\"\n[plugins]\npaths = [\"{}\"]\nallow = \"{}\"\n[source.screen]\n{source}\n\
             [encoder.video]\nfrom = \"screen\"\n{encoder}\n[recording]\ntracks = [\"video\"]\ndirectory = \"{}\"\n",
            found.path.display(),
            allow.display(),
            self.file("recordings").display()
        );
        std::fs::write(self.desk.pipeline(), text).unwrap();
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.desk.folder.path().join(name)
    }

    /// A `deskreel` command on the pipeline file.
    pub fn command(&self, name: &str) -> Command {
        let mut command = deskreel();
        command.arg(name).arg(self.desk.pipeline()).env("DESKREEL_CACHE", self.file("cache"));
        command
    }

    pub fn record(&self) -> Running {
        let mut command = self.command("record");
        command.arg("--json");
        Running::start(command)
    }

    /// Records until a fragment is on disk, however long it takes to find an encoder.
    pub fn record_a_moment(&self) -> Recording {
        let mut running = self.record();
        running.wait_for_event("recording");
        running.stop()
    }

    /// The output of `deskreel encoders --json`.
    pub fn encoders(&self, options: &[&str]) -> Value {
        let output = self.command("encoders").arg("--json").args(options).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&said)
            .unwrap_or_else(|_| panic!("not JSON: {said}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The time between two parts, by the pixels.
#[derive(Debug, Clone, Copy)]
pub struct Hole {
    pub from_ns: u64,
    pub to_ns: u64,
    /// Missing frames by the numbers in the pixels. `None` if the source has restarted and counts from 0
    /// again.
    pub missing: Option<u64>,
}

impl Hole {
    pub fn between(before: &[Frame], after: &[Frame]) -> Hole {
        let (last, first) = (before.last().unwrap(), after.first().unwrap());
        let number = |frame: &Frame| u64::from(frame.reading.expect("a frame that can be read").number);
        let missing = (number(first) > number(last)).then(|| number(first) - number(last) - 1);
        Hole { from_ns: last.pts_ns + PERIOD_NS, to_ns: first.pts_ns, missing }
    }

    pub fn ms(&self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns) / 1_000_000
    }

    /// The number of missing frames, by time if the numbers are unknown.
    pub fn frames(&self) -> u64 {
        let by_time = (self.to_ns.saturating_sub(self.from_ns) + PERIOD_NS / 2) / PERIOD_NS;
        self.missing.unwrap_or(by_time)
    }

    /// Asserts that the manifest has the same gap, exact to a frame, with the same number of frames.
    pub fn assert_reported(&self, gaps: &[Gap], what: &str) {
        let gap = gaps.iter().find(|gap| gap.to.0.abs_diff(self.to_ns) < PERIOD_NS);
        match gap {
            None => assert_eq!(self.frames(), 0, "{what}: the manifest has no gap: {self:?}"),
            Some(gap) => {
                assert_eq!(gap.frames, self.frames(), "{what}: frames of {gap:?}, by the pixels {self:?}");
                assert!(
                    gap.from.0.abs_diff(self.from_ns) <= PERIOD_NS,
                    "{what}: {gap:?} begins elsewhere than by the pixels {self:?}"
                );
            }
        }
    }
}

/// Asserts that each frame of a part is readable and follows the one before.
pub fn assert_no_frame_missing(frames: &[Frame]) {
    let numbers: Vec<Option<u32>> = frames.iter().map(|f| f.reading.map(|reading| reading.number)).collect();
    let first = numbers.first().copied().flatten().expect("a first frame that can be read");
    let expected: Vec<Option<u32>> = (0..frames.len() as u32).map(|index| Some(first + index)).collect();
    assert_eq!(numbers, expected, "lost, doubled or out of order");
}

pub fn plugins(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(|part| part.encoder.plugin.as_str()).collect()
}
