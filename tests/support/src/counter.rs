//! Reads the frame counter of `source.synthetic` from decoded pictures. Shares no code with the painter; both
//! follow plugins/source-synthetic/README.md.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

/// The content of one picture's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub source: u16,
    pub number: u32,
    pub time_ms: u32,
}

/// One decoded frame of a file. `reading` is `None` if the cells do not match their CRC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub pts_ns: u64,
    pub reading: Option<Reading>,
}

const ROWS: usize = 7;
const COLUMNS: usize = 16;

/// Reads a picture of full or half size, whose `luma` has `stride` bytes a row.
pub fn read(luma: &[u8], stride: usize) -> Option<Reading> {
    [16, 8].into_iter().find_map(|cell| read_cells(luma, stride, cell))
}

fn read_cells(luma: &[u8], stride: usize, cell: usize) -> Option<Reading> {
    if stride < COLUMNS * cell || luma.len() < ROWS * cell * stride {
        return None;
    }
    let mut message = 0u128;
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            let bright = middle(luma, stride, row * cell, column * cell, cell) >= 128;
            message = message << 1 | u128::from(bright);
        }
    }
    let field = |low: u32, bits: u32| (message >> low & ((1 << bits) - 1)) as u32;
    let (source, gray, time_ms, crc) = (field(96, 16), field(64, 32), field(32, 32), field(0, 32));
    let covered = &message.to_be_bytes()[2..12];
    (check(covered) == crc).then(|| Reading { source: source as u16, number: from_gray(gray), time_ms })
}

/// Mean of the inner half of a cell, which an encoder's ringing does not reach.
fn middle(luma: &[u8], stride: usize, top: usize, left: usize, cell: usize) -> usize {
    let (from, to) = (cell / 4, cell * 3 / 4);
    let rows = (top + from..top + to).map(|y| &luma[y * stride + left + from..y * stride + left + to]);
    let sum: usize = rows.flatten().map(|&value| usize::from(value)).sum();
    sum / ((to - from) * (to - from))
}

fn from_gray(gray: u32) -> u32 {
    (0..32).fold(0, |number, shift| number ^ gray >> shift)
}

/// CRC-32 as in Ethernet and ZIP, one bit at a time.
pub fn check(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        for bit in 0..8 {
            let feedback = (crc ^ u32::from(byte >> bit)) & 1;
            crc >>= 1;
            if feedback == 1 {
                crc ^= 0xedb8_8320;
            }
        }
    }
    !crc
}

/// Decodes the file's video with FFmpeg and reads each picture, one in memory at a time.
pub fn read_file(path: &Path) -> Vec<Frame> {
    let (width, height) = size(path);
    // Only the upper left corner is read, whatever size later pictures have. showinfo prints their times in
    // the same order.
    let (width, rows) = ((COLUMNS * 16).min(width), (ROWS * 16).min(height));
    let filter = format!("extractplanes=y,crop={width}:{rows}:0:0,showinfo=checksum=0");
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-nostats", "-copyts", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-vf", &filter, "-fps_mode", "passthrough"])
        .args(["-f", "rawvideo", "-pix_fmt", "gray", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ffmpeg runs (script/setup installs it)");
    let log = BufReader::new(ffmpeg.stderr.take().unwrap());
    let times =
        std::thread::spawn(move || log.lines().map_while(Result::ok).filter_map(|l| pts(&l)).collect());

    let mut pictures = BufReader::with_capacity(1 << 20, ffmpeg.stdout.take().unwrap());
    let mut luma = vec![0; width * rows];
    let mut readings = Vec::new();
    while pictures.read_exact(&mut luma).is_ok() {
        readings.push(read(&luma, width));
    }
    let times: Vec<u64> = times.join().unwrap();
    assert!(ffmpeg.wait().unwrap().success(), "ffmpeg does not decode {}", path.display());
    assert_eq!(times.len(), readings.len(), "as many times as pictures");
    times.into_iter().zip(readings).map(|(pts_ns, reading)| Frame { pts_ns, reading }).collect()
}

/// Width and height in pixels.
fn size(path: &Path) -> (usize, usize) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height"])
        .args(["-of", "csv=print_section=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs (script/setup installs it)");
    let text = String::from_utf8(output.stdout).unwrap();
    let (width, height) =
        text.trim().split_once(',').unwrap_or_else(|| panic!("no video in {}", path.display()));
    (width.parse().unwrap(), height.parse().unwrap())
}

/// Reads the nanoseconds of a line `[Parsed_showinfo...] n: 3 pts: 1024 pts_time:0.08 ...`.
fn pts(line: &str) -> Option<u64> {
    if !line.starts_with("[Parsed_showinfo") {
        return None;
    }
    let seconds = line.split_once(" pts_time:")?.1.split_whitespace().next()?;
    Some((seconds.parse::<f64>().ok()? * 1e9).round().max(0.0) as u64)
}
