//! The picture that replaces a withheld screen: dark, with two light bars if the recording is paused.

use std::ops::Range;

use deskreel_contract::CaptureMode;
use gstreamer as gst;
use gstreamer_video as gst_video;

use crate::probe::judge::Converter;
use crate::probe::pattern::PIXEL;

/// Gray of the slate, of 255. Neither black, which a failing capture shows, nor white.
const DARK: u8 = 32;
const LIGHT: u8 = 200;

/// Paints the slate in the format of these caps, which takes some milliseconds. An error if the format cannot
/// be painted or if pictures are not in system memory.
pub fn paint(caps: &gst::Caps, mode: CaptureMode) -> Result<gst::Buffer, String> {
    let system = gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY.as_str();
    let elsewhere = |feature: &str| feature.starts_with("memory:") && feature != system;
    if caps.features(0).is_some_and(|features| features.iter().any(|feature| elsewhere(feature.as_str()))) {
        return Err(format!("pictures are not in system memory: {caps}"));
    }
    let wanted = gst_video::VideoInfo::from_caps(caps).map_err(|error| error.to_string())?;
    let painted =
        gst_video::VideoInfo::builder(gst_video::VideoFormat::Bgrx, wanted.width(), wanted.height())
            .fps(wanted.fps())
            .build()
            .map_err(|error| error.to_string())?;
    let pixels = pixels(wanted.width() as usize, wanted.height() as usize, mode == CaptureMode::Paused);
    Converter::new(&painted, Some(&wanted))?.convert(&gst::Buffer::from_slice(pixels))
}

/// The slate's pixels as BGRx.
fn pixels(width: usize, height: usize, paused: bool) -> Vec<u8> {
    let mut pixels = vec![DARK; width * height * PIXEL];
    if paused && let (columns, Some(lines)) = bars(width, height) {
        for line in pixels.chunks_mut(width * PIXEL).skip(lines.start).take(lines.len()) {
            for bar in &columns {
                line.get_mut(bar.start * PIXEL..bar.end * PIXEL).unwrap_or_default().fill(LIGHT);
            }
        }
    }
    pixels
}

/// Columns and lines of two upright bars in the middle; no lines if there is no room.
fn bars(width: usize, height: usize) -> ([Range<usize>; 2], Option<Range<usize>>) {
    let unit = width.min(height) / 24;
    let (middle, half) = (width / 2, 5 * unit);
    let columns =
        [middle.saturating_sub(3 * unit)..middle.saturating_sub(unit), middle + unit..middle + 3 * unit];
    (columns, (unit > 0).then_some(height / 2 - half..height / 2 + half))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use gst_video::VideoFormat::{self, *};

    use super::*;

    fn caps(format: VideoFormat, width: u32, height: u32) -> gst::Caps {
        gst::init().unwrap();
        gst_video::VideoInfo::builder(format, width, height).build().unwrap().to_caps().unwrap()
    }

    /// Red, green and blue of a slate's pixels, as GStreamer reads the format.
    fn shown(format: VideoFormat, mode: CaptureMode) -> impl Fn(usize, usize) -> [u8; 3] {
        let slate = paint(&caps(format, 98, 50), mode).unwrap();
        let info = |format| gst_video::VideoInfo::from_caps(&caps(format, 98, 50)).unwrap();
        let rgb = Converter::new(&info(format), Some(&info(Rgb))).unwrap().convert(&slate).unwrap();
        let (bytes, stride) = (rgb.into_mapped_buffer_readable().unwrap(), info(Rgb).stride()[0] as usize);
        move |x, y| {
            let at = y * stride + x * 3;
            [bytes[at], bytes[at + 1], bytes[at + 2]]
        }
    }

    #[test]
    fn a_slate_is_dark_in_every_format_and_has_two_light_bars_if_paused() {
        let formats = [
            Bgrx, Rgba, Argb, Rgb, I420, Yv12, Nv12, Nv21, Y42b, Y444, Yuy2, Uyvy, Gray8, I42010le, P01010le,
            Ayuv, Gbr, Argb64, V210, Rgb16, Nv124l4,
        ];
        for format in formats {
            let gray = |[r, g, b]: [u8; 3]| r.abs_diff(g) < 9 && g.abs_diff(b) < 9;
            let is_dark = |pixel: [u8; 3]| gray(pixel) && pixel[0] < 60;
            let paused = shown(format, CaptureMode::Paused);
            for (x, y) in [(49, 25), (97, 49), (0, 0), (49 - 4, 5)] {
                assert!(is_dark(paused(x, y)), "{format:?} at {x}, {y}: {:?}", paused(x, y));
            }
            for x in [49 - 4, 49 + 4] {
                assert!(gray(paused(x, 25)) && paused(x, 25)[0] > 180, "{format:?}: {:?}", paused(x, 25));
            }
            assert!(is_dark(shown(format, CaptureMode::Masked)(49 - 4, 25)), "{format:?}");
        }
    }

    #[test]
    fn a_picture_of_any_size_has_a_slate() {
        for (width, height) in [(1, 1), (3, 5), (1919, 1079), (16, 4000)] {
            assert!(paint(&caps(I420, width, height), CaptureMode::Paused).is_ok(), "{width}x{height}");
        }
    }

    #[test]
    fn pictures_in_gpu_memory_have_no_slate() {
        gst::init().unwrap();
        let caps: gst::Caps = "video/x-raw(memory:VAMemory),format=NV12,width=64,height=48".parse().unwrap();
        assert!(paint(&caps, CaptureMode::Masked).is_err());
    }
}
