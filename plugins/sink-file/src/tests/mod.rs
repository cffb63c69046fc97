//! FFmpeg and MediaInfo judge the exports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod footage;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use deskreel_sdk::prelude::*;

use crate::FileSink;
use footage::{BASELINE, Clip, Footage, ID, LARGE, SMALL, boxes};

fn finish(footage: &Footage, path: &Path, overwrite: bool) -> Answer {
    FileSink { path: path.to_owned(), overwrite }.finish(&footage.finished()).unwrap()
}

/// Exports and insists on success.
fn export(footage: &Footage) -> std::path::PathBuf {
    let path = footage.path("out.mp4");
    let place = path.display().to_string();
    assert_eq!(finish(footage, &path, false), Answer::Acknowledged { place });
    path
}

fn tool(name: &str, arguments: &[&str], file: &Path) -> Output {
    let run = Command::new(name).args(arguments).arg(file).output();
    run.unwrap_or_else(|error| panic!("{name} is not installed: {error}"))
}

/// Fails on any complaint of FFmpeg; skips `from` seconds first. Times pass unchanged: otherwise FFmpeg would
/// round them to the frame rate that it guesses, and complain about two frames that fall together.
fn assert_decodes(file: &Path, from: &str) {
    let path = file.to_str().unwrap();
    let strict = ["-v", "error", "-xerror", "-err_detect", "explode", "-ss", from, "-i", path];
    let exact = ["-fps_mode", "vfr", "-f", "null"];
    let output = tool("ffmpeg", &[&strict[..], &exact].concat(), Path::new("-"));
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "from {from}: {complaints}");
}

fn probe(file: &Path, entries: &str) -> Value {
    let output =
        tool("ffprobe", &["-v", "error", "-count_frames", "-of", "json", "-show_entries", entries], file);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The time of each decoded frame of a stream, in thirtieths of a second.
fn frames(file: &Path, stream: u32) -> Vec<u64> {
    let frames = probe(file, "frame=stream_index,pts_time");
    let frames = frames["frames"].as_array().unwrap().iter();
    let frames = frames.filter(|frame| frame["stream_index"] == stream);
    frames.map(|frame| thirtieths(&frame["pts_time"])).collect()
}

fn thirtieths(seconds: &Value) -> u64 {
    let frames = seconds.as_str().unwrap().parse::<f64>().unwrap() * 30.0;
    assert!((frames - frames.round()).abs() < 1e-3, "{seconds} is not a frame's time");
    frames.round() as u64
}

/// The times at which a part's frames are due.
fn due(clip: &Clip) -> impl Iterator<Item = u64> {
    clip.start..clip.start + clip.frames
}

#[test]
fn one_part_becomes_an_ordinary_mp4() {
    let footage = Footage::new(&[&[SMALL]]);
    let out = export(&footage);
    assert_decodes(&out, "0");
    assert_eq!(frames(&out, 0), due(&SMALL).collect::<Vec<_>>());
    let format = probe(&out, "format=duration:format_tags=encoder:stream=codec_tag_string");
    assert_eq!(format["format"]["duration"], "2.000000");
    assert_eq!(format["format"]["tags"]["encoder"], format!("Deskreel recording {ID}"));
    assert_eq!(format["streams"][0]["codec_tag_string"], "avc1");
}

#[test]
fn tables_come_before_the_footage() {
    let footage = Footage::new(&[&[SMALL]]);
    let bytes = fs::read(export(&footage)).unwrap();
    let order: Vec<&[u8; 4]> = boxes(&bytes).map(|(kind, _)| kind).collect();
    assert_eq!(order, [b"ftyp", b"moov", b"mdat"]);
}

#[test]
fn mediainfo_counts_the_same_frames() {
    let footage = Footage::new(&[&[SMALL, Clip { start: 90, ..SMALL }]]);
    let out = export(&footage);
    let report = tool("mediainfo", &["--Output=JSON"], &out);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let video = &report["media"]["track"][1];
    assert_eq!((&video["Format"], &video["FrameCount"]), (&json!("AVC"), &json!("120")));
    assert_eq!(report["media"]["track"][0]["IsStreamable"], "Yes");
    assert_eq!(report["media"]["track"][0]["Duration"], "5.000");
}

#[test]
fn a_gap_is_the_last_frame_before_it() {
    let parts = [SMALL, Clip { start: 100, ..SMALL }];
    let footage = Footage::new(&[&parts]);
    let out = export(&footage);
    assert_decodes(&out, "0");
    assert_eq!(frames(&out, 0), parts.iter().flat_map(due).collect::<Vec<_>>());
    let packets = probe(&out, "packet=duration_time");
    assert_eq!(thirtieths(&packets["packets"][59]["duration_time"]), 41);
}

#[test]
fn a_gap_of_any_length_is_exported() {
    // 13 hours and a quarter are all that 32 bits of ticks can express.
    for hours in [13, 55, 30 * 24] {
        let start = hours * 3600 * 30;
        let footage = Footage::new(&[&[SMALL, Clip { start, ..SMALL }]]);
        let out = export(&footage);
        assert_decodes(&out, "0");
        let times: Vec<f64> = probe(&out, "frame=pts_time")["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| frame["pts_time"].as_str().unwrap().parse().unwrap())
            .collect();
        let due = due(&SMALL).chain(start..start + 60).map(|frame| frame as f64 / 30.0);
        assert_eq!(times.len(), 120);
        for (time, due) in times.into_iter().zip(due) {
            assert!((time - due).abs() <= 0.000_502, "{hours} h: {time} is not {due}");
        }
        let report: Value =
            serde_json::from_slice(&tool("mediainfo", &["--Output=JSON"], &out).stdout).unwrap();
        let video = &report["media"]["track"][1];
        assert_eq!(video["FrameCount"], "120");
        let duration: f64 = video["Duration"].as_str().unwrap().parse().unwrap();
        let due = (start + 60) as f64 / 30.0;
        // MediaInfo has it as a 32-bit number with a fraction.
        assert!((duration / due - 1.0).abs() < f64::from(f32::EPSILON), "{hours} h: {duration}");
    }
}

#[test]
fn footage_that_begins_late_keeps_its_time() {
    let late = Clip { start: 45, ..SMALL };
    let footage = Footage::new(&[&[late]]);
    let out = export(&footage);
    assert_eq!(frames(&out, 0), due(&late).collect::<Vec<_>>());
    assert_eq!(probe(&out, "format=duration")["format"]["duration"], "3.500000");
}

#[test]
fn a_part_that_begins_during_the_last_frame_keeps_its_time() {
    // The extreme: both frames are due at the same moment.
    let parts = [SMALL, Clip { start: 59, ..SMALL }];
    let footage = Footage::new(&[&parts]);
    let out = export(&footage);
    assert_decodes(&out, "0");
    assert_eq!(frames(&out, 0), parts.iter().flat_map(due).collect::<Vec<_>>());
}

#[test]
fn reordered_frames_are_shown_in_order() {
    let footage = Footage::new(&[&[Clip { reordered: true, ..SMALL }]]);
    let out = export(&footage);
    assert_decodes(&out, "0");
    let times = frames(&out, 0);
    let first = times[0];
    assert_eq!(times, (first..first + 60).collect::<Vec<_>>());
}

#[test]
fn another_size_or_profile_decodes_from_everywhere() {
    let parts =
        [SMALL, Clip { start: 60, ..LARGE }, Clip { start: 120, ..BASELINE }, Clip { start: 180, ..SMALL }];
    let footage = Footage::new(&[&parts]);
    let out = export(&footage);
    for from in ["0", "0.7", "1.9", "2.2", "3.9", "4.1", "5.7", "6.1", "7.5"] {
        assert_decodes(&out, from);
    }
    assert_eq!(frames(&out, 0), (0..240).collect::<Vec<_>>());
    let sizes = probe(&out, "frame=width,pict_type");
    let widths: Vec<u64> =
        sizes["frames"].as_array().unwrap().iter().map(|frame| frame["width"].as_u64().unwrap()).collect();
    assert_eq!(widths, [[320; 60], [640; 60], [320; 60], [320; 60]].concat());
}

#[test]
fn tracks_share_one_timeline() {
    let late = Clip { start: 15, ..LARGE };
    let footage = Footage::new(&[&[SMALL], &[late]]);
    let out = export(&footage);
    assert_decodes(&out, "0");
    assert_eq!(frames(&out, 0), due(&SMALL).collect::<Vec<_>>());
    assert_eq!(frames(&out, 1), due(&late).collect::<Vec<_>>());
    let streams = probe(&out, "stream_tags=handler_name");
    let name = |stream: usize| streams["streams"][stream]["tags"]["handler_name"].clone();
    assert_eq!((name(0), name(1)), (json!("track1"), json!("track2")));
}

#[test]
fn exporting_again_changes_nothing() {
    let footage = Footage::new(&[&[SMALL]]);
    let out = export(&footage);
    let before = fs::metadata(&out).unwrap();
    export(&footage);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(&out).unwrap().ino(), before.ino());
}

#[test]
fn an_earlier_export_of_the_same_recording_is_replaced() {
    let half = Footage::new(&[&[SMALL]]);
    let whole = Footage::new(&[&[SMALL, Clip { start: 60, ..SMALL }]]);
    let out = whole.path("out.mp4");
    fs::copy(export(&half), &out).unwrap();
    export(&whole);
    assert_eq!(frames(&out, 0).len(), 120);
}

#[test]
fn a_foreign_file_is_kept_unless_overwrite_is_set() {
    let footage = Footage::new(&[&[SMALL]]);
    let other = Footage::called("20261123T080000Z-000001", &[&[SMALL]]);
    let out = export(&other);
    for content in [fs::read(&out).unwrap(), b"letter to a friend".to_vec(), Vec::new()] {
        fs::write(&out, &content).unwrap();
        let Answer::Refused { reason } = finish(&footage, &out, false) else { panic!("it was overwritten") };
        assert!(reason.contains("`overwrite`"), "{reason}");
        assert_eq!(fs::read(&out).unwrap(), content);
    }
    assert!(matches!(finish(&footage, &out, true), Answer::Acknowledged { .. }));
    assert_decodes(&out, "0");
}

#[test]
fn placeholders_make_a_name_and_no_folder() {
    let footage = Footage::new(&[&[SMALL]]);
    let Answer::Acknowledged { place } = finish(&footage, &footage.path("{pipeline} {recording}.mp4"), false)
    else {
        panic!("it was refused")
    };
    assert_eq!(Path::new(&place), footage.path(&format!("agent desktop_1 {ID}.mp4")));
    assert!(Path::new(&place).exists());
}

#[test]
fn damage_is_refused_and_leaves_no_file() {
    let cut = |name: &str, length: usize| {
        let footage = Footage::new(&[&[SMALL]]);
        let path = footage.folder.join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..length.min(bytes.len() - 1)]).unwrap();
        let out = footage.path("out.mp4");
        let Answer::Refused { reason } = finish(&footage, &out, false) else { panic!("{name} was taken") };
        assert!(reason.contains(name), "{reason}");
        assert_eq!(fs::read_dir(footage.root.path()).unwrap().count(), 1, "something was left");
    };
    for length in [0, 20, 200, usize::MAX] {
        cut("track1/part-0001/000002.m4s", length);
        cut("track1/part-0001/init.mp4", length);
    }
}

#[test]
fn a_byte_that_differs_from_the_manifest_is_refused() {
    for name in ["track1/part-0001/000002.m4s", "track1/part-0001/init.mp4"] {
        let footage = Footage::new(&[&[SMALL]]);
        flip_last_byte(&footage.folder.join(name));
        let Answer::Refused { reason } = finish(&footage, &footage.path("out.mp4"), false) else {
            panic!("{name} was taken")
        };
        assert!(reason.ends_with(&format!("{name}: does not have the hash in the manifest")), "{reason}");
        assert_eq!(fs::read_dir(footage.root.path()).unwrap().count(), 1, "something was left");
    }
}

#[test]
fn an_earlier_export_is_compared_to_its_last_byte() {
    let footage = Footage::new(&[&[SMALL]]);
    let out = export(&footage);
    let whole = fs::read(&out).unwrap();
    flip_last_byte(&out);
    export(&footage);
    assert!(fs::read(&out).unwrap() == whole, "the damaged export was acknowledged");
}

#[test]
fn footage_is_compared_although_its_export_exists() {
    let footage = Footage::new(&[&[SMALL]]);
    let out = export(&footage);
    flip_last_byte(&footage.folder.join("track1/part-0001/000002.m4s"));
    assert!(matches!(finish(&footage, &out, false), Answer::Refused { .. }));
}

#[test]
fn an_error_that_can_be_repaired_is_tried_again() {
    let footage = Footage::new(&[&[SMALL]]);
    // A link to itself represents any error that is not about the recording or the name.
    let answer = |out: &str| finish(&footage, &footage.path(out), false);
    symlink("loop", footage.path("loop")).unwrap();
    for out in ["loop", "loop/out.mp4"] {
        assert!(matches!(answer(out), Answer::RetryAfter { .. }), "{:?}", answer(out));
    }
    let fragment = footage.folder.join("track1/part-0001/000002.m4s");
    fs::remove_file(&fragment).unwrap();
    symlink(footage.path("loop"), &fragment).unwrap();
    assert!(matches!(answer("out.mp4"), Answer::RetryAfter { .. }), "{:?}", answer("out.mp4"));
}

#[test]
fn a_final_error_is_refused() {
    let footage = Footage::new(&[&[SMALL]]);
    fs::write(footage.path("file"), "").unwrap();
    for out in ["file/out.mp4", &"long".repeat(100)] {
        let answer = finish(&footage, &footage.path(out), false);
        assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    }
    fs::remove_file(footage.folder.join("manifest.json")).unwrap();
    let Answer::Refused { reason } = finish(&footage, &footage.path("out.mp4"), false) else {
        panic!("no recording was taken")
    };
    assert!(reason.contains("manifest.json"), "{reason}");
}

fn flip_last_byte(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let footage = Footage::new(&[&[SMALL]]);
    let path = footage.folder.join("manifest.json");
    let manifest = fs::read_to_string(&path).unwrap().replace("track1/part-0001/000002.m4s", "../secret");
    fs::write(&path, manifest).unwrap();
    let Answer::Refused { reason } = finish(&footage, &footage.path("out.mp4"), false) else {
        panic!("taken")
    };
    assert_eq!(reason, "manifest names `../secret`, which is not in the recording");
}

#[test]
fn a_recording_without_footage_is_refused() {
    let footage = Footage::new(&[&[]]);
    let answer = finish(&footage, &footage.path("out.mp4"), false);
    assert_eq!(answer, Answer::Refused { reason: "the recording has no footage".into() });
}
