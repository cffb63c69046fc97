//! What FFmpeg says of our bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Command;

use deskreel_fmp4::{Sample, fragment, header, read_fragment};
use support::{Footage, HEIGHT, WIDTH};

#[test]
fn ffmpeg_decodes_header_and_fragments_without_complaint() {
    let footage = Footage::new(90, 45);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.mp4");
    let samples = footage.samples(0);
    write(&file, &footage, samples.chunks(30));

    assert_eq!(strict_decode(&file), "");
    let stream = probe(&file, "stream=width,height,codec_tag_string,nb_read_frames");
    assert_eq!(stream["streams"][0]["width"], WIDTH);
    assert_eq!(stream["streams"][0]["height"], HEIGHT);
    assert_eq!(stream["streams"][0]["codec_tag_string"], "avc1");
    assert_eq!(stream["streams"][0]["nb_read_frames"], "90");
}

#[test]
fn ffmpeg_sees_the_times_of_the_timeline() {
    let footage = Footage::new(60, 30);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.mp4");
    // The part begins in the tenth second, and the second fragment after a hole of one second.
    let mut samples = footage.samples(10_000_000_000);
    for sample in &mut samples[30..] {
        sample.pts_ns += 1_000_000_000;
        sample.dts_ns += 1_000_000_000;
    }
    write(&file, &footage, samples.chunks(30));

    let packets = probe(&file, "packet=pts_time,flags");
    let times: Vec<f64> = packets["packets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|packet| packet["pts_time"].as_str().unwrap().parse().unwrap())
        .collect();
    let due: Vec<f64> = samples.iter().map(|sample| sample.pts_ns as f64 / 1e9).collect();
    assert_eq!(times.len(), due.len());
    for (time, due) in times.iter().zip(due) {
        // Half a tick, and the six digits that ffprobe prints.
        assert!((time - due).abs() <= 0.5 / 90_000.0 + 1e-6, "{time} is not {due}");
    }
    let keyframes = packets["packets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|packet| packet["flags"].as_str().unwrap().contains('K'));
    assert_eq!(keyframes.count(), 2);
}

#[test]
fn a_fragment_that_ffmpeg_took_reads_back_as_it_was_written() {
    let footage = Footage::new(30, 30);
    let samples = footage.samples(3_600_000_000_000);
    let bytes = fragment(7, &samples).unwrap();
    let info = read_fragment(&bytes).unwrap();
    assert_eq!(info.sequence, 7);
    let back: Vec<_> = info.samples_in(&bytes).collect();
    assert_eq!(back.len(), samples.len());
    for (back, sample) in back.iter().zip(&samples) {
        assert_eq!((back.data, back.keyframe), (sample.data, sample.keyframe));
        // Half a tick is 5556 ns.
        assert!(back.pts_ns.abs_diff(sample.pts_ns) <= 5_556);
    }
}

fn write<'a>(file: &Path, footage: &Footage, fragments: impl Iterator<Item = &'a [Sample<'a>]>) {
    let mut bytes = header(&footage.config).unwrap();
    for (number, samples) in fragments.enumerate() {
        bytes.extend(fragment(number as u32 + 1, samples).unwrap());
    }
    std::fs::write(file, bytes).unwrap();
}

/// What FFmpeg complains of when every complaint is an error.
fn strict_decode(file: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-err_detect", "explode", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{complaints}");
    complaints
}

fn probe(file: &Path, entries: &str) -> serde_json::Value {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "json", "-show_entries", entries])
        .arg(file)
        .output()
        .expect("ffprobe is installed");
    serde_json::from_slice(&output.stdout).unwrap()
}
