//! Recordings with fragments made by FFmpeg, so that the export reads standard files and not only ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use deskreel_sdk::prelude::*;
use tempfile::TempDir;

use crate::files::sha256_hex;

pub const ID: &str = "20261123T071002Z-4f2a91";

/// Footage with thirty frames a second, a keyframe every half second, and one fragment a second.
#[derive(Clone, Copy)]
pub struct Clip {
    pub size: &'static str,
    pub profile: &'static str,
    /// Start of the clip on the recording's timeline, in frames of a thirtieth of a second.
    pub start: u64,
    pub frames: u64,
    /// Set if frames are coded out of order.
    pub reordered: bool,
}

pub const SMALL: Clip = Clip { size: "320x240", profile: "high", start: 0, frames: 60, reordered: false };
pub const LARGE: Clip = Clip { size: "640x360", ..SMALL };
/// A clip with other entropy coding, so that it cannot pass for [`SMALL`] by accident.
pub const BASELINE: Clip = Clip { profile: "baseline", ..SMALL };

pub struct Footage {
    pub root: TempDir,
    pub folder: PathBuf,
}

impl Footage {
    /// A recording with these tracks, each given by its parts.
    pub fn new(tracks: &[&[Clip]]) -> Footage {
        Footage::called(ID, tracks)
    }

    pub fn called(id: &str, tracks: &[&[Clip]]) -> Footage {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(id);
        fs::create_dir(&folder).unwrap();
        let named = (1..).zip(tracks).map(|(track, parts)| {
            let parts = (1..).zip(*parts).map(|(part, clip)| write_part(&folder, track, part, clip));
            json!({ "name": format!("track{track}"), "parts": parts.collect::<Vec<_>>(), "gaps": [] })
        });
        let manifest = json!({
            "schema": 1, "recording": id, "pipeline": "agent desktop/1", "writer": "test", "anchors": [],
            "tracks": named.collect::<Vec<_>>(), "incidents": [], "outcome": { "result": "finished" },
        });
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
        Footage { root, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn finished(&self) -> FinishedRecording {
        let id = self.folder.file_name().unwrap().to_str().unwrap().to_owned();
        FinishedRecording { id, directory: self.folder.clone(), ..Default::default() }
    }
}

fn write_part(folder: &Path, track: u32, part: u32, clip: &Clip) -> Value {
    let dir = format!("track{track}/part-{part:04}");
    fs::create_dir_all(folder.join(&dir)).unwrap();
    let bytes = encode(clip, &folder.join(&dir).join("all.mp4"));
    let mut files = vec![(format!("{dir}/init.mp4"), Vec::new())];
    for (kind, bytes) in boxes(&bytes) {
        match kind {
            b"ftyp" | b"moov" => files[0].1.extend_from_slice(bytes),
            b"moof" => {
                files.push((format!("{dir}/{:06}.m4s", files.len()), at(bytes, clip.start * 3000)));
            }
            b"mdat" => files.last_mut().unwrap().1.extend_from_slice(bytes),
            _ => {}
        }
    }
    files.iter().for_each(|(file, bytes)| fs::write(folder.join(file), bytes).unwrap());
    let mut named = files
        .iter()
        .map(|(file, bytes)| json!({ "file": file, "size": bytes.len(), "sha256": sha256_hex(bytes) }));
    let init = named.next().unwrap();
    json!({ "number": part, "init": init, "fragments": named.collect::<Vec<_>>() })
}

fn encode(clip: &Clip, scratch: &Path) -> Vec<u8> {
    let source = format!("testsrc2=size={}:rate=30", clip.size);
    // An access unit delimiter at the head of every frame, as GStreamer's x264enc writes it.
    let bframes = if clip.reordered { 2 } else { 0 };
    let x264 = format!("aud=1:keyint=15:scenecut=0:bframes={bframes}:b-pyramid=none:threads=1");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source, "-frames:v", &clip.frames.to_string()])
        .args(["-pix_fmt", "yuv420p", "-c:v", "libx264", "-profile:v", clip.profile, "-x264-params", &x264])
        .args(["-video_track_timescale", "90000", "-frag_duration", "1000000"])
        .args(["-movflags", "+empty_moov+default_base_moof", "-f", "mp4"])
        .arg(scratch)
        .output()
        .expect("ffmpeg is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let bytes = fs::read(scratch).unwrap();
    fs::remove_file(scratch).unwrap();
    bytes
}

pub fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = match u32::from_be_bytes(*bytes.first_chunk()?) {
            1 => u64::from_be_bytes(*bytes[8..].first_chunk()?) as usize,
            size => size as usize,
        };
        let (this, rest) = bytes.split_at(size);
        bytes = rest;
        Some((this[4..].first_chunk()?, this))
    })
}

/// The fragment, moved by `ticks`.
fn at(moof: &[u8], ticks: u64) -> Vec<u8> {
    let mut moof = moof.to_vec();
    let tfdt = moof.windows(4).position(|name| name == b"tfdt").unwrap();
    assert_eq!(moof[tfdt + 4], 1, "FFmpeg writes 64-bit times");
    let time: &mut [u8; 8] = moof[tfdt + 8..].first_chunk_mut().unwrap();
    *time = (u64::from_be_bytes(*time) + ticks).to_be_bytes();
    moof
}
