//! Recordings for tests, made as a worker and a supervisor make them: ten frames a second, five a fragment.
//! The frames are not pictures; nothing here decodes them.

use std::fs;
use std::path::{Path, PathBuf};

use deskreel_fmp4::{
    Codec, Sample, TIMESCALE, VideoConfig, codec_string, fragment, header, tail_head, tail_record,
};
use deskreel_model::manifest::{
    Anchor, Cause, EncoderUse, Fragment, FrameCounts, Gap, Outcome, Part, PluginUse, Track,
};
use deskreel_model::{Manifest, MediaTime, PartNumber, layout};
use tempfile::TempDir;

use crate::recording_dir::file_ref;
use crate::{RecordingDir, write_atomic};

pub const ID: &str = "20261123T071002Z-4f2a91";
pub const TRACK: &str = "video";
/// Number of frames in a fragment, and its length.
pub const FRAMES: u64 = 5;
pub const FRAGMENT_MS: u64 = 500;

/// A folder that holds one recording.
pub struct Fixture {
    pub root: TempDir,
    pub folder: PathBuf,
    pub manifest: Manifest,
}

impl Fixture {
    /// A finished recording: part 1 with three fragments from 0:00.000, a gap, part 2 with two from 0:02.000.
    pub fn finished() -> Fixture {
        let root = tempfile::tempdir().unwrap();
        let mut manifest = blank();
        let owned = RecordingDir::create(root.path(), &manifest.recording).unwrap();
        owned.publish(&manifest).unwrap();
        let folder = owned.path().to_owned();
        let mut second = part(&folder, 2, 2000, 2);
        second.cause = Cause::WorkerDied;
        let gap = Gap {
            from: MediaTime::from_millis(1500),
            to: MediaTime::from_millis(2000),
            frames: 5,
            cause: Cause::WorkerDied,
        };
        manifest.tracks =
            vec![Track { name: TRACK.into(), parts: vec![part(&folder, 1, 0, 3), second], gaps: vec![gap] }];
        manifest.outcome = Some(Outcome::Finished);
        owned.save(&manifest).unwrap();
        Fixture { root, folder, manifest }
    }

    /// The same recording at the moment of a crash: without an outcome.
    pub fn unsealed() -> Fixture {
        let mut fixture = Fixture::finished();
        fixture.change(|manifest| manifest.outcome = None);
        fixture
    }

    pub fn change(&mut self, change: impl FnOnce(&mut Manifest)) {
        change(&mut self.manifest);
        RecordingDir::open(&self.folder).unwrap().save(&self.manifest).unwrap();
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }
}

pub fn blank() -> Manifest {
    let utc = serde_json::from_str("\"2026-11-23T07:10:02.250Z\"").unwrap();
    let anchor = Anchor { media: MediaTime::ZERO, utc, uncertainty_ns: 40_000 };
    Manifest::new(
        serde_json::from_value(ID.into()).unwrap(),
        "agent-desktop".into(),
        &[TRACK.to_owned()],
        anchor,
    )
}

pub fn encoder() -> EncoderUse {
    EncoderUse {
        plugin: "encoder.x264".into(),
        version: "1.0.0".into(),
        candidate: "x264".into(),
        memory: Default::default(),
        gpu: None,
        cannot: Vec::new(),
        refused: Vec::new(),
    }
}

/// Writes a part's files, and returns the part as the worker reports it.
pub fn part(folder: &Path, number: u32, start_ms: u64, fragments: u32) -> Part {
    let number = PartNumber(number);
    fs::create_dir_all(folder.join(layout::part_folder(TRACK, number))).unwrap();
    let avcc = vec![1, 0x42, 0xc0, 0x1f, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1f, 1, 0, 2, 0x68, 0xce];
    let config = VideoConfig { codec: Codec::H264 { avcc }, width: 640, height: 360 };
    let init = layout::init_file(TRACK, number);
    let bytes = header(&config).unwrap();
    write_atomic(&folder.join(&init), &bytes).unwrap();
    let fragments: Vec<Fragment> = (1..=fragments)
        .map(|count| write_fragment(folder, number, count, start_ms + u64::from(count - 1) * FRAGMENT_MS))
        .collect();
    let encoded = fragments.len() as u64 * FRAMES;
    let plugin = |plugin: &str| PluginUse { plugin: plugin.into(), version: "1.0.0".into() };
    Part {
        number,
        cause: Cause::Start,
        source: plugin("source.synthetic"),
        encoder: encoder(),
        codec: codec_string(&config),
        width: 640,
        height: 360,
        fps: 10,
        timescale: TIMESCALE,
        init: file_ref(init, &bytes),
        fragments,
        frames: FrameCounts { captured: encoded + 3, encoded, skipped: 2, lost: 1 },
    }
}

pub fn write_fragment(folder: &Path, part: PartNumber, number: u32, start_ms: u64) -> Fragment {
    let data: Vec<Vec<u8>> = (0..FRAMES).map(|frame| frame_data(start_ms + frame * 100)).collect();
    let bytes = fragment(number, &samples(start_ms, &data)).unwrap();
    let file = layout::fragment_file(TRACK, part, number);
    write_atomic(&folder.join(&file), &bytes).unwrap();
    Fragment {
        number,
        file: file_ref(file, &bytes),
        start: MediaTime::from_millis(start_ms),
        duration_ns: FRAGMENT_MS * 1_000_000,
        frames: FRAMES as u32,
        starts_with_keyframe: true,
        salvaged: false,
    }
}

/// The bytes of a tail for fragment `number`.
pub fn tail(number: u32, start_ms: u64, frames: u64) -> Vec<u8> {
    let data: Vec<Vec<u8>> = (0..frames).map(|frame| frame_data(start_ms + frame * 100)).collect();
    let mut bytes = tail_head(number).to_vec();
    for sample in samples(start_ms, &data) {
        bytes.extend(tail_record(&sample));
        bytes.extend(sample.data);
    }
    bytes
}

fn samples(start_ms: u64, data: &[Vec<u8>]) -> Vec<Sample<'_>> {
    let sample = |(frame, data): (u64, _)| {
        let ns = (start_ms + frame * 100) * 1_000_000;
        let keyframe = (start_ms + frame * 100).is_multiple_of(FRAGMENT_MS);
        Sample { pts_ns: ns, dts_ns: ns, duration_ns: 100_000_000, keyframe, data }
    };
    (0..).zip(data.iter().map(Vec::as_slice)).map(sample).collect()
}

fn frame_data(at_ms: u64) -> Vec<u8> {
    at_ms.to_be_bytes().repeat(4)
}
