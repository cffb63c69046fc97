//! The software encoders of this machine, run with the elements for a request.

use deskreel_contract::{Element, Meaning};
use deskreel_pipeline::fit::fit;

use super::launch::{Coded, encode};
use super::{Codec, EncodeRequest, Rate, candidates, elements};

/// The encoders of Debian 12, and the parser of their codec.
const ENCODERS: [(&str, &str, Codec, &str); 4] = [
    ("x264", "x264enc", Codec::H264, "h264parse"),
    ("openh264", "openh264enc", Codec::H264, "h264parse"),
    ("x265", "x265enc", Codec::H265, "h265parse"),
    ("av1", "av1enc", Codec::Av1, "av1parse"),
];

const QUALITY: Rate = Rate::Quality { quality: 23 };

fn coded(plugin: &str, rate: Rate, pattern: &str, frames: usize) -> Coded {
    let (_, factory, codec, parser) = *ENCODERS.iter().find(|(name, ..)| *name == plugin).unwrap();
    let request =
        EncodeRequest { rate, keyframe_interval_ms: 1500, max_fps: 20, ..EncodeRequest::new(codec) };
    let candidate = candidates(plugin, &request).remove(0);
    // The description of 1.22 was compared with these elements.
    let element = elements::all()[factory].iter().find(|element| element.version == "1.22").unwrap().clone();
    let fitted = fit(&candidate.elements[0], &element.spec).unwrap();
    assert!(fitted.cannot.iter().all(|meaning| *meaning == Meaning::Content), "{:?}", fitted.cannot);
    encode(&[Element { wishes: Vec::new(), ..fitted.element }], parser, pattern, frames, 20)
}

#[test]
fn every_frame_comes_out_and_keyframes_where_asked() {
    for (plugin, ..) in ENCODERS {
        let coded = coded(plugin, QUALITY, "ball", 90);
        assert_eq!((coded.frames, coded.keyframes), (90, vec![0, 30, 60]), "{plugin}");
    }
}

#[test]
fn quality_decides_the_size_and_no_bit_rate_caps_it() {
    for (plugin, ..) in ENCODERS {
        let size = |quality| coded(plugin, Rate::Quality { quality }, "snow", 20).bits_per_second;
        let (fine, middle, coarse) = (size(15), size(28), size(40));
        assert!(fine > middle * 5 / 4 && middle > coarse * 5 / 4, "{plugin}: {fine} {middle} {coarse}");
        assert!(middle > 5_000_000, "{plugin}: {middle}");
    }
}

#[test]
fn bit_rate_is_kept_in_each_elements_unit() {
    for (plugin, pattern, bitrate, max) in [
        ("x264", "snow", 1_000_000, Some(1_500_000)),
        ("x265", "snow", 1_000_000, None),
        ("openh264", "zone-plate kx2=20 ky2=20 kt=1", 1_000_000, None),
        ("openh264", "zone-plate kx2=20 ky2=20 kt=1", 100_000, None),
        ("av1", "zone-plate kx2=20 ky2=20 kt=1", 500_000, None),
    ] {
        let coded = coded(plugin, Rate::Bitrate { bitrate, max }, pattern, 100);
        let expected = bitrate as usize * 7 / 10..bitrate as usize * 13 / 10;
        assert!(expected.contains(&coded.bits_per_second), "{plugin} {bitrate}: {coded:?}");
    }
}

#[test]
fn constrained_quality_keeps_its_ceiling_and_is_quality_below_it() {
    // A plugin, and a picture that would take more than the ceiling.
    for (plugin, hard, max) in [
        ("x264", "snow", 1_000_000),
        ("x265", "snow", 1_000_000),
        ("openh264", "zone-plate kx2=20 ky2=20 kt=1", 100_000),
    ] {
        let free = |pattern| coded(plugin, QUALITY, pattern, 60).bits_per_second;
        let constrained =
            |max, pattern| coded(plugin, Rate::Constrained { quality: 23, max }, pattern, 60).bits_per_second;
        let (below, easy) = (constrained(50_000_000, "ball"), free("ball"));
        assert!(below < easy * 3 / 2, "{plugin}: {below}, and {easy} without a ceiling");
        let above = constrained(max, hard);
        assert!(above < max as usize * 3 / 2, "{plugin}: {above}");
        assert!(free(hard) > above * 2, "{plugin}: {above} was no ceiling");
    }
}

#[test]
fn no_frame_vanishes_if_the_bit_rate_is_far_too_low() {
    let rate = Rate::Bitrate { bitrate: 50_000, max: Some(60_000) };
    assert_eq!(coded("openh264", rate, "snow", 60).frames, 60);
}
