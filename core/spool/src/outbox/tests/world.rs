//! A spool on a disk in memory, and the calls that the daemon makes.

use std::path::{Path, PathBuf};

use deskreel_contract::RecordingAbout;
use deskreel_model::manifest::{Cause, FileRef, Fragment, FrameCounts, Outcome, Part, PluginUse, Track};
use deskreel_model::{MediaTime, PartNumber, RecordingId, SinkName, layout};

use super::{FakeDisk, Outbox, StartupFinding};
use crate::account::{Fate, fates, newest};
use crate::fixture;

pub const DIRECTORY: &str = "/spool";
pub const TRACK: &str = "video";

pub fn sink(name: &str) -> SinkName {
    name.into()
}

/// Makes an id that sorts by its number.
pub fn id(number: u32) -> RecordingId {
    let name = format!("20261123T07100{number}Z-000000");
    serde_json::from_value(name.into()).unwrap()
}

pub fn folder(number: u32) -> PathBuf {
    Path::new(DIRECTORY).join(id(number).as_str())
}

pub fn file(number: u32) -> FileRef {
    FileRef { file: String::new(), size: 100, sha256: format!("{number:064x}") }
}

/// Makes a manifest. Each element of `fragments` is a part with that number of fragments.
pub fn manifest(number: u32, fragments: &[u32], outcome: Option<Outcome>) -> Vec<u8> {
    let part = |(index, last): (usize, &u32)| {
        let plugin = PluginUse { plugin: "test".into(), version: "1.0.0".into() };
        Part {
            number: PartNumber(index as u32 + 1),
            cause: Cause::Start,
            source: plugin,
            encoder: fixture::encoder(),
            codec: String::new(),
            width: 64,
            height: 48,
            fps: 10,
            timescale: 90_000,
            init: file(0),
            fragments: (1..=*last).map(fragment).collect(),
            frames: FrameCounts::default(),
        }
    };
    let mut manifest = fixture::blank();
    manifest.recording = id(number);
    let parts = fragments.iter().enumerate().map(part).collect();
    manifest.tracks = vec![Track { name: TRACK.into(), parts, gaps: Vec::new() }];
    manifest.outcome = outcome;
    serde_json::to_vec(&manifest).unwrap()
}

fn fragment(number: u32) -> Fragment {
    Fragment {
        number,
        file: file(number),
        start: MediaTime::ZERO,
        duration_ns: 1,
        frames: 1,
        starts_with_keyframe: true,
        salvaged: false,
    }
}

pub struct Spool {
    pub disk: FakeDisk,
}

impl Spool {
    pub fn new() -> Spool {
        Spool { disk: FakeDisk::default() }
    }

    pub fn open(&self, sinks: &[&str]) -> Outbox {
        self.reopen(sinks).0
    }

    /// Opens an outbox that rewrites its journal as soon as it may.
    pub fn reopen(&self, sinks: &[&str]) -> (Outbox, Vec<StartupFinding>) {
        let sinks: Vec<SinkName> = sinks.iter().map(|name| sink(name)).collect();
        let disk = Box::new(self.disk.clone());
        let (mut outbox, findings) = Outbox::open_with(disk, Path::new(DIRECTORY), &sinks, 1).unwrap();
        (outbox.small, outbox.rewrite_at) = (4, 4);
        (outbox, findings)
    }

    pub fn begin(&self, outbox: &mut Outbox, number: u32) {
        self.publish(number);
        outbox.commanded(&id(number), None, "a call".into());
        outbox.entered(&id(number)).unwrap();
    }

    /// Creates the folder with its first manifest.
    pub fn publish(&self, number: u32) {
        self.write_manifest(number, &manifest(number, &[], None));
    }

    pub fn tell(&self, outbox: &mut Outbox, recording: u32, part: u32, numbers: &[u32]) {
        for number in numbers {
            outbox.fragment(&id(recording), TRACK, PartNumber(part), *number, &file(*number)).unwrap();
        }
    }

    /// Seals a recording with this number of fragments in each part; without any part, as abandoned.
    pub fn seal(&self, number: u32, fragments: &[u32]) {
        let outcome = if fragments.is_empty() { Outcome::Abandoned } else { Outcome::Finished };
        self.write_manifest(number, &manifest(number, fragments, Some(outcome)));
    }

    pub fn sealed_and_released(&self, outbox: &mut Outbox, number: u32, fragments: &[u32]) {
        self.begin(outbox, number);
        self.seal(number, fragments);
        outbox.sealed(&id(number)).unwrap();
        outbox.released(&id(number), RecordingAbout::default()).unwrap();
    }

    pub fn has(&self, number: u32) -> bool {
        self.disk.has_folder(&folder(number))
    }

    pub fn remove(&self, number: u32) {
        crate::files::Files::remove_tree(&self.disk, &folder(number)).unwrap();
    }

    pub fn fate(&self, number: u32) -> Fate {
        fates(&newest(&self.disk, Path::new(DIRECTORY)).unwrap()).remove(&id(number)).unwrap_or_default()
    }

    fn write_manifest(&self, number: u32, bytes: &[u8]) {
        self.disk.put(&folder(number).join(layout::MANIFEST), bytes);
    }
}
