//! Pictures with the counter that `counter.rs` reads, and films of them by FFmpeg, as if another recorder had
//! made them.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use deskreel_test_support::counter::check;

/// Side of a cell, in pixels; the counter has 16 x 7 of them.
const CELL: usize = 16;
pub const WIDTH: usize = 16 * CELL;
pub const HEIGHT: usize = 7 * CELL;

/// A picture that shows its number.
fn picture(number: u32, time_ms: u32) -> Vec<u8> {
    let gray = number ^ number >> 1;
    let message = 7u128 << 96 | u128::from(gray) << 64 | u128::from(time_ms) << 32;
    let message = message | u128::from(check(&message.to_be_bytes()[2..12]));
    let bit = |x: usize, y: usize| message >> (111 - (y / CELL * 16 + x / CELL)) & 1;
    (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| if bit(x, y) == 1 { 235 } else { 16 })).collect()
}

/// A file of this many pictures, `rate` a second (`30000/1001`), as FFmpeg makes it with these arguments.
pub fn film(pictures: u32, rate: &str, args: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (raw, file) = (folder.path().join("film.gray"), folder.path().join("film.mp4"));
    let mut into = fs::File::create(&raw).unwrap();
    for number in 0..pictures {
        into.write_all(&picture(number, number)).unwrap();
    }
    let size = format!("{WIDTH}x{HEIGHT}");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", &size, "-r", rate, "-i"])
        .arg(&raw)
        .args(["-f", "lavfi", "-t", "60", "-i", "sine", "-shortest", "-pix_fmt", "yuv420p"])
        .args(args)
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg runs (script/setup installs it)");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    fs::read(file).unwrap()
}
