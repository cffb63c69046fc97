//! FFmpeg's judgment of our bytes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Command;

use deskreel_fmp4::{
    Chunk, Edit, ParameterSets, Sample, VideoConfig, fragment, header, progressive_head, read_fragment,
    slate, slate_config,
};
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
    // The part begins at ten seconds, and its second fragment after a hole of one second.
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
fn a_fragment_of_real_frames_reads_back_as_it_was_written() {
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

#[test]
fn a_progressive_file_of_two_configurations_shows_exactly_the_frames_of_its_edits() {
    // CABAC with delimiters, then CAVLC without: a decoder that keeps the first configuration misreads the
    // second.
    let mut first = Footage::coded(60, 25, "medium", "");
    for (_, data) in &mut first.frames {
        data.splice(0..0, [0, 0, 0, 2, 9, 0xf0]);
    }
    let second = Footage::coded(45, 20, "ultrafast", ":cabac=0");
    let frame_ns = 1_000_000_000 / 30;
    // One stretch of each, which begins and ends between two keyframes; the second one follows in the file's
    // time.
    let edit = |from: u64, frames: u64| Edit { from_ns: from * frame_ns, duration_ns: frames * frame_ns };
    let edits = [edit(10, 45), edit(60 + 5, 37)];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("movie.mp4");
    std::fs::write(&file, film(&[&first, &second], 60 * frame_ns, &edits)).unwrap();

    assert_eq!(strict_decode(&file), "");
    let stream = probe(&file, "stream=codec_tag_string,nb_read_frames:stream_tags=handler_name");
    assert_eq!(stream["streams"][0]["codec_tag_string"], "avc3");
    assert_eq!(stream["streams"][0]["tags"]["handler_name"], "left");
    let mut due = alone(&first, 10..55);
    due.extend(alone(&second, 5..42));
    assert_eq!(pictures(&file), due);
    // After seeking, too: into the second part.
    let from_second = pictures_from(&file, "2");
    assert!(!from_second.is_empty() && due.ends_with(&from_second), "{} pictures", from_second.len());
}

#[test]
fn a_progressive_file_of_one_configuration_shows_the_same_as_its_fragments() {
    let footage = Footage::new(40, 20);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("movie.mp4");
    let edits = [Edit { from_ns: 0, duration_ns: 40_000_000_000 / 30 }];
    std::fs::write(&file, film(&[&footage], 0, &edits)).unwrap();
    assert_eq!(strict_decode(&file), "");
    assert_eq!(probe(&file, "stream=codec_tag_string")["streams"][0]["codec_tag_string"], "avc1");
    assert_eq!(pictures(&file), alone(&footage, 0..40));
}

#[test]
fn a_gap_of_any_length_keeps_every_frame_at_its_time() {
    let footage = Footage::new(30, 30);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("movie.mp4");
    // The last ones lie on both sides of what 32 bits of ticks can express, and FFmpeg reads.
    for gap in [13 * 3600, 55 * 3600, 30 * 86_400, 47_710, 47_712, 47_721, 47_722] {
        let edits = [Edit { from_ns: 0, duration_ns: (gap + 1) * 1_000_000_000 }];
        std::fs::write(&file, film(&[&footage, &footage], gap * 1_000_000_000, &edits)).unwrap();
        assert_eq!(pictures(&file).len(), 60, "{gap} s");
        let packets = probe(&file, "packet=pts_time:format=duration");
        let packets: Vec<f64> = packets["packets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|packet| seconds(&packet["pts_time"]))
            .collect();
        for (index, time) in packets.iter().enumerate() {
            let due = (index % 30) as f64 / 30.0 + if index < 30 { 0.0 } else { gap as f64 };
            // Half a millisecond, and the six digits that ffprobe prints.
            assert!((time - due).abs() <= 0.000_502, "frame {index} of {gap} s: {time} is not {due}");
        }
        assert_eq!(packets.len(), 60);
        let duration = seconds(&probe(&file, "format=duration")["format"]["duration"]);
        assert!((duration - gap as f64 - 1.0).abs() < 0.002, "{duration} s instead of {gap} s and one");
        assert_eq!(mediainfo(&file)["FrameCount"], "60");
    }
}

#[test]
fn a_slate_between_footage_is_decoded_as_it_was_painted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("movie.mp4");
    let text = |line: &str| vec![line.to_owned(), "2026-11-30 09:12:15 to 09:13:19 UTC".to_owned()];
    for (width, height) in [(WIDTH, HEIGHT), (1366, 768), (1920, 1080), (3840, 1080), (34, 22)] {
        let lines = text("No footage: the display was gone");
        let footage = Footage::new(30, 30);
        let data = slate(width, height, &lines);
        assert!(data.len() < 600_000, "{width}x{height}: {} bytes", data.len());
        let between = Footage { config: slate_config(width, height), frames: vec![(true, data)] };
        let edits = [Edit { from_ns: 0, duration_ns: 61_000_000_000 }];
        // The slate stands for a minute, and footage follows.
        let films = [&footage, &between];
        std::fs::write(&file, film(&films, 1_000_000_000, &edits)).unwrap();
        assert_eq!(strict_decode(&file), "", "{width}x{height}");
        assert_eq!(probe(&file, "stream=nb_read_frames")["streams"][0]["nb_read_frames"], "31");
        let own = alone(&between, 0..1);
        // Of another size, FFmpeg scales it to the first picture's.
        if (width, height) == (WIDTH, HEIGHT) {
            assert_eq!(pictures(&file).last(), own.last());
        }
        if width > 100 {
            assert_ne!(
                own,
                alone(&Footage { frames: vec![(true, slate(width, height, &[]))], ..between }, 0..1)
            );
        }
    }
}

/// The slate's luma, decoded, has the ground everywhere but in the middle, and text of one shade there.
#[test]
fn a_slate_is_dark_and_has_light_text_in_its_middle() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.mp4");
    let (width, height) = (1366_usize, 768_usize);
    let lines = ["NO FOOTAGE".to_owned()];
    let frames = vec![(true, slate(width as u32, height as u32, &lines))];
    let footage = Footage { config: slate_config(width as u32, height as u32), frames };
    write(&file, &footage, footage.samples(0).chunks(1));
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&file)
        .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .output()
        .unwrap();
    let (luma, chroma) = output.stdout.split_at(width * height);
    assert!(chroma.iter().all(|value| *value == 128));
    let light: Vec<usize> = (0..luma.len()).filter(|at| luma[*at] != 40).collect();
    assert!(light.iter().all(|at| luma[*at] == 210), "another shade");
    let rows = (light.first().unwrap() / width, light.last().unwrap() / width);
    assert!(rows.0 > height / 2 - 40 && rows.1 < height / 2 + 40, "{rows:?}");
    // Pixels of the glyphs N, O, F, O, O, T, A, G and E, each 3 by 3 pixels here.
    let glyphs = 17 + 16 + 14 + 16 + 16 + 11 + 18 + 17 + 18;
    assert_eq!(light.len(), glyphs * 9);
}

fn seconds(text: &serde_json::Value) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}

/// What MediaInfo says of the video track.
fn mediainfo(file: &Path) -> serde_json::Value {
    let output = Command::new("mediainfo").arg("--Output=JSON").arg(file).output();
    let output = output.expect("mediainfo is installed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["media"]["track"][1].clone()
}

/// A file with one chunk per footage, the second one at `after_ns`, and the frames after the tables.
fn film(footage: &[&Footage], after_ns: u64, edits: &[Edit]) -> Vec<u8> {
    let configs: Vec<VideoConfig> = footage.iter().map(|one| one.config.clone()).collect();
    let (mut chunks, mut payload) = (Vec::new(), Vec::<u8>::new());
    for (config, one) in footage.iter().enumerate() {
        let sets = ParameterSets::of(&one.config).unwrap();
        let mut samples = Vec::new();
        for sample in one.samples(config as u64 * after_ns) {
            let mut info = sample.info();
            let place = sets.place(sample.data);
            payload.extend(&sample.data[..place]);
            if footage.len() > 1 && sample.keyframe {
                payload.extend(&sets.bytes);
                info.size += sets.bytes.len();
            }
            payload.extend(&sample.data[place..]);
            samples.push(info);
        }
        chunks.push(Chunk { config, samples });
    }
    let mut bytes = progressive_head("left", &configs, &chunks, edits).unwrap();
    bytes.extend(payload);
    bytes
}

/// Hashes of some pictures of a footage.
fn alone(footage: &Footage, range: std::ops::Range<usize>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("part.mp4");
    write(&file, footage, footage.samples(0).chunks(30));
    pictures(&file)[range].to_vec()
}

fn pictures(file: &Path) -> Vec<String> {
    pictures_from(file, "0")
}

/// Hashes of the pictures from a second on.
fn pictures_from(file: &Path, second: &str) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-ss", second, "-i"])
        .arg(file)
        .args(["-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

fn write<'a>(file: &Path, footage: &Footage, fragments: impl Iterator<Item = &'a [Sample<'a>]>) {
    let mut bytes = header(&footage.config).unwrap();
    for (number, samples) in fragments.enumerate() {
        bytes.extend(fragment(number as u32 + 1, samples).unwrap());
    }
    std::fs::write(file, bytes).unwrap();
}

/// FFmpeg's complaints when every complaint is an error.
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
