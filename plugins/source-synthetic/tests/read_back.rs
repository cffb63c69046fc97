//! Reads the counter's pictures after lossy coding, with a reader that shares no code with it.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use deskreel_source_synthetic::{Scene, Settings};
use deskreel_test_support::counter;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
const FPS: u64 = 30;
const FRAMES: u64 = 90;
/// The first frame number, high enough to use the upper bits.
const FIRST: u64 = 0x00c0_ffee;

#[test]
fn x264_keeps_every_number() {
    for crf in ["23", "40", "51"] {
        check(&format!("x264-{crf}"), &["-c:v", "libx264", "-preset", "veryfast", "-crf", crf]);
    }
}

#[test]
fn half_size_keeps_every_number() {
    check("half", &["-c:v", "libx264", "-crf", "30", "-vf", "scale=iw/2:ih/2"]);
}

#[test]
fn openh264_keeps_every_number() {
    let coded = tempfile::tempdir().unwrap();
    let file = coded.path().join("openh264.mkv");
    let location = format!("location={}", file.display());
    let mut launch = Command::new("gst-launch-1.0");
    launch.args(["--quiet", "fdsrc", "!", "rawvideoparse", "format=i420", "framerate=30/1"]);
    launch.args([&format!("width={WIDTH}"), &format!("height={HEIGHT}")]);
    launch.args(["!", "openh264enc", "usage-type=screen", "rate-control=bitrate", "bitrate=100000"]);
    launch.args(["qp-min=12", "qp-max=51"]);
    launch.args(["!", "h264parse", "!", "matroskamux", "!", "filesink", &location]);
    paint_into(&mut launch);
    expect_all(&file);
}

/// A reader that accepts anything would pass all of the above.
#[test]
fn damaged_pictures_are_not_read() {
    let mut luma = frame(7)[..(WIDTH * HEIGHT) as usize].to_vec();
    let width = WIDTH as usize;
    let reading = counter::read(&luma, width).unwrap();
    assert_eq!((reading.source, reading.number, reading.time_ms), (9, 7, 233));
    for row in luma.chunks_exact_mut(width).skip(2 * 16).take(16) {
        row[15 * 16..16 * 16].iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
    }
    assert_eq!(counter::read(&luma, width), None, "one cell is inverted");
    assert_eq!(counter::read(&vec![16; luma.len()], width), None, "black");
    assert_eq!(counter::read(&vec![235; luma.len()], width), None, "white");
    assert_eq!(counter::read(&luma[..100], width), None, "too small");
}

fn check(name: &str, encoder: &[&str]) {
    let coded = tempfile::tempdir().unwrap();
    let file = coded.path().join(name).with_extension("mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-r", "30"]);
    ffmpeg.args(["-s", &format!("{WIDTH}x{HEIGHT}"), "-i", "-"]).args(encoder).arg(&file);
    paint_into(&mut ffmpeg);
    expect_all(&file);
}

fn paint_into(encoder: &mut Command) {
    let mut encoder = encoder.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = encoder.stdin.take().unwrap();
    (FIRST..FIRST + FRAMES).for_each(|number| input.write_all(&frame(number)).unwrap());
    drop(input);
    assert!(encoder.wait().unwrap().success());
}

fn frame(number: u64) -> Vec<u8> {
    let settings = Settings { width: WIDTH, height: HEIGHT, seed: 9, ..Settings::default() };
    let mut scene = Scene::new(&settings, FPS as u32);
    let mut pixels = vec![0; scene.format.frame_size()];
    scene.paint(number, number * 1_000_000_000 / FPS, &mut pixels);
    pixels
}

fn expect_all(file: &Path) {
    let frames = counter::read_file(file);
    assert_eq!(frames.len() as u64, FRAMES);
    for (frame, n) in frames.iter().zip(0..) {
        let number = FIRST + n;
        let reading =
            frame.reading.unwrap_or_else(|| panic!("frame {number} of {} is illegible", file.display()));
        assert_eq!(u64::from(reading.number), number);
        assert_eq!(u64::from(reading.time_ms), number * 1000 / FPS);
        assert_eq!(reading.source, 9);
        // Containers round to their own ticks, at worst milliseconds.
        let late = frame.pts_ns.abs_diff(n * 1_000_000_000 / FPS);
        assert!(late <= 1_000_000, "frame {number} is {late} ns off");
    }
}
