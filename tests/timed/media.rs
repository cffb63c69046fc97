//! No frame is lost, doubled or late: each frame of `source.synthetic`'s counter shows its number, which is
//! read from the pixels that FFmpeg decodes.

use deskreel_test_support::recorder::{Desk, assert_ffmpeg_accepts, mediainfo_duration_ms};

const SECONDS: u32 = 20;
const FPS: u64 = 30;
const PERIOD_NS: u64 = 1_000_000_000 / FPS;

#[test]
fn x264_keeps_every_frame_of_twenty_seconds() {
    every_frame_is_kept("encoder.x264");
}

#[test]
fn openh264_keeps_every_frame_of_twenty_seconds() {
    every_frame_is_kept("encoder.openh264");
}

fn every_frame_is_kept(encoder: &str) {
    let source = format!(
        "plugin = \"source.synthetic\"\nmode = \"counter\"\nwidth = 1920\nheight = 1080\nfps = {FPS}\n\
         max_fps = {FPS}\nchanges_only = false"
    );
    let desk = Desk::new(&source, &format!("plugin = \"{encoder}\""));
    let recording = desk.record_for(SECONDS);
    assert!(recording.status.success());
    recording.assert_verified();

    let counts = recording.track().frames();
    assert_eq!((counts.lost, counts.skipped), (0, 0), "{counts:?}");
    assert_eq!(counts.captured, counts.encoded);
    assert!(recording.track().gaps.is_empty());
    // Some frames are missing at the start, before the first is captured. A second of them would be a fault.
    assert!(counts.encoded >= u64::from(SECONDS - 1) * FPS, "only {} frames", counts.encoded);

    let parts = recording.frames();
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0].len() as u64, counts.encoded);
    let first = parts[0][0].pts_ns;
    for (expected, frame) in parts[0].iter().enumerate() {
        let reading = frame.reading.unwrap_or_else(|| panic!("frame {expected} cannot be read"));
        assert_eq!(u64::from(reading.number), expected as u64, "lost, doubled or out of order");
        let due = expected as u64 * PERIOD_NS;
        assert!((frame.pts_ns - first).abs_diff(due) <= PERIOD_NS, "frame {expected} is off by a frame");
    }

    let part = &recording.track().parts[0];
    assert_ffmpeg_accepts(&recording.joined(part));
    let exported = recording.export();
    assert_ffmpeg_accepts(&exported);
    let length = parts[0].len() as f64 * 1000.0 / FPS as f64;
    let off = mediainfo_duration_ms(&exported) - length;
    // The file may include the time before the first frame.
    assert!((-34.0..1000.0).contains(&off), "the export is off by {off} ms");
    let frames = deskreel_test_support::counter::read_file(&exported);
    let numbers: Vec<_> = frames.iter().map(|frame| frame.reading.unwrap().number).collect();
    assert_eq!(numbers, (0..parts[0].len() as u32).collect::<Vec<_>>(), "the export has the same frames");
}
